/** What the engine's own thread has: the system's default, as far as one can tell. Asked once. */
import { rawSyscall, schedAttr } from '@crts/native-syscalls';

const PR_GET_SPECULATION_CTRL = 52;
const PAGE = 4096;

interface OwnThread {
  /** PR_GET_SPECULATION_CTRL of each control; negative where the CPU has none. */
  readonly speculation: readonly number[];
  readonly sliceNs: bigint;
  /** 0 where the kernel has no utilisation clamps. */
  readonly utilMax: number;
}

let known: OwnThread | undefined;

export function ownThread(): OwnThread {
  if (known === undefined) {
    const attributes = Buffer.alloc(schedAttr.size);
    rawSyscall('sched_getattr', 0, attributes, attributes.length, 0);
    known = {
      speculation: [0, 1, 2].map((control) => rawSyscall('prctl', PR_GET_SPECULATION_CTRL, control, 0, 0, 0)),
      sliceNs: schedAttr.get(attributes, 'sched_runtime'),
      utilMax: schedAttr.get(attributes, 'sched_util_max'),
    };
  }
  return known;
}

/** Nodes that have memory, bit n for node n; 1 on a kernel without NUMA. */
export function memoryNodes(): bigint {
  const mask = Buffer.alloc(PAGE / 8);
  const MPOL_F_MEMS_ALLOWED = 4;
  const result = rawSyscall('get_mempolicy', null, mask, mask.length * 8, null, MPOL_F_MEMS_ALLOWED);
  if (result < 0) return 1n;
  return mask.reduceRight((bits, byte) => (bits << 8n) | BigInt(byte), 0n);
}
