/** Where in a stream descriptors come: at the first byte that they were sent with. The kernel shows only where that message ends. */
import { closeFd, rawSyscall, syscall } from '@crts/native-syscalls';
import type { QueuedMessage } from './queue';
import { AF_UNIX, SOCK_STREAM, SOL_SOCKET } from './sockets';
import { URGENT } from './urgent';

const SOCK_CLOEXEC = 0o2000000;
const SO_SNDBUFFORCE = 32;
const SIOCOUTQ = 0x5411;
const MSG_DONTWAIT = 0x40;

/**
 * Messages as they were seen, each ending with what brought descriptors. `senderMemory` is what the sender's unread messages take
 * (SIOCOUTQ): when it is what the messages would take if each was sent at once, each was. Else something that brought nothing
 * comes before: then the last byte alone brings the descriptors, so that who reads what comes before does not get them, and lose them.
 */
export function separate(
  messages: readonly QueuedMessage[],
  senderMemory: number | undefined,
): readonly QueuedMessage[] {
  const isDoubtful = messages.some(({ rights, data }) => rights.length > 0 && data.length > 1);
  if (!isDoubtful || senderMemory === undefined || memoryOf(messages) === senderMemory) return messages;
  return messages.flatMap((message) => {
    const { data, rights } = message;
    if (rights.length === 0 || data.length < 2) return [message];
    return [
      { ...message, data: data.subarray(0, -1), rights: [] },
      { ...message, data: data.subarray(-1) },
    ];
  });
}

/** Memory that such messages take in the kernel (skb->truesize), as it is for the engine's own. */
function memoryOf(messages: readonly QueuedMessage[]): number | undefined {
  const pair = new Int32Array(2);
  syscall('socketpair', AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
  const [from, to] = [pair[0]!, pair[1]!];
  try {
    rawSyscall('setsockopt', from, SOL_SOCKET, SO_SNDBUFFORCE, new Int32Array([0x3fff_ffff]), 4);
    for (const { data, urgent } of messages) {
      // The byte that was read is still there: a message of none.
      const bytes = urgent === URGENT.READ ? Buffer.alloc(1) : data;
      if (rawSyscall('sendto', from, bytes, bytes.length, MSG_DONTWAIT, null, 0) !== bytes.length) return undefined;
    }
    const memory = new Int32Array(1);
    syscall('ioctl', from, SIOCOUTQ, memory);
    return memory[0];
  } finally {
    closeFd(from);
    closeFd(to);
  }
}
