/** Character devices by number: which of them an open description says nothing about that a name does not. */
import { type BigIntStats, readFileSync, statSync } from 'node:fs';
import { encodeName } from '@crts/plugin-api';

const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;
const O_ACCMODE = 3;
const O_WRONLY = 1;
/** Misc minor of a real-time clock without a class: include/linux/miscdevice.h. */
const RTC_MISC = '10:135';

/** Without state of their own: Documentation/admin-guide/devices.txt. */
const STATELESS: ReadonlyMap<string, string> = new Map([
  ['1:3', 'null'],
  ['1:5', 'zero'],
  ['1:7', 'full'],
  ['1:8', 'random'],
  ['1:9', 'urandom'],
  ['10:183', 'hwrng'],
]);
const KMSG = '1:11';

export interface Device {
  readonly mode: number;
  /** `1:3`; what it is otherwise: `ENOENT`, `no device`. */
  readonly number: string;
}

/** Whether the number alone says that the device is carried. */
export function isKnown(number: string): boolean {
  return STATELESS.has(number) || number === KMSG || number === RTC_MISC;
}

/** Whether a description of this device can come back by its name. */
export function isCarried(number: string): boolean {
  return isKnown(number) || isClock(number);
}

/**
 * Why a description of a device cannot be carried though others of the device can; undefined when it can. `rtc` is the text of
 * /proc/driver/rtc.
 */
export function stateOf(number: string, flags: number, rtc: () => string = clockText): string | undefined {
  if (number === KMSG && (flags & O_ACCMODE) !== O_WRONLY)
    return 'it reads the messages of the kernel, and where in them it is cannot be seen';
  if (STATELESS.has(number) || !isClock(number)) return undefined;
  const running = [...rtc().matchAll(/^(\S+(?:[ _]\S+)*?)(?: enabled)?\s*: yes$/gm)]
    .map(([, what]) => what!.replaceAll('_', ' '))
    .filter((what) => /IRQ$/.test(what));
  return running.length === 0 ? undefined : `the clock interrupts for it (${running.join(', ')})`;
}

function clockText(): string {
  try {
    return readFileSync('/proc/driver/rtc', 'utf8');
  } catch {
    return '';
  }
}

/** Clocks have a major number of the kernel's choice. */
function isClock(number: string): boolean {
  return number === RTC_MISC || driverOf(number) === 'rtc';
}

/** Name of the driver in /proc/devices; empty when it is not known. */
export function driverOf(number: string, devices = read('/proc/devices')): string {
  const [major] = number.split(':');
  const [characters = ''] = devices.split('Block devices:');
  return new RegExp(`^ *${major} (\\S+)$`, 'm').exec(characters)?.[1] ?? '';
}

/** The name that the kernel has for a node of the device, `/dev/kvm`; undefined when it has none. */
export function usualName(number: string): string | undefined {
  const name = /^DEVNAME=(.+)$/m.exec(read(`/sys/dev/char/${number}/uevent`))?.[1];
  return name === undefined ? undefined : `/dev/${name}`;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

export function isCharacterDevice(mode: number): boolean {
  return (mode & S_IFMT) === S_IFCHR;
}

/** Linux encodes device numbers in 64 bits as glibc's makedev does. */
export function deviceNumber(rdev: bigint): string {
  const low = Number(BigInt.asUintN(32, rdev));
  const high = Number(rdev >> 32n);
  const major = (((low >>> 8) & 0xfff) | (high & 0xfffff000)) >>> 0;
  const minor = ((low & 0xff) | ((low >>> 12) & 0xfff00) | (high << 20)) >>> 0;
  return `${major}:${minor}`;
}

/** What a name leads to. */
export function deviceUnder(path: string): Device {
  let stat: BigIntStats;
  try {
    stat = statSync(encodeName(path), { bigint: true });
  } catch (error) {
    return { mode: 0, number: (error as NodeJS.ErrnoException).code ?? 'EIO' };
  }
  const mode = Number(stat.mode);
  return { mode, number: isCharacterDevice(mode) ? deviceNumber(stat.rdev) : 'no device' };
}
