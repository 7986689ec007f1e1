import { controlMessages, controlRoom, credentialsIn, descriptorsIn } from './control-messages';
import { closeFd, preadFull } from './files';
import { memfd } from './memory';
import { kcmpFile } from './process';
import { receiveAll, sendMessage, seqpacketPair } from './socket';
import { syscall } from './syscall';

test('messages keep their bounds, and a closed peer is no error', () => {
  const [near, far] = seqpacketPair();
  const buffer = Buffer.alloc(16);
  const receive = () => receiveAll(far, { dataBytes: 16, controlBytes: 0 }, 0);
  expect(sendMessage(near, Buffer.from('one'))).toBe(true);
  expect(sendMessage(near, Buffer.from('second'))).toBe(true);
  expect(receive().data.toString()).toBe('one');
  expect(receive().data.toString()).toBe('second');
  closeFd(near);
  expect(receive().result).toBe(0);
  expect(sendMessage(far, Buffer.from('three'))).toBe(false);
  closeFd(far);
  expect(() => sendMessage(far, buffer)).toThrow(expect.objectContaining({ errno: 'EBADF' }));
});

test('a sent descriptor arrives as the same description', () => {
  const [near, far] = seqpacketPair();
  const sent = [memfd('crts-scm-one', 4), memfd('crts-scm-two', 4)];
  syscall('pwrite64', sent[1]!, Buffer.from('two!'), 4, 0);
  sendMessage(near, Buffer.from('x'), sent);

  const { result, data, control } = receiveAll(far, { dataBytes: 8, controlBytes: 64 }, 0);
  expect([result, control.length, data.toString('latin1')]).toEqual([1, 24, 'x']);
  const got = descriptorsIn(controlMessages(control));
  const read = Buffer.alloc(4);
  preadFull(got[1]!, read, 0n);
  expect(read.toString()).toBe('two!');
  for (const [index, fd] of got.entries()) expect(kcmpFile(process.pid, process.pid, fd, sent[index]!)).toBe(0);
  for (const fd of [...sent, ...got, near, far]) closeFd(fd);
});

test('control messages: of other levels and cut ones are left out', () => {
  const credentials = controlRoom(2, 12);
  credentials.writeInt32LE(17, 16);
  credentials.writeUInt32LE(1000, 20);
  const other = controlRoom(1, 4);
  other.writeInt32LE(6, 8);
  const rights = controlRoom(1, 8);
  rights.writeInt32LE(5, 16);
  rights.writeInt32LE(9, 20);
  const messages = controlMessages(Buffer.concat([credentials, other, rights, controlRoom(1, 4).subarray(0, 18)]));
  expect([messages.length, credentialsIn(messages), descriptorsIn(messages)]).toEqual([
    2,
    { pid: 17, uid: 1000, gid: 0 },
    [5, 9],
  ]);
});
