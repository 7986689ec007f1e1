import { readFileSync } from 'node:fs';
import {
  ImageWriter,
  type InventoryEntry,
  type MmEntry,
  type PstreeEntry,
  type TaskKobjIdsEntry,
} from '@crts/image-io';
import { ProgramBuilder, xstateComponents } from '@crts/native-syscalls';
import type { FrozenTask, ImageRecord, PageArea, PageStats, VmaFacts } from '@crts/plugin-api';
import { CrtsError, refusedFlag } from '@crts/plugin-api';
import { onCpu } from './cpu';
import { noVmaHandler } from './errors';
import { descriptorNumbers, FileTable } from './file-table';
import { Target } from './freeze';
import { Frozen } from './frozen-task';
import { refuseTask } from './limits';
import { parseStat } from './proc';
import { bestHandler, buildRegistry, checkExternal, type Registry } from './registry';
import { rehearse } from './rehearsal';
import type { DumpOutcome, DumpRequest } from './requests';

/** Numbers that CRIU gives to the kernel objects that tasks share; 1 is the dumper's own. */
const SHARED_IDS = {
  pid_ns_id: 1,
  net_ns_id: 2,
  ipc_ns_id: 3,
  uts_ns_id: 4,
  mnt_ns_id: 6,
  user_ns_id: 7,
  cgroup_ns_id: 8,
  time_ns_id: 5,
};
const ENGINE_IDS: TaskKobjIdsEntry = { vm_id: 1, files_id: 1, fs_id: 1, sighand_id: 1, ...SHARED_IDS };
const TASK_IDS: TaskKobjIdsEntry = { vm_id: 2, files_id: 2, fs_id: 2, sighand_id: 2, ...SHARED_IDS };

/** Images that every dump writes. */
const TASK_IMAGES = ['core', 'ids', 'mm', 'fs', 'pagemap'] as const;
const GLOBAL_IMAGES = [
  ['pstree', undefined],
  ['files', undefined],
  ['seccomp', undefined],
  ['timens', 0],
  ['inventory', undefined],
  ['fdinfo', TASK_IDS.files_id],
  ['pages', 1],
] as const;

/** Freezes the tree, writes its images, and kills, thaws or stops it. Throws CrtsError; then the tree runs on as it was. */
export function dumpTree(request: DumpRequest): DumpOutcome {
  const registry = buildRegistry(request.plugins);
  checkExternal(registry, request.external);
  const writer = ImageWriter.open(request.imagesDir);
  let target: Target | undefined;
  try {
    const task = new Target(request.pid, request.log);
    target = task;
    const cpu = Number(parseStat(readFileSync(`/proc/${request.pid}/stat`, 'utf8')).fields.processor);
    writer.prepare([...GLOBAL_IMAGES, ...TASK_IMAGES.map((kind) => [kind, request.pid] as const)]);
    rehearse(registry, request, task);
    const outcome = onCpu(cpu, () => dumpTask(request, registry, task, writer));
    writer.close();
    task.close();
    return outcome;
  } catch (error) {
    releaseAfter(error, target);
    writer.abort();
    throw error;
  }
}

/** The target runs on as it was; what goes wrong here is listed under the first cause. */
function releaseAfter(error: unknown, target: Target | undefined): void {
  try {
    target?.thaw(false);
    target?.close();
  } catch (cleanup) {
    if (error instanceof CrtsError) error.cleanup.push(cleanup);
  }
}

function dumpTask(request: DumpRequest, registry: Registry, target: Target, writer: ImageWriter): DumpOutcome {
  const { log, pid } = request;
  const wasStopped = /^State:\s+[Tt]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  const started = process.hrtime.bigint();
  const facts = target.freeze();
  const frozen = process.hrtime.bigint();
  log.info({ pid }, `frozen: ${facts.comm}, ${facts.vmas.length} mappings`);
  const task = new Frozen(request, target, facts, new FileTable(registry.fd));
  const refusal = refuseTask(pid, facts, wasStopped, request.shellJob) ?? firstRefusal(registry, task);
  if (refusal !== undefined) throw refusal;
  const numbers = descriptorNumbers(pid);
  target.infect(facts.vmas);
  log.info({ pid }, 'the agent is in');
  task.descriptors = task.files.addDescriptors(task, target.pidfd, numbers);
  task.files.finish();
  const areas = collectTask(registry, task);
  const memory = process.hrtime.bigint();
  const stats = registry.pages.dump(task, areas, writer);
  addGuards(task, stats);
  let pagesId = task.pagesId;
  for (const [shmid, memory] of task.files.sharedMemory)
    registry.pages.dumpShared({ ...memory, shmid, pagesId: ++pagesId }, writer);
  const written = process.hrtime.bigint();
  log.info({ pid, pages: stats.pagesWritten }, 'memory written');
  // A program that goes on need not wait for the small images; one that is to end does until all are in place.
  if (request.finalState !== 'kill') target.thaw(request.finalState === 'leave-stopped');
  writeImages(writer, task);
  writer.commit(request.sync);
  if (request.finalState === 'kill') target.kill();
  log.info(
    { pid },
    request.finalState === 'kill' ? 'images complete, the task is gone' : 'images complete, the task goes on',
  );
  return {
    freezingTimeUs: Number((frozen - started) / 1000n),
    frozenTimeUs: Number((target.endedAt - frozen) / 1000n),
    memdumpTimeUs: Number((written - memory) / 1000n),
    memwriteTimeUs: Number((written - memory) / 1000n),
    pagesScanned: stats.pagesScanned,
    pagesWritten: stats.pagesWritten,
  };
}

