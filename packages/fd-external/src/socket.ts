/** Sockets of any family (UNIX ones are those of fd-unix) that stay outside: `--external socket[INODE]`, `--inherit-fd fd[N]:socket:[INODE]`. */
import { rawSyscall } from '@crts/native-syscalls';
import { type FdHandler, type FdPlanContext, type FileRecord, setStatusFlags } from '@crts/plugin-api';
import { noSocket, notHandedBack, otherSocket } from './errors';
import { isOfKind, keptIn, recordOf } from './image';

const KIND = 'socket';
const S_IFMT = 0o170000;
const S_IFSOCK = 0o140000;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_PROTOCOL = 38;
const SO_DOMAIN = 39;
const F_GETFL = 3;
const SHAPE = { inode: 'string', family: 'number', type: 'number', protocol: 'number', flags: 'number' } as const;

export const socketHandler: FdHandler = {
  name: 'fd-external',
  external: ['socket'],

  match(fd, options) {
    // unix_show_fdinfo(), net/unix/af_unix.c: UNIX sockets tell what is in flight, and have a plugin that leaves them outside itself.
    if ((fd.mode & S_IFMT) !== S_IFSOCK || /^scm_fds:/m.test(fd.fdinfo)) return 0;
    return options?.external?.has('socket', String(fd.ino)) === true ? 40 : 0;
  },

  dump: (fd, context) => recordOf(context, KIND, { inode: String(fd.ino), ...familyOf(fd.local)!, flags: fd.flags }),

  owns: (record) => isOfKind(record, KIND),

  collect(record, context): void {
    const { family, type, protocol } = keptIn(record, SHAPE);
    const { fd, key } = handedBack(record, context);
    const now = familyOf(fd);
    if (now === undefined) throw noSocket(key, fd);
    if (now.family !== family || now.type !== type || now.protocol !== protocol)
      throw otherSocket(key, fd, show({ family, type, protocol }), show(now));
  },

  /** The very description of the caller: a socket cannot be opened once more. */
  plan(record, program, context) {
    const { fd, key } = handedBack(record, context);
    const taken = program.receiveFd(fd, { what: `take ${key}, descriptor ${fd} of the caller` });
    setStatusFlags(program, taken, keptIn(record, SHAPE).flags, rawSyscall('fcntl', fd, F_GETFL));
    return taken;
  },
};

function handedBack(record: FileRecord, { options }: FdPlanContext): { readonly fd: number; readonly key: string } {
  const key = `socket:[${keptIn(record, SHAPE).inode}]`;
  const fd = options.inherit?.fdFor(key);
  if (fd === undefined) throw notHandedBack(key, 'the socket', 'Open one of the same kind');
  return { fd, key };
}

interface Family {
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
}

/** Undefined for what is no socket. */
function familyOf(fd: number): Family | undefined {
  const ask = (option: number): number => {
    const value = new Int32Array(1);
    return rawSyscall('getsockopt', fd, SOL_SOCKET, option, value, new Int32Array([4])) < 0 ? -1 : value[0]!;
  };
  const family = ask(SO_DOMAIN);
  return family < 0 ? undefined : { family, type: ask(SO_TYPE), protocol: ask(SO_PROTOCOL) };
}

function show({ family, type, protocol }: Family): string {
  return `family ${family}, type ${type}, protocol ${protocol}`;
}
