import { parseMountinfo } from './mounts';

const mountinfo = (...lines: string[]) => parseMountinfo(Buffer.from(`${lines.join('\n')}\n`, 'latin1'));

test('mounts, with the device as the kernel keeps it', () => {
  expect(
    mountinfo(
      '27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard',
      '25 24 0:23 / /dev/sh\\040m rw,nosuid shared:4 master:1 - tmpfs tmpfs rw',
      '26 1 4095:1048575 / /x rw - none none rw',
    ),
  ).toEqual([
    { id: 27, device: 0xfe00000, point: '/', fsType: 'ext4', layers: [] },
    { id: 25, device: 0x17, point: '/dev/sh m', fsType: 'tmpfs', layers: [] },
    { id: 26, device: 0xffffffff, point: '/x', fsType: 'none', layers: [] },
  ]);
});

test.each([
  ['lowerdir=/l1:/l2,upperdir=/u,workdir=/w,uuid=on', ['/u', '/l1', '/l2']],
  ['lowerdir=/a\\134:b:/c\\054d::/data', ['/a:b', '/c,d', '/data']],
  ['lowerdir+=/a:b,lowerdir+=/c,datadir+=/d', ['/a:b', '/c', '/d']],
  ['rw,upperdir=/with\\040space,lowerdir=/', ['/with space', '/']],
])('layers of an overlay: %s', (options, layers) => {
  expect(mountinfo(`44 27 0:39 / /m rw - overlay overlay ${options}`)[0]!.layers).toEqual(layers);
});

test('lines that are none', () => {
  expect(mountinfo('', 'x', '27 1 254 / / rw - ext4 /dev/vda rw')).toEqual([]);
});