export function firstRefusal(registry: Registry, task: FrozenTask): CrtsError | undefined {
  for (const vma of task.facts.vmas) {
    if (vmaHandler(registry, vma) === undefined) return noVmaHandler(task.pid, range(vma), vma.name, refusedFlag(vma));
  }
  for (const handler of registry.taskState) {
    const refusal = handler.refuse?.(task) ?? firstOf(task.threads, (thread) => handler.refuseThread?.(thread));
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

function firstOf<T, R>(list: readonly T[], ask: (one: T) => R | undefined): R | undefined {
  for (const one of list) {
    const answer = ask(one);
    if (answer !== undefined) return answer;
  }
  return undefined;
}

function vmaHandler(registry: Registry, vma: VmaFacts) {
  return bestHandler(registry.vma, (handler) => handler.match(vma), `mapping ${range(vma)}`);
}

function range(vma: VmaFacts): string {
  return `0x${vma.start.toString(16)}-0x${vma.end.toString(16)}`;
}

/** State and mappings: one program of all handlers, one round trip. */
function collectTask(registry: Registry, task: Frozen): PageArea[] {
  const { program, readers } = emitCollection(registry, task);
  task.target.infection.task.run(program);
  for (const read of readers) read();
  return collectMappings(registry, task);
}

export function emitCollection(registry: Registry, task: FrozenTask) {
  const program = new ProgramBuilder();
  const readers: (() => void)[] = [];
  for (const handler of registry.taskState) {
    program.origin = { plugin: handler.name, stage: 'dump' };
    for (const read of [handler.dump?.(task, program), handler.dumpThread?.(task.threads[0]!, program)])
      if (read !== undefined) readers.push(read);
  }
  return { program, readers };
}

export function collectMappings(registry: Registry, task: FrozenTask): PageArea[] {
  const mm = task.images.mm as MmEntry;
  const areas: PageArea[] = [];
  const pkru = pkruOf(task.threads[0]!.state.xstate);
  for (const vma of task.facts.vmas) {
    const { entry, pages } = vmaHandler(registry, vma)!.dump(vma, task);
    mm.vmas.push(entry as MmEntry['vmas'][number]);
    areas.push({
      start: vma.start,
      end: vma.end,
      pages,
      readable: vma.read && mayAccess(pkru, vma.protectionKey ?? 0),
      // CRIU never marks locked memory: it must be there when the program runs.
      lazy: !vma.shared && vma.inode === 0n && pages === 'private' && !vma.vmFlags.has('lo'),
    });
  }
  return areas;
}

/** XFEATURE_PKRU, its place in the xsave area, and the bit that forbids all access to a key: Intel SDM 3, 4.6.2. */
const PKRU = 9;

function pkruOf(xstate: Buffer): number {
  const place = xstateComponents().get(PKRU);
  return place === undefined || place.offset + 4 > xstate.length ? 0 : xstate.readUInt32LE(place.offset);
}

/** The agent runs with the rights of the main thread. */
function mayAccess(pkru: number, key: number): boolean {
  return ((pkru >>> (2 * key)) & 1) === 0;
}

/** VMA_AREA_GUARD of the format. */
const GUARD_STATUS = 0x10000;

function addGuards(task: FrozenTask, stats: PageStats): void {
  for (const { start, end } of stats.guards) {
    (task.images.mm as MmEntry).vmas.push({
      start,
      end,
      pgoff: 0n,
      shmid: 0n,
      prot: 0,
      flags: 0,
      status: GUARD_STATUS,
      fd: -1n,
    });
  }
}

export function writeImages(writer: Pick<ImageWriter, 'write' | 'writeItems'>, task: Frozen): void {
  const { pid, images, facts } = task;
  const tree: PstreeEntry = {
    pid,
    ppid: 0,
    pgid: Number(facts.stat.pgrp),
    sid: Number(facts.stat.session),
    threads: [pid],
  };
  writer.write('pstree', undefined, [tree]);
  writer.write('core', pid, [images.core]);
  writer.write('ids', pid, [TASK_IDS]);
  writer.write('mm', pid, [images.mm]);
  writer.write('fs', pid, [images.fs]);
  writer.write('fdinfo', TASK_IDS.files_id, task.descriptors);
  writer.write('files', undefined, task.files.entries);
  for (const [kind, items] of task.files.items) writer.writeItems(kind, undefined, items);
  if (images.locks.length > 0) writer.write('filelocks', undefined, images.locks);
  if (images.ttys.length > 0) writer.write('tty-info', undefined, images.ttys);
  writer.write('seccomp', undefined, [{ seccomp_filters: [] }]);
  writer.write('timens', 0, [clocks()]);
  const inventory: InventoryEntry = {
    img_version: 2,
    fdinfo_per_id: true,
    root_ids: ENGINE_IDS,
    ns_per_id: true,
    root_cg_set: 1,
    lsmtype: 0,
    network_lock_method: 0,
  };
  writer.write('inventory', undefined, [inventory]);
}

/** The clocks that a time namespace shifts, at the dump: what CRIU needs to set one up for the restored tree. */
function clocks(): ImageRecord {
  const now = process.hrtime.bigint();
  const boot = BigInt(Math.round(Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1e9));
  const timespec = (ns: bigint) => ({ tv_sec: ns / 1_000_000_000n, tv_nsec: ns % 1_000_000_000n });
  return { monotonic: timespec(now), boottime: timespec(boot) };
}
