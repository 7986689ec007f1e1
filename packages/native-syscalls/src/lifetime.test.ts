// Structures that hold addresses keep what they point to alive until the kernel has read it. Every system call here
// first collects garbage and scribbles over what was freed.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { closeFd } from './files';
import { receiveAll, sendMessage, seqpacketPair } from './socket';

jest.mock('./addon', () => {
  const actual = jest.requireActual('./addon');
  const real = actual.addon();
  const hostile = {
    ...real,
    syscall: (...args: unknown[]) => {
      collect();
      return real.syscall(...args);
    },
  };
  return { ...actual, addon: () => hostile };
});

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;
const scribbled: Uint8Array[] = [];

function collect(): void {
  gc();
  for (let i = 0; i < 500; i++) {
    for (const size of [16, 24, 32]) scribbled.push(new Uint8Array(new ArrayBuffer(size)).fill(0x41));
  }
  if (scribbled.length > 10_000) scribbled.length = 0;
}

test('a message and its descriptors survive a collection before sendmsg', () => {
  const [near, far] = seqpacketPair();
  try {
    for (let i = 0; i < 20; i++) {
      const text = `message ${i}`;
      expect(sendMessage(near, Buffer.from(text), [near, far])).toBe(true);
      expect(receiveAll(far, { dataBytes: 64, controlBytes: 0 }, 0).data.toString()).toBe(text);
    }
  } finally {
    closeFd(near);
    closeFd(far);
  }
});
