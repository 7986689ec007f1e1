/** SO_* options: man 7 socket, sk_getsockopt() and sk_setsockopt() in net/core/sock.c. */
import type { SkOptsEntry } from '@crts/image-io';
import { closeFd, rawSyscall, syscall } from '@crts/native-syscalls';
import type { Arg, Program } from '@crts/plugin-api';
import { ebpfFilter } from './errors';
import type { CrtsSocketOption } from './image';
import { AF_UNIX, SOL_SOCKET } from './sockets';

const SO = {
  REUSEADDR: 2,
  DONTROUTE: 5,
  BROADCAST: 6,
  SNDBUF: 7,
  RCVBUF: 8,
  KEEPALIVE: 9,
  OOBINLINE: 10,
  NO_CHECK: 11,
  PRIORITY: 12,
  LINGER: 13,
  REUSEPORT: 15,
  PASSCRED: 16,
  RCVLOWAT: 18,
  RCVTIMEO: 20,
  SNDTIMEO: 21,
  BINDTODEVICE: 25,
  FILTER: 26,
  SNDBUFFORCE: 32,
  RCVBUFFORCE: 33,
  PASSSEC: 34,
  MARK: 36,
  BUF_LOCK: 72,
} as const;

/**
 * Options without a field of their own in the format. What differs from a new socket of the same type is kept, whatever the defaults
 * of this kernel are. In the order in which they are set: a locked filter and refused descriptors (SO_PASSRIGHTS) come last.
 */
const FURTHER: ReadonlyMap<number, string> = new Map([
  [1, 'SO_DEBUG'],
  [29, 'SO_TIMESTAMP'],
  [35, 'SO_TIMESTAMPNS'],
  [37, 'SO_TIMESTAMPING'],
  [63, 'SO_TIMESTAMP_NEW'],
  [64, 'SO_TIMESTAMPNS_NEW'],
  [65, 'SO_TIMESTAMPING_NEW'],
  [40, 'SO_RXQ_OVFL'],
  [41, 'SO_WIFI_STATUS'],
  [43, 'SO_NOFCS'],
  [45, 'SO_SELECT_ERR_QUEUE'],
  [46, 'SO_BUSY_POLL'],
  [47, 'SO_MAX_PACING_RATE'],
  [60, 'SO_ZEROCOPY'],
  [61, 'SO_TXTIME'],
  [69, 'SO_PREFER_BUSY_POLL'],
  [70, 'SO_BUSY_POLL_BUDGET'],
  [73, 'SO_RESERVE_MEM'],
  [74, 'SO_TXREHASH'],
  [75, 'SO_RCVMARK'],
  [76, 'SO_PASSPIDFD'],
  [82, 'SO_RCVPRIORITY'],
  [84, 'SO_INQ'],
  [42, 'SO_PEEK_OFF'],
  [44, 'SO_LOCK_FILTER'],
  [83, 'SO_PASSRIGHTS'],
]);

export const OPTION_BYTES_MAX = 16;
const FILTER_MAX = 4096;
const EACCES = 13;

export function furtherOptionName(name: number): string | undefined {
  return FURTHER.get(name);
}

/** Value of an option; undefined where this kernel does not have it. */
export function getOption(fd: number, name: number, sizeBytes = 4): Buffer | undefined {
  const value = Buffer.alloc(sizeBytes);
  const length = new Int32Array([sizeBytes]);
  const result = rawSyscall('getsockopt', fd, SOL_SOCKET, name, value, length);
  return result < 0 ? undefined : value.subarray(0, length[0]);
}

function getInt(fd: number, name: number): number {
  return getOption(fd, name)?.readInt32LE(0) ?? 0;
}

