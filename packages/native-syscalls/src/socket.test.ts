import { addon } from './addon';
import { closeFd, preadFull } from './files';
import { memfd } from './memory';
import { kcmpFile } from './process';
import { receiveMessage, sendMessage, seqpacketPair } from './socket';
import { syscall } from './syscall';

test('messages keep their bounds, and a closed peer is no error', () => {
  const [near, far] = seqpacketPair();
  const buffer = Buffer.alloc(16);
  expect(sendMessage(near, Buffer.from('one'))).toBe(true);
  expect(sendMessage(near, Buffer.from('second'))).toBe(true);
  expect(buffer.toString('latin1', 0, receiveMessage(far, buffer))).toBe('one');
  expect(buffer.toString('latin1', 0, receiveMessage(far, buffer))).toBe('second');
  closeFd(near);
  expect(receiveMessage(far, buffer)).toBe(0);
  expect(sendMessage(far, Buffer.from('three'))).toBe(false);
  closeFd(far);
  expect(() => sendMessage(far, buffer)).toThrow(expect.objectContaining({ errno: 'EBADF' }));
});

test('a sent descriptor arrives as the same description', () => {
  const [near, far] = seqpacketPair();
  const sent = [memfd('crts-scm-one', 4), memfd('crts-scm-two', 4)];
  syscall('pwrite64', sent[1]!, Buffer.from('two!'), 4, 0);
  sendMessage(near, Buffer.from('x'), sent);

  // struct msghdr: iov at 16, control at 32 (struct/tables.ts has the layout).
  const [data, control] = [Buffer.alloc(8), Buffer.alloc(64)];
  const iov = new BigUint64Array([addon().addressOf(data), 8n]);
  const header = new BigUint64Array([0n, 0n, addon().addressOf(iov), 1n, addon().addressOf(control), 64n, 0n]);
  expect(syscall('recvmsg', far, header, 0)).toBe(1);
  expect([header[5], control.readBigUInt64LE(0), iov.length, data.toString('latin1', 0, 1)]).toEqual([
    24n,
    24n,
    2,
    'x',
  ]);
  const got = [control.readInt32LE(16), control.readInt32LE(20)];
  const read = Buffer.alloc(4);
  preadFull(got[1]!, read, 0n);
  expect(read.toString()).toBe('two!');
  for (const [index, fd] of got.entries()) expect(kcmpFile(process.pid, process.pid, fd, sent[index]!)).toBe(0);
  for (const fd of [...sent, ...got, near, far]) closeFd(fd);
});
