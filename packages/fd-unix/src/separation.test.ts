import { closeFd, rawSyscall, syscall } from '@crts/native-syscalls';
import { separate } from './separation';

const message = (data: string, ...rights: number[]) => ({ data: Buffer.from(data), rights });

/** What the kernel counts for messages sent one by one. */
function memory(...sent: string[]): number {
  const pair = new Int32Array(2);
  syscall('socketpair', 1, 1, 0, pair);
  for (const one of sent) syscall('sendto', pair[0]!, Buffer.from(one), one.length, 0, null, 0);
  const bytes = new Int32Array(1);
  rawSyscall('ioctl', pair[0]!, 0x5411, bytes);
  for (const fd of pair) closeFd(fd);
  return bytes[0]!;
}

test('sent at once, a message keeps its descriptors at its first byte', () => {
  const messages = [message('with two', 3, 4), message('tail')];
  expect(separate(messages, memory('with two', 'tail'))).toEqual(messages);
});

test('behind something else, they come with the last byte', () => {
  expect(separate([message('headwith two', 3, 4), message('tail')], memory('head', 'with two', 'tail'))).toEqual([
    message('headwith tw'),
    message('o', 3, 4),
    message('tail'),
  ]);
});

test('where nobody knows, they stay', () => {
  const messages = [message('headwith two', 3)];
  expect(separate(messages, undefined)).toEqual(messages);
  expect(separate([message('x', 3)], 1)).toEqual([message('x', 3)]);
});
