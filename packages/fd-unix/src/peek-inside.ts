/** The agent looks at a queue through the task's own descriptor. */
import { controlMessages, credentialsIn, errnoName } from '@crts/native-syscalls';
import type { FrozenTask, Output, Program, Result } from '@crts/plugin-api';
import { unreadable } from './errors';
import type { Look, Peeked, QueueFacts } from './queue';
import { SOCK_STREAM, SOL_SOCKET } from './sockets';

const SO_PEEK_OFF = 42;
const MSG_PEEK = 0x2;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const EAGAIN = 11n;
/** struct msghdr and struct iovec, 64-bit. */
const MSGHDR = { SIZE: 56, NAME: 0, NAME_LENGTH: 8, IOV: 16, IOV_COUNT: 24, CONTROL: 32, CONTROL_LENGTH: 40 } as const;
const IOVEC_SIZE = 16;
/** A sockaddr_un whose path has no NUL, which the kernel adds. */
const ADDRESS_ROOM = 2 + 108 + 1;
/**
 * CMSG_SPACE(sizeof(struct ucred)). Credentials come first and fill it (__scm_recv_common(), net/core/scm.c): nothing that installs a
 * descriptor in the task (SCM_RIGHTS, SCM_PIDFD) finds room. Without SO_PASSCRED there must be none at all.
 */
const CONTROL_ROOM = 32;
interface Peek {
  readonly header: Output;
  readonly data: Output;
  readonly address: Output;
  readonly control: Output;
  readonly result: Result;
}

/**
 * The agent looks, and each of its programs puts SO_PEEK_OFF back before it ends: an engine that dies meanwhile leaves the socket as it
 * was. Descriptors in flight stay there.
 */
export function lookInside(task: FrozenTask): Look {
  return (queue, offset, count, room) => {
    let peeks: Peek[] | undefined;
    task.run((program) => {
      const setOffset = (value: number) => {
        const bytes = Buffer.alloc(4);
        bytes.writeInt32LE(value, 0);
        program.call('setsockopt', [queue.fd, SOL_SOCKET, SO_PEEK_OFF, program.bytes(bytes), 4], { expect: 'any' });
      };
      setOffset(offset);
      peeks = Array.from({ length: count }, () => emitPeek(program, queue, room));
      setOffset(queue.peekOffset);
    });
    // A rehearsal runs nothing.
    if (peeks === undefined) return undefined;
    const messages: Peeked[] = [];
    for (const peek of peeks) {
      const { value } = peek.result;
      if (value === -EAGAIN) break;
      if (value < 0n) throw unreadable(queue, errnoName(Number(-value)));
      messages.push(readPeek(peek, Number(value), room));
    }
    return messages;
  };
}

/** Whether the task stands still and its agent answers. */
export function isStill(task: FrozenTask): boolean {
  let isAsked = false;
  task.run((program) => {
    isAsked = true;
    program.call('getpid', []);
  });
  return isAsked;
}

function emitPeek(program: Program, queue: QueueFacts, room: number): Peek {
  const header = program.out(MSGHDR.SIZE);
  const iov = program.out(IOVEC_SIZE);
  const data = program.out(Math.max(room, 8));
  const address = program.out(ADDRESS_ROOM + 1);
  const control = program.out(CONTROL_ROOM);
  program.store(iov, 0, data, 8);
  program.store(iov, 8, room, 8);
  program.store(header, MSGHDR.NAME, address, 8);
  program.store(header, MSGHDR.NAME_LENGTH, ADDRESS_ROOM, 4);
  program.store(header, MSGHDR.IOV, iov, 8);
  program.store(header, MSGHDR.IOV_COUNT, 1, 8);
  program.store(header, MSGHDR.CONTROL, control, 8);
  program.store(header, MSGHDR.CONTROL_LENGTH, queue.passesCredentials ? CONTROL_ROOM : 0, 8);
  const flags = MSG_PEEK | MSG_DONTWAIT | (queue.type === SOCK_STREAM ? 0 : MSG_TRUNC);
  const result = program.call('recvmsg', [queue.fd, header, flags], {
    expect: 'any',
    what: 'look at the next message',
  });
  return { header, data, address, control, result };
}

function readPeek({ header, data, address, control }: Peek, sizeBytes: number, room: number): Peeked {
  const head = header.read();
  const nameLength = head.readUInt32LE(MSGHDR.NAME_LENGTH);
  const controlLength = Number(head.readBigUInt64LE(MSGHDR.CONTROL_LENGTH));
  return {
    sizeBytes,
    data: Buffer.from(data.read().subarray(0, Math.min(sizeBytes, room))),
    // The family alone: the sender has no name.
    sender: nameLength > 2 ? Buffer.from(address.read().subarray(2, nameLength)) : undefined,
    credentials: credentialsIn(controlMessages(control.read().subarray(0, controlLength))),
    rights: [],
  };
}
