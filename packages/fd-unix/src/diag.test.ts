import { parseAnswer, type SocketFacts } from './diag';

/** What Linux 6.18 sent for `nc -lU /run/a` with one waiting client, and its NLMSG_DONE. */
function message(body: Buffer, type = 20): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(16 + body.length, 0);
  head.writeUInt16LE(type, 4);
  return Buffer.concat([head, body, Buffer.alloc((4 - (body.length % 4)) % 4)]);
}

function attribute(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16LE(4 + value.length, 0);
  head.writeUInt16LE(type, 2);
  return Buffer.concat([head, value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
}

const words = (...values: number[]) => Buffer.from(new Uint32Array(values).buffer);
const head = (type: number, state: number, ino: number) =>
  Buffer.concat([Buffer.from([1, type, state, 0]), words(ino, 0, 0)]);

test('facts of a listener, of a connected socket and of one without anything', () => {
  const listener = Buffer.concat([
    head(1, 10, 7),
    attribute(0, Buffer.from('/run/a\0')),
    attribute(1, words(55, 0x800001)),
    attribute(3, words(8, 0)),
    attribute(4, words(2, 128)),
    attribute(6, Buffer.from([0])),
  ]);
  const client = Buffer.concat([
    head(1, 1, 8),
    attribute(2, words(0)),
    attribute(4, words(0, 768)),
    attribute(6, Buffer.from([3])),
  ]);
  const sockets = new Map<number, SocketFacts>();
  expect(parseAnswer(Buffer.concat([message(listener), message(client), message(head(2, 7, 9))]), sockets)).toBe(false);
  expect(parseAnswer(message(words(0), 3), sockets)).toBe(true);
  expect([...sockets.values()]).toEqual([
    {
      ino: 7,
      type: 1,
      state: 10,
      name: Buffer.from('/run/a\0'),
      file: { ino: 55, dev: 0x800001 },
      peer: undefined,
      waiting: [8, 0],
      readQueue: 2,
      writeQueue: 128,
      shutdown: 0,
    },
    {
      ino: 8,
      type: 1,
      state: 1,
      name: undefined,
      file: undefined,
      peer: 0,
      waiting: [],
      readQueue: 0,
      writeQueue: 768,
      shutdown: 3,
    },
    {
      ino: 9,
      type: 2,
      state: 7,
      name: undefined,
      file: undefined,
      peer: undefined,
      waiting: [],
      readQueue: 0,
      writeQueue: 0,
      shutdown: 0,
    },
  ]);
});

test('an answer cut short ends where it ends', () => {
  const sockets = new Map<number, SocketFacts>();
  expect(parseAnswer(message(head(1, 7, 9)).subarray(0, 30), sockets)).toBe(false);
  expect(sockets.size).toBe(0);
});

test('an error of the kernel is told by name', () => {
  expect(() => parseAnswer(message(Buffer.from(new Int32Array([-95]).buffer), 2), new Map())).toThrow(
    /EOPNOTSUPP|ENOTSUP/,
  );
});
