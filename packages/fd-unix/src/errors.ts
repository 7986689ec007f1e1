import { CrtsError } from '@crts/plugin-api';
import { familyName, typeName } from './sockets';

const PLUGIN = 'fd-unix';

interface Subject {
  readonly pid: number;
  readonly fd: number;
  readonly path?: string | undefined;
}

function refused(code: string, { pid, fd, path }: Subject, what: string, hint: string): CrtsError {
  return new CrtsError({ code, kind: 'refused', plugin: PLUGIN, pid, fd: fd < 0 ? undefined : fd, path, what, hint });
}

export function badSocket(id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path: 'files.img',
    what: `unix_sk_entry ${id}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function badPeer(id: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_REFERENCE',
    plugin: PLUGIN,
    path: 'files.img',
    what: `unix_sk_entry ${id}: ${what}`,
    hint: 'The image is damaged, or comes from a newer dumper.',
  });
}

export function badPacket(index: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    path: 'sk-queues.img',
    what: `message ${index}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function noSuchFile(id: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_REFERENCE',
    plugin: PLUGIN,
    path: 'sk-queues.img',
    what: `a message brings file ${id}, which cannot be opened`,
    hint: 'The image is damaged.',
  });
}

/** A socket is opened with those that it is connected to, never as a file that something else refers to. */
export function notAlone(id: number): CrtsError {
  return badPeer(id, 'something other than a descriptor refers to it');
}

export function ebpfFilter(subject: Subject): CrtsError {
  return refused(
    'CRTS_SOCKET_FILTER',
    subject,
    'the socket has an eBPF filter, which no program can read back',
    'Only classic filters (SO_ATTACH_FILTER) are carried.',
  );
}

export function otherFamily(subject: Subject, family: number, type: number): CrtsError {
  return refused(
    'CRTS_SOCKET_FAMILY',
    subject,
    `a socket of family ${familyName(family)} (${typeName(type)}), which crts does not carry yet`,
    "UNIX sockets are carried. Dump when the program has closed this one, or leave it outside: --external 'socket[INODE]', --inherit-fd 'fd[N]:socket:[INODE]'.",
  );
}

export function otherType(subject: Subject, type: number): CrtsError {
  return refused(
    'CRTS_SOCKET_TYPE',
    subject,
    `a UNIX socket of ${typeName(type)}`,
    'Stream, datagram and seqpacket sockets are carried.',
  );
}

export function vanished(subject: Subject, ino: number): CrtsError {
  return refused(
    'CRTS_SOCKET_NAMESPACE',
    subject,
    `UNIX socket ${ino} is not in the network namespace that crts runs in`,
    'Run crts in the network namespace where the socket was made (nsenter -n).',
  );
}

export function urgentData(subject: Subject): CrtsError {
  return refused(
    'CRTS_SOCKET_URGENT',
    subject,
    'out-of-band data (MSG_OOB) waits in the socket, and its place among the other bytes cannot be seen',
    'Dump when the program has read it.',
  );
}

export function errorBeforeData(subject: Subject): CrtsError {
  return refused(
    'CRTS_SOCKET_ERROR',
    subject,
    'an error waits in the socket before unread messages: looking at them would clear it',
    'Dump when the program has used the socket.',
  );
}

export function messageTooLarge(subject: Subject, sizeBytes: number): CrtsError {
  return refused(
    'CRTS_SOCKET_MESSAGE',
    subject,
    `a message of ${sizeBytes} bytes waits in the socket, more than crts carries at once`,
    'Dump when the program has read it.',
  );
}

export function unreadable(subject: Subject, errno: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_SOCKET_QUEUE',
    plugin: PLUGIN,
    ...subject,
    what: 'the messages that wait in the socket cannot be read',
    call: 'recvmsg(MSG_PEEK)',
    errno,
  });
}

export function descriptorsInFlight(subject: Subject, count: number): CrtsError {
  return refused(
    'CRTS_SOCKET_RIGHTS',
    subject,
    `${count} descriptors are in flight in the socket (SCM_RIGHTS) that its messages do not show`,
    'Dump when the program has received them.',
  );
}

export function outsidePeer(subject: Subject, ino: number, peer: number, who: string): CrtsError {
  return refused(
    'CRTS_SOCKET_PEER',
    subject,
    `UNIX socket ${ino} is connected to socket ${peer}, which ${who}`,
    `Dump both ends; or pass --external 'unix[${ino}]', and at restore --ext-unix-sk or --inherit-fd 'fd[N]:socket:[${ino}]'.`,
  );
}

export function outsideClient(subject: Subject, ino: number, peer: number, who: string): CrtsError {
  return refused(
    'CRTS_SOCKET_PEER',
    subject,
    `socket ${peer} waits to be accepted by UNIX socket ${ino}, and ${who}`,
    'Dump when the program has accepted it and is done with it.',
  );
}

export function waitingClosed(subject: Subject, ino: number): CrtsError {
  return refused(
    'CRTS_SOCKET_WAITING',
    subject,
    `a connection that was closed before it is accepted waits at UNIX socket ${ino}; whether it brings data cannot be told`,
    'Dump again when the program has accepted it (docs/adr/0029-data-before-accept.md).',
  );
}

export function waitingData(subject: Subject, ino: number): CrtsError {
  return refused(
    'CRTS_SOCKET_WAITING',
    subject,
    `UNIX socket ${ino} has sent data and waits to be accepted: no one can look at the data yet`,
    'Dump again when the program has accepted the connection (docs/adr/0029-data-before-accept.md).',
  );
}

export function unreachable(subject: Subject, ino: number, peer: number): CrtsError {
  return refused(
    'CRTS_SOCKET_UNREACHABLE',
    subject,
    `UNIX socket ${ino} sends to socket ${peer}, which has no name and is connected elsewhere`,
    'Give the receiving socket a name.',
  );
}

export function leftOutside(id: number, ino: number, name: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_SOCKET_EXTERNAL',
    kind: 'refused',
    plugin: PLUGIN,
    what: `socket ${ino} (file ${id}) was connected to ${name === '' ? 'a socket without a name' : name} outside the dumped tree`,
    hint: `Pass ${name === '' ? '' : '--ext-unix-sk to connect it there again, or '}--inherit-fd 'fd[N]:socket:[${ino}]'.`,
  });
}

export function inheritedInside(id: number, ino: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_SOCKET_INHERIT',
    kind: 'refused',
    plugin: PLUGIN,
    what: `socket ${ino} (file ${id}) is connected inside the tree, so no descriptor can be handed back for it`,
    hint: 'Leave --inherit-fd out.',
  });
}

export function nameInUse(path: string, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_SOCKET_NAME_USED',
    plugin: PLUGIN,
    path,
    what: `the name of a socket of the images is taken by ${what}`,
    hint: 'Stop who uses it, or move the file away.',
  });
}

export function notBound(path: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_SOCKET_BIND',
    plugin: PLUGIN,
    path,
    what: 'a socket cannot be given its name',
    errno,
    hint:
      errno === 'ENOENT'
        ? 'The directory of the name must exist where the program is restored.'
        : 'EADDRINUSE: another program has a socket of this name.',
  });
}

export function notConnected(path: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_SOCKET_CONNECT',
    plugin: PLUGIN,
    path,
    what: 'a socket cannot be connected again',
    errno,
    hint: 'The other end must be there under its name when the program is restored.',
  });
}