/** `sk_opts_entry`. Throws where a filter cannot be read. */
export function dumpOptions(fd: number, subject: { pid: number; fd: number }): SkOptsEntry {
  const isSet = (name: number) => getInt(fd, name) !== 0;
  const [sendTimeout, receiveTimeout] = [SO.SNDTIMEO, SO.RCVTIMEO].map((name) => getOption(fd, name, 16)!);
  const linger = getOption(fd, SO.LINGER, 8)!;
  const mark = getInt(fd, SO.MARK) >>> 0;
  const bufferLock = getOption(fd, SO.BUF_LOCK);
  const device = getOption(fd, SO.BINDTODEVICE, 16);
  return {
    so_sndbuf: getInt(fd, SO.SNDBUF),
    so_rcvbuf: getInt(fd, SO.RCVBUF),
    so_snd_tmo_sec: sendTimeout!.readBigUInt64LE(0),
    so_snd_tmo_usec: sendTimeout!.readBigUInt64LE(8),
    so_rcv_tmo_sec: receiveTimeout!.readBigUInt64LE(0),
    so_rcv_tmo_usec: receiveTimeout!.readBigUInt64LE(8),
    reuseaddr: isSet(SO.REUSEADDR),
    so_priority: getInt(fd, SO.PRIORITY),
    so_rcvlowat: getInt(fd, SO.RCVLOWAT),
    so_mark: mark === 0 ? undefined : mark,
    so_passcred: isSet(SO.PASSCRED),
    so_passsec: isSet(SO.PASSSEC),
    so_dontroute: isSet(SO.DONTROUTE),
    so_no_check: isSet(SO.NO_CHECK),
    so_bound_dev:
      device === undefined || device.length === 0 ? undefined : device.toString('latin1').replace(/\0.*$/s, ''),
    so_filter: dumpFilter(fd, subject),
    so_reuseport: isSet(SO.REUSEPORT),
    so_broadcast: isSet(SO.BROADCAST),
    so_keepalive: isSet(SO.KEEPALIVE),
    so_oobinline: isSet(SO.OOBINLINE) ? 1 : 0,
    so_linger: linger.readInt32LE(0) === 0 ? undefined : linger.readInt32LE(4),
    so_buf_lock: bufferLock?.readUInt32LE(0),
  };
}

/** Classic BPF instructions, eight bytes each; asked without room, the kernel tells their number. */
function dumpFilter(fd: number, subject: { pid: number; fd: number }): bigint[] {
  const length = new Int32Array(1);
  const result = rawSyscall('getsockopt', fd, SOL_SOCKET, SO.FILTER, null, length);
  // sk_get_filter(), net/core/filter.c: an eBPF program has no instructions of the old kind.
  if (result === -EACCES) throw ebpfFilter(subject);
  if (result < 0 || length[0] === 0) return [];
  const code = Buffer.alloc(8 * length[0]!);
  syscall('getsockopt', fd, SOL_SOCKET, SO.FILTER, code, length);
  return Array.from({ length: length[0]! }, (_, index) => code.readBigUInt64LE(8 * index));
}

/** Options that the format has no field for, where they differ from those of a new socket. */
export function dumpFurtherOptions(fd: number, type: number): CrtsSocketOption[] {
  const fresh = syscall('socket', AF_UNIX, type | 0o2000000, 0);
  try {
    return [...FURTHER.keys()].flatMap((name) => {
      const value = getOption(fd, name, OPTION_BYTES_MAX);
      if (value === undefined || getOption(fresh, name, OPTION_BYTES_MAX)?.equals(value)) return [];
      return [{ name, value }];
    });
  } finally {
    closeFd(fresh);
  }
}

/** Room for what is in the queues, whatever its limits are in the end. */
export function emitLargeBuffers(program: Program, fd: Arg): void {
  const half = program.bytes(int(0x3fff_ffff));
  program.call('setsockopt', [fd, SOL_SOCKET, SO.SNDBUFFORCE, half, 4], { what: 'let the queue take all' });
}

