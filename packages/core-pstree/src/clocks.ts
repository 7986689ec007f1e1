/**
 * The clocks that a time namespace shifts (man 7 time_namespaces), CLOCK_MONOTONIC and CLOCK_BOOTTIME: what a dump says of them,
 * and when a restored tree gets a namespace of its own.
 */
import { readFileSync } from 'node:fs';
import type { InventoryEntry, TaskKobjIdsEntry, TimensEntry } from '@crts/image-io';
import { rawSyscall } from '@crts/native-syscalls';
import type { ClockShift, ImageRecord, ImageSource, Logger, Program } from '@crts/plugin-api';
import { badImage } from './errors';
import { noTimeNamespace } from './namespace-errors';
import { namespacesOf, ownNamespace } from './namespaces';

const CLOCKS = { monotonic: 1, boottime: 7 } as const;
const NS_PER_S = 1_000_000_000n;
/** KTIME_SEC_MAX / 2, proc_timens_set_offset(), kernel/time/namespace.c: no clock of a namespace may be set further. */
const CLOCK_SEC_MAX = 4_611_686_018n;
const CLONE_NEWTIME = 0x80;
const AT_FDCWD = -100;
const O_RDONLY = 0;
const O_WRONLY = 1;
/** The namespace for children, which a thread that is alone may enter itself: timens_install(), kernel/time/namespace.c. */
const FOR_CHILDREN = '/proc/self/ns/time_for_children';
const OFFSETS = '/proc/self/timens_offsets';

/** Number of a time namespace that the tree has for itself, in ids-PID.img and as that of timens-ID.img. */
export const OWN_TIME_NS = 9;

/** Offsets of a namespace from the clocks of the machine, and times of both clocks, in nanoseconds. */
type Both = ClockShift;

/** How much further the clocks of a tree are than those of crts; undefined where it has the same. */
export function clockShift(pid: number): ClockShift | undefined {
  if (namespacesOf(pid, ['time'])[0] === ownNamespace('time')) return undefined;
  const [offsets, own] = [offsetsOf(String(pid)), offsetsOf('self')];
  return { monotonic: offsets.monotonic - own.monotonic, boottime: offsets.boottime - own.boottime };
}

/** Both clocks as the tree has them now: timens-ID.img. */
export function clocksOf(shift: ClockShift | undefined): ImageRecord {
  const now = ownClocks();
  const timespec = (ns: bigint) => ({ tv_sec: ns / NS_PER_S, tv_nsec: ns % NS_PER_S });
  return {
    monotonic: timespec(now.monotonic + (shift?.monotonic ?? 0n)),
    boottime: timespec(now.boottime + (shift?.boottime ?? 0n)),
  } satisfies TimensEntry;
}

/** A time namespace that the root of the tree makes, and all others are born in. */
export interface TimeNamespace {
  readonly shift: ClockShift;
  /** Lines of /proc/PID/timens_offsets. */
  readonly offsets: string;
  /** One line for --explain. */
  readonly text: string;
}

type Images = Pick<ImageSource, 'read' | 'has'>;

/**
 * A tree that had a time namespace of its own gets one, where its clocks go on from the dump, as with CRIU. Another one gets it
 * when its clocks would else go back: its images are of another boot. On the boot of the dump its clocks have gone on.
 * @throws CrtsError for images that cannot be true, and where the kernel has no time namespaces and the tree had one
 */
