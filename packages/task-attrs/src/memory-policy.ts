import type { CoreEntry } from '@crts/image-io';
import type { FrozenThread, Program, RestoreContext, ThreadPlan } from '@crts/plugin-api';
import { badAttribute } from './errors';
import { ownEntry } from './own-entry';
import { memoryNodes } from './own-thread';

/** Nodes that are asked for: MAX_NUMNODES of distribution kernels; get_mempolicy(2) wants room for all that the kernel has. */
const NODES = 4096;
const MPOL_DEFAULT = 0;
/** Modes without their flags, MPOL_WEIGHTED_INTERLEAVE (Linux 6.9) being the last: include/uapi/linux/mempolicy.h. */
const MODE_MASK = 0x1fff;
const MODE_MAX = 6;
const FLAG_MASK = 0xe000;

/** The thread's own NUMA policy. Those of mappings (mbind) belong to the mappings. */
export function dumpMemoryPolicy(program: Program): (thread: FrozenThread) => void {
  const mode = program.out(4);
  const nodes = program.out(NODES / 8);
  // ENOSYS on a kernel without NUMA.
  const result = program.call('get_mempolicy', [mode, nodes, NODES, null, 0], { expect: 'any' });
  return (thread) => {
    const policy = mode.read().readUInt32LE(0);
    if (result.value !== 0n || policy === MPOL_DEFAULT) return;
    const own = ownEntry(thread.core as CoreEntry);
    own.mem_policy = policy;
    own.mem_nodes = trimmed(nodes.read());
  };
}

export function planMemoryPolicy(core: CoreEntry, plan: ThreadPlan, context: RestoreContext): void {
  const { mem_policy: policy, mem_nodes: nodes } = core.thread_core?.crts ?? {};
  if (policy === undefined || policy === MPOL_DEFAULT) return;
  if ((policy & ~(MODE_MASK | FLAG_MASK)) !== 0 || (policy & MODE_MASK) > MODE_MAX)
    throw badAttribute('thread_core.crts.mem_policy', `0x${policy.toString(16)}`);
  if (nodes !== undefined && nodes.length > NODES / 8)
    throw badAttribute('thread_core.crts.mem_nodes', `${nodes.length} bytes`);
  const mask = Buffer.alloc(NODES / 8);
  mask.set(nodes ?? []);
  const wanted = mask.reduceRight((bits, byte) => (bits << 8n) | BigInt(byte), 0n);
  if (wanted !== 0n && (wanted & memoryNodes()) === 0n) {
    context.log.warn({ tid: plan.tid }, `the NUMA policy is lost: this machine has none of its nodes`);
    return;
  }
  // Late: memory of the restore itself comes from wherever it is free.
  plan.pass({ plugin: 'task-attrs', stage: 'resume', what: `NUMA policy 0x${policy.toString(16)}` }, (program) => {
    // The kernel counts one bit less than it is told: get_nodes(), mm/mempolicy.c.
    program.call('set_mempolicy', [policy, wanted === 0n ? null : program.bytes(mask), wanted === 0n ? 0 : NODES + 1], {
      what: `NUMA policy 0x${policy.toString(16)}`,
    });
  });
}

function trimmed(mask: Buffer): Buffer {
  let end = mask.length;
  while (end > 0 && mask[end - 1] === 0) end--;
  return Buffer.from(mask.subarray(0, end));
}
