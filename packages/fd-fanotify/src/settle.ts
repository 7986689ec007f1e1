/** The end of a group's restore: marks, when nothing that crts does is left to be reported by them. */
import { existsSync } from 'node:fs';
import {
  type Finder,
  ghostLookup,
  pathArgument,
  reachTarget,
  resolveTarget,
  type Target,
  withFinder,
} from '@crts/file-handles';
import type { FanotifyFileEntry, FanotifyMarkEntry } from '@crts/image-io';
import { errnoName, rawSyscall } from '@crts/native-syscalls';
import { encodeName, type FdPlanContext, type Settlement } from '@crts/plugin-api';
import { markGone, markNotAdded } from './errors';
import {
  FAN_EVENT_ON_CHILD,
  FAN_MARK_ADD,
  FAN_MARK_DONT_FOLLOW,
  FAN_MARK_EVICTABLE,
  FAN_MARK_FILESYSTEM,
  FAN_MARK_IGNORE,
  FAN_MARK_IGNORED_MASK,
  FAN_MARK_IGNORED_SURV_MODIFY,
  FAN_MARK_MOUNT,
} from './flags';
import { MARK_INODE } from './image';

const AT_FDCWD = -100;
const ENOTDIR = 20;

/** One fanotify_mark(2). */
export interface MarkCall {
  readonly flags: number;
  readonly mask: number;
}

interface Planned {
  readonly name: string;
  readonly target: Target;
  readonly calls: readonly MarkCall[];
}

export function settleGroup(value: FanotifyFileEntry, context: FdPlanContext): Settlement | undefined {
  if (value.mark.length === 0) return undefined;
  // fdinfo, and so the image, has the newest mark first.
  const planned = withFinder((finder) => [...value.mark].reverse().map((mark) => planMark(mark, finder, context)));
  return {
    what: `${planned.length} marks`,
    run: (local) =>
      withFinder((finder) => {
        for (const { name, target, calls } of planned) {
          // A link of /proc has to be followed to what it stands for; a path never is.
          const follow = target.kind === 'path' ? FAN_MARK_DONT_FOLLOW : 0;
          const done = reachTarget(target, finder, (path) => {
            for (const call of calls) addMark(local, call, follow, path, name);
            return true;
          });
          if (done === undefined) throw markGone(undefined, name);
        }
      }),
  };
}

function planMark(mark: FanotifyMarkEntry, finder: Finder, context: FdPlanContext): Planned {
  const calls = markCalls(mark);
  if (mark.type !== MARK_INODE) {
    const path = mark.me!.path!;
    if (!existsSync(encodeName(path))) throw markGone(path, 'a mount');
    return { name: path, target: { kind: 'path', path, isReplaced: false }, calls };
  }
  const { i_ino, f_handle } = mark.ie!;
  const { path } = f_handle;
  const target = resolveTarget({ device: mark.s_dev, ino: i_ino, entry: f_handle }, finder, ghostLookup(context));
  if (target === undefined) throw markGone(path, 'a file or directory');
  if (target.kind === 'path' && target.isReplaced)
    context.log.warn({ path }, 'fanotify: another object has the name of what was marked');
  return { name: path ?? `inode ${i_ino}`, target, calls };
}

/** A mark is made of events and of events to ignore, which are added one after the other: man 2 fanotify_mark. */
export function markCalls({ type, mflags, mask, ignored_mask }: FanotifyMarkEntry): MarkCall[] {
  const isFilesystem = (mflags & FAN_MARK_FILESYSTEM) !== 0;
  const object = type === MARK_INODE ? 0 : isFilesystem ? FAN_MARK_FILESYSTEM : FAN_MARK_MOUNT;
  const base = FAN_MARK_ADD | object | (mflags & FAN_MARK_EVICTABLE);
  const ignore =
    ((mflags & FAN_MARK_IGNORE) !== 0 ? FAN_MARK_IGNORE : FAN_MARK_IGNORED_MASK) |
    (mflags & FAN_MARK_IGNORED_SURV_MODIFY);
  const calls: MarkCall[] = [];
  if (mask !== 0) calls.push({ flags: base, mask });
  if (ignored_mask !== 0) calls.push({ flags: base | ignore, mask: ignored_mask });
  return calls;
}

function addMark(fd: number, { flags, mask }: MarkCall, follow: number, path: string, name: string): void {
  const mark = (events: number) =>
    rawSyscall('fanotify_mark', fd, flags | follow, events, AT_FDCWD, pathArgument(path));
  let result = mark(mask);
  // Where parents are reported the kernel adds it to marks on files itself, and some groups do not take it (do_fanotify_mark()).
  if (result === -ENOTDIR && (mask & FAN_EVENT_ON_CHILD) !== 0) result = mark(mask & ~FAN_EVENT_ON_CHILD);
  if (result < 0) throw markNotAdded(name, errnoName(-result));
}