export function planClocks(images: Images, rootPid: number, log: Logger): TimeNamespace | undefined {
  const inventory = images.read('inventory', undefined)[0] as InventoryEntry | undefined;
  const ids = images.read('ids', rootPid)[0] as TaskKobjIdsEntry | undefined;
  const id = ids?.time_ns_id;
  const isOwn = id !== undefined && inventory?.root_ids !== undefined && id !== inventory.root_ids.time_ns_id;
  const image = isOwn ? id : 0;
  if (!images.has('timens', image)) return undefined;
  const dumped = readClocks(images, image);
  const now = ownClocks();
  const behind = (['monotonic', 'boottime'] as const).filter((clock) => isOwn || dumped[clock] > now[clock]);
  if (behind.length === 0) return undefined;
  let own: Both;
  try {
    own = offsetsOf('self');
  } catch {
    if (isOwn) throw noTimeNamespace();
    log.warn({}, 'the kernel has no time namespaces: clocks of the program (CLOCK_MONOTONIC, CLOCK_BOOTTIME) go back');
    return undefined;
  }
  const shiftOf = (clock: keyof Both) => (behind.includes(clock) ? dumped[clock] - now[clock] : 0n);
  const shift = { monotonic: shiftOf('monotonic'), boottime: shiftOf('boottime') };
  const line = (clock: keyof Both) => {
    const offset = own[clock] + shift[clock];
    // Of both parts the kernel takes only the seconds as signed.
    const nanoseconds = ((offset % NS_PER_S) + NS_PER_S) % NS_PER_S;
    return `${clock} ${(offset - nanoseconds) / NS_PER_S} ${nanoseconds}\n`;
  };
  const text = behind.map((clock) => `${clock} from ${seconds(dumped[clock])}`).join(', ');
  return { shift, offsets: line('monotonic') + line('boottime'), text: `time namespace: ${text}` };
}

/** In the root, which has no threads and no children yet. */
export function enterTimeNamespace(program: Program, { offsets, text }: TimeNamespace): void {
  program.call('unshare', [CLONE_NEWTIME], { what: text });
  const file = program.call('openat', [AT_FDCWD, program.cstring(OFFSETS), O_WRONLY, 0]);
  const bytes = Buffer.from(offsets);
  program.call('write', [file, program.bytes(bytes), bytes.length], { expect: bytes.length, what: offsets.trim() });
  program.call('close', [file]);
  const namespace = program.call('openat', [AT_FDCWD, program.cstring(FOR_CHILDREN), O_RDONLY, 0]);
  program.call('setns', [namespace, CLONE_NEWTIME], { what: 'enter it' });
  program.call('close', [namespace]);
}

function readClocks(images: Images, id: number): Both {
  const entry = images.read('timens', id)[0] as TimensEntry | undefined;
  if (entry === undefined) throw badImage('CRTS_IMAGE_FIELD', `timens-${id}.img`, 'no clocks are there');
  const { monotonic, boottime } = entry;
  for (const { tv_sec, tv_nsec } of [monotonic, boottime])
    if (tv_sec > CLOCK_SEC_MAX || tv_nsec >= NS_PER_S)
      throw badImage('CRTS_IMAGE_FIELD', `timens-${id}.img`, `${tv_sec} s and ${tv_nsec} ns are no time of a clock`);
  const nanoseconds = ({ tv_sec, tv_nsec }: TimensEntry['monotonic']) => tv_sec * NS_PER_S + tv_nsec;
  return { monotonic: nanoseconds(monotonic), boottime: nanoseconds(boottime) };
}

function ownClocks(): Both {
  const read = (clock: number) => {
    const time = new BigInt64Array(2);
    rawSyscall('clock_gettime', clock, time);
    return time[0]! * NS_PER_S + time[1]!;
  };
  return { monotonic: read(CLOCKS.monotonic), boottime: read(CLOCKS.boottime) };
}

/** Of the namespace that children of the process are born in, which is its own unless it has made another one. */
function offsetsOf(pid: string): Both {
  const text = readFileSync(`/proc/${pid}/timens_offsets`, 'utf8');
  const offset = (clock: string) => {
    const [, sec = '0', nsec = '0'] = new RegExp(`^${clock}\\s+(-?\\d+)\\s+(\\d+)$`, 'm').exec(text) ?? [];
    return BigInt(sec) * NS_PER_S + BigInt(nsec);
  };
  return { monotonic: offset('monotonic'), boottime: offset('boottime') };
}

function seconds(ns: bigint): string {
  return `${(Number(ns) / 1e9).toFixed(3)} s`;
}
