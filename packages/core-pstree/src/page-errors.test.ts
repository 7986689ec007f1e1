import { pagesUnread } from './page-errors';

const runs = [
  { addr: 0x10000n, lengthBytes: 0x1000n, fileOffset: 0n, file: 0 },
  { addr: 0x20000n, lengthBytes: 0x2000n, fileOffset: 0x1000n, file: 0 },
];

test('names image, offset and address of what is missing', () => {
  const error = pagesUnread('pages-1.img', 0x2000n, runs, 'ENODATA');
  expect(error).toMatchObject({ code: 'CRTS_PAGES_READ', path: 'pages-1.img', errno: 'ENODATA' });
  expect(error.message).toContain('it ends at offset 8192; the pages for 0x20000 lie at 4096, 8192 bytes');
});

test.each([
  ['EIO', 'disk'],
  ['ENOMEM', 'cgroup'],
])('%s: the image is there', (errno, hint) => {
  const error = pagesUnread('pages-1.img', 0x3000n, runs, errno);
  expect(error.message).toContain('pages for 0x10000-0x22000, from offset 0 on');
  expect(error.hint).toContain(hint);
});
