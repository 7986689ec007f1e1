import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { nativeMissing, nativeProtocol } from './errors';
import { PROTOCOL } from './remote/protocol';

/** What a word of C may be given as: see addon.h ToWord(). */
export type Word = number | bigint | Uint8Array | ArrayBuffer | BigInt64Array | BigUint64Array | Int32Array | null;

/** Work in a thread of the addon, to be finished once. */
export interface Job {
  readonly isJob: never;
}

export interface Addon {
  readonly protocol: number;
  syscall(nr: number, ...args: Word[]): number | bigint;
  syscalls(table: BigInt64Array, count: number): void;
  startSyscalls(table: BigInt64Array, count: number): Job;
  finish(job: Job): void;
  ptraceStep(request: number, pid: number, signal: number): number;
  ptraceSyscallStops(pid: number, stops: number, call: number, regs: Uint8Array): number;
  addressOf(buffer: Uint8Array | ArrayBuffer | BigUint64Array): bigint;
  mapShared(fd: number, sizeBytes: number): ArrayBuffer | number;
  unmap(buffer: ArrayBuffer): void;
  spawn(
    path: Uint8Array,
    argv: BigUint64Array,
    doorbell: number,
    number: number,
    pid: number,
    flags: bigint,
    failure: BigInt64Array,
  ): number;
  checksum(fd: number, offset: bigint, lengthBytes: bigint, out: Uint8Array): number;
  describe(pid: number, pidfd: number, fds: Int32Array, first: number, out: Uint8Array): number;
  describePath(path: Uint8Array, out: Uint8Array): number;
  identify(path: Uint8Array, follow: number, into: BigUint64Array): number;
  helpPages(
    pid: number,
    fd: number,
    runs: Uint8Array,
    bounds: Uint32Array,
    count: number,
    next: Uint8Array,
    threads: number,
    most: number,
    failed: Int32Array,
    store: number,
  ): number;
  listDescriptors(pid: number, linkPart: Uint8Array, into: Int32Array): number;
  searchFile(rows: Int32Array, count: number, pid: number, fd: number): number;
  closeAll(fds: Int32Array, count: number): number;
  setFlags(text: Uint8Array): number;
  readFile(path: string, into: Uint8Array): number;
  readMappings(path: string, into: Uint8Array): number;
  readFiles(paths: Uint8Array, first: number, into: Uint8Array, ends: Int32Array): number;
  cpuid(leaf: number, subleaf: number): [number, number, number, number];
}

let loaded: { addon: Addon; directory: string } | undefined;

/** Loads crts.node once: $CRTS_NATIVE, the checkout's build, beside the bundle, the platform package. */
function load(): { addon: Addon; directory: string } {
  if (loaded !== undefined) return loaded;
  const tried: string[] = [];
  let cause: unknown;
  for (const directory of candidates()) {
    const file = join(directory, 'crts.node');
    tried.push(file);
    if (!existsSync(file)) continue;
    const module = { exports: {} as Addon };
    try {
      process.dlopen(module, file);
    } catch (error) {
      cause = error;
      continue;
    }
    if (module.exports.protocol !== PROTOCOL) throw nativeProtocol(file, module.exports.protocol, PROTOCOL);
    loaded = { addon: module.exports, directory };
    return loaded;
  }
  throw nativeMissing(tried, cause);
}

function* candidates(): Generator<string> {
  const fromEnvironment = process.env.CRTS_NATIVE;
  if (fromEnvironment !== undefined) yield fromEnvironment;
  // A checkout: packages/X/{src,dist}/... or the bundle in packages/cli/dist.
  for (const up of ['../../..', '../../../..']) {
    if (existsSync(join(__dirname, up, 'native/binding.gyp'))) yield join(__dirname, up, 'native/build/Release');
  }
  yield join(__dirname, 'native');
  try {
    yield join(dirname(require.resolve('@crts/native-linux-x64/package.json')), 'prebuilt');
  } catch {
    yield '@crts/native-linux-x64 (not installed)';
  }
}

export function addon(): Addon {
  return load().addon;
}

let blob: Buffer | undefined;

/** The agent's code, position independent, entry at its first byte. Read once. */
export function agentBlob(): Buffer {
  blob ??= readFileSync(join(load().directory, 'agent.bin'));
  return blob;
}

/** Path of the stub, the first program of a restored task. */
export function stubPath(): string {
  return join(load().directory, 'stub');
}
