import { ExternalResources, fileId, InheritedFds, parseExternal, parseInheritFd } from './external';

test.each([
  ['file[3d:1A2B]', { kind: 'file', id: '3d:1a2b', value: undefined }],
  ['tty[8803:5]', { kind: 'tty', id: '8803:5', value: undefined }],
  ['pipe[012]', { kind: 'pipe', id: '12', value: undefined }],
  ['unix[42]', { kind: 'unix', id: '42', value: undefined }],
  ['dev[8/1]:root', { kind: 'dev', id: '8/1', value: 'root' }],
  ['dev[08/1]:root', { kind: 'dev', id: '8/1', value: 'root' }],
  ['dev[root]:/dev/sdb', { kind: 'dev', id: 'root', value: '/dev/sdb' }],
  ['socket[42]', { kind: 'socket', id: '42', value: undefined }],
  ['mnt[/a]b]:key', { kind: 'mnt', id: '/a]b', value: 'key' }],
  ['mnt[]:ms', { kind: 'mnt', id: '', value: 'ms' }],
  ['mnt[]', { kind: 'mnt', id: '', value: undefined }],
  ['net[4026531840]:outer', { kind: 'net', id: '4026531840', value: 'outer' }],
  ['gpu[0000:01]', { kind: 'gpu', id: '0000:01', value: undefined }],
])('--external %s', (text, expected) => {
  expect(parseExternal(text)).toEqual(expected);
});

test.each(['file[3d]', 'file[3d:zz]', 'pipe[]', 'pipe[a]', 'dev[8:1]:x', 'unix', 'unix[12', '[12]', ''])(
  '--external %s is none',
  (text) => {
    expect(parseExternal(text)).toBeUndefined();
  },
);

test('external resources are found by kind and id', () => {
  const external = new ExternalResources([parseExternal('file[3D:0f]')!, parseExternal('dev[8/1]:root')!]);
  expect(external.has('file', fileId(0x3d, 15n))).toBe(true);
  expect(external.has('pipe', '3d:f')).toBe(false);
  expect(external.valueOf('dev', '8/1')).toBe('root');
  expect(new ExternalResources().has('file', '1:1')).toBe(false);
});

test('external resources that nobody asks for are known', () => {
  const external = new ExternalResources(
    ['file[3d:f]', 'dev[8/1]:root', 'net[1]:x'].map((text) => parseExternal(text)!),
  );
  external.has('file', '3d:f');
  external.valueOf('dev', '8/1');
  external.has('net', '2');
  expect(external.unused).toEqual(['net[1]']);
});

test.each([
  ['fd[7]:file[3d:1a]', { fd: 7, key: 'file[3d:1a]' }],
  ['fd[10]:pipe:[12]', { fd: 10, key: 'pipe:[12]' }],
  ['fd[3]:tmp/a:b', { fd: 3, key: 'tmp/a:b' }],
])('--inherit-fd %s', (text, expected) => {
  expect(parseInheritFd(text)).toEqual(expected);
});

test.each(['fd[]:x', 'fd[-1]:x', 'fd[3]:', 'fd[3]', '3:x', 'fd[99999999999]:x', 'fd[4294967295]:x'])(
  '--inherit-fd %s is none',
  (text) => {
    expect(parseInheritFd(text)).toBeUndefined();
  },
);

test('inherited descriptors: the first of a key counts, a path has a slash in front or not, unused ones are known', () => {
  const inherit = new InheritedFds([
    { fd: 7, key: 'tmp/x' },
    { fd: 8, key: '/tmp/x' },
    { fd: 9, key: 'pipe:[1]' },
  ]);
  expect(inherit.unused).toEqual(['tmp/x', 'pipe:[1]']);
  expect(inherit.fdFor('/tmp/x')).toBe(7);
  expect(inherit.fdFor('pipe:[2]')).toBeUndefined();
  expect(inherit.unused).toEqual(['pipe:[1]']);
});

test('inherited descriptors: pipes and sockets also as --external writes them', () => {
  const inherit = new InheritedFds([
    { fd: 7, key: 'socket[12]' },
    { fd: 8, key: 'pipe[13]' },
  ]);
  expect([inherit.fdFor('socket:[12]'), inherit.fdFor('pipe:[13]'), inherit.unused]).toEqual([7, 8, []]);
});
