/** What fdinfo prints of a fanotify group: fanotify_show_fdinfo(), fanotify_fdinfo(), fs/notify/fdinfo.c. */
import { type FileHandle, parseFileHandle } from '@crts/file-handles';

interface MarkState {
  /** FAN_MARK_* that stay with a mark. */
  readonly flags: number;
  readonly mask: number;
  readonly ignoredMask: number;
}

export type MarkLine = MarkState &
  (
    | { readonly kind: 'inode'; readonly ino: bigint; readonly device: number; readonly handle: FileHandle | undefined }
    | { readonly kind: 'mount'; readonly mntId: number }
    | { readonly kind: 'filesystem'; readonly device: number }
    /** Marks of a kind that crts does not know: the line. */
    | { readonly kind: 'other'; readonly text: string }
  );

export interface GroupLines {
  /** FAN_* of fanotify_init(2). */
  readonly flags: number;
  /** O_* of the descriptors that come with events. */
  readonly eventFlags: number;
  readonly marks: readonly MarkLine[];
}

const STATE = 'mflags:([0-9a-f]+) mask:([0-9a-f]+) ignored_mask:([0-9a-f]+)';
const INODE = new RegExp(`^fanotify ino:([0-9a-f]+) sdev:([0-9a-f]+) ${STATE}`);
const MOUNT = new RegExp(`^fanotify mnt_id:([0-9a-f]+) ${STATE}`);
const FILESYSTEM = new RegExp(`^fanotify sdev:([0-9a-f]+) ${STATE}`);

export function parseGroup(fdinfo: string): GroupLines {
  const [, flags = '0', eventFlags = '0'] = /^fanotify flags:([0-9a-f]+) event-flags:([0-9a-f]+)/m.exec(fdinfo) ?? [];
  const lines = fdinfo
    .split('\n')
    .filter((line) => line.startsWith('fanotify ') && !line.startsWith('fanotify flags:'));
  return { flags: hex(flags), eventFlags: hex(eventFlags), marks: lines.map(parseMark) };
}

function parseMark(line: string): MarkLine {
  const inode = INODE.exec(line);
  if (inode !== null) {
    const [, ino, device, ...state] = inode as unknown as string[];
    return {
      kind: 'inode',
      ino: BigInt(`0x${ino}`),
      device: hex(device!),
      handle: parseFileHandle(line),
      ...stateOf(state),
    };
  }
  const mount = MOUNT.exec(line);
  if (mount !== null) return { kind: 'mount', mntId: hex(mount[1]!), ...stateOf(mount.slice(2)) };
  const filesystem = FILESYSTEM.exec(line);
  if (filesystem !== null) return { kind: 'filesystem', device: hex(filesystem[1]!), ...stateOf(filesystem.slice(2)) };
  return { kind: 'other', text: line, flags: 0, mask: 0, ignoredMask: 0 };
}

function stateOf([flags, mask, ignoredMask]: readonly string[]): MarkState {
  return { flags: hex(flags!), mask: hex(mask!), ignoredMask: hex(ignoredMask!) };
}

function hex(text: string): number {
  return Number.parseInt(text, 16);
}
