/** The engine looks at a queue on its own duplicate: it alone can take the descriptors that are in flight there. */
import {
  type ControlMessage,
  closeFd,
  controlMessages,
  credentialsIn,
  descriptorsIn,
  errnoName,
  rawSyscall,
  receiveAll,
} from '@crts/native-syscalls';
import { unreadable } from './errors';
import type { Peeked, QueueFacts } from './queue';
import { SCM_PIDFD, SOCK_STREAM, SOL_SOCKET } from './sockets';

const SO_PEEK_OFF = 42;
const MSG_PEEK = 0x2;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const EAGAIN = 11;
/** SCM_MAX_FD descriptors, credentials, a pidfd and a label: include/net/scm.h. */
const CONTROL_BYTES = 4096;

/** SO_PEEK_OFF is the program's own but for the moment of the call, and is left alone where nothing comes before. */
export function lookHere(queue: QueueFacts, offset: number, count: number, room: number): readonly Peeked[] {
  const messages: Peeked[] = [];
  let at = offset;
  while (messages.length < count) {
    const isMoved = at > 0 || queue.peekOffset >= 0 || messages.length > 0;
    if (isMoved) setOffset(queue, at);
    const flags = MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC | (queue.type === SOCK_STREAM ? 0 : MSG_TRUNC);
    const got = receiveAll(queue.local, { dataBytes: room, controlBytes: CONTROL_BYTES }, flags);
    if (isMoved) setOffset(queue, queue.peekOffset);
    if (got.result === -EAGAIN) break;
    if (got.result < 0) throw unreadable(queue, errnoName(-got.result));
    const control = controlMessages(got.control);
    closeProcesses(control);
    messages.push({
      sizeBytes: got.result,
      data: Buffer.from(got.data),
      sender: got.address.length > 2 ? Buffer.from(got.address.subarray(2)) : undefined,
      credentials: credentialsIn(control),
      rights: descriptorsIn(control),
    });
    at += got.data.length;
  }
  return messages;
}

function setOffset({ local }: QueueFacts, offset: number): void {
  rawSyscall('setsockopt', local, SOL_SOCKET, SO_PEEK_OFF, new Int32Array([offset]), 4);
}

/** Nobody asked for the process of the sender. */
function closeProcesses(messages: readonly ControlMessage[]): void {
  for (const { type, data } of messages) if (type === SCM_PIDFD) closeFd(data.readInt32LE(0));
}