/** A new socket becomes one with these options. What it is by birth is not set again. */
export function emitOptions(
  program: Program,
  fd: Arg,
  options: SkOptsEntry,
  further: readonly CrtsSocketOption[],
): void {
  const set = (name: number, value: Buffer, what: string) => {
    program.call('setsockopt', [fd, SOL_SOCKET, name, program.bytes(value), value.length], { what: `set ${what}` });
  };
  // The kernel doubles what it is told: sock_setsockopt(), man 7 socket.
  set(SO.SNDBUFFORCE, int(options.so_sndbuf >>> 1), `SO_SNDBUF ${options.so_sndbuf}`);
  set(SO.RCVBUFFORCE, int(options.so_rcvbuf >>> 1), `SO_RCVBUF ${options.so_rcvbuf}`);
  if (options.so_buf_lock !== undefined) set(SO.BUF_LOCK, int(options.so_buf_lock), 'SO_BUF_LOCK');
  for (const [value, name, what] of [
    [options.so_priority, SO.PRIORITY, 'SO_PRIORITY'],
    [options.so_mark, SO.MARK, 'SO_MARK'],
  ] as const)
    if (value !== undefined && value !== 0) set(name, int(value), what);
  if (options.so_rcvlowat !== undefined && options.so_rcvlowat !== 1)
    set(SO.RCVLOWAT, int(options.so_rcvlowat), 'SO_RCVLOWAT');
  for (const [value, name, what] of [
    [options.reuseaddr, SO.REUSEADDR, 'SO_REUSEADDR'],
    [options.so_reuseport, SO.REUSEPORT, 'SO_REUSEPORT'],
    [options.so_passcred, SO.PASSCRED, 'SO_PASSCRED'],
    [options.so_passsec, SO.PASSSEC, 'SO_PASSSEC'],
    [options.so_dontroute, SO.DONTROUTE, 'SO_DONTROUTE'],
    [options.so_no_check, SO.NO_CHECK, 'SO_NO_CHECK'],
    [options.so_broadcast, SO.BROADCAST, 'SO_BROADCAST'],
    [options.so_keepalive, SO.KEEPALIVE, 'SO_KEEPALIVE'],
    [options.so_oobinline, SO.OOBINLINE, 'SO_OOBINLINE'],
  ] as const)
    if (value) set(name, int(1), what);
  if (options.so_linger !== undefined) set(SO.LINGER, Buffer.concat([int(1), int(options.so_linger)]), 'SO_LINGER');
  const timeouts = [
    [options.so_snd_tmo_sec, options.so_snd_tmo_usec, SO.SNDTIMEO, 'SO_SNDTIMEO'],
    [options.so_rcv_tmo_sec, options.so_rcv_tmo_usec, SO.RCVTIMEO, 'SO_RCVTIMEO'],
  ] as const;
  for (const [seconds, microseconds, name, what] of timeouts) {
    if (seconds === 0n && microseconds === 0n) continue;
    const value = Buffer.alloc(16);
    value.writeBigUInt64LE(seconds, 0);
    value.writeBigUInt64LE(microseconds, 8);
    set(name, value, what);
  }
  if (options.so_bound_dev !== undefined && options.so_bound_dev !== '')
    set(SO.BINDTODEVICE, Buffer.from(`${options.so_bound_dev}\0`), `SO_BINDTODEVICE ${options.so_bound_dev}`);
  if (options.so_filter.length > 0) emitFilter(program, fd, options.so_filter);
  for (const name of FURTHER.keys()) {
    const option = further.find((one) => one.name === name);
    if (option !== undefined) set(name, Buffer.from(option.value), FURTHER.get(name)!);
  }
}

/** struct sock_fprog: a count and a pointer. */
function emitFilter(program: Program, fd: Arg, filter: readonly bigint[]): void {
  const code = Buffer.alloc(8 * filter.length);
  filter.forEach((instruction, index) => {
    code.writeBigUInt64LE(instruction, 8 * index);
  });
  const head = Buffer.alloc(16);
  head.writeUInt16LE(filter.length, 0);
  const fprog = program.bytes(head);
  program.store(fprog, 8, program.bytes(code), 8);
  program.call('setsockopt', [fd, SOL_SOCKET, SO.FILTER, fprog, 16], { what: 'attach the filter' });
}

export function isFilterTooLong(filter: readonly bigint[]): boolean {
  return filter.length > FILTER_MAX;
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value | 0, 0);
  return bytes;
}
