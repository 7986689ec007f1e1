import { ImageWriter, type InventoryEntry } from '@crts/image-io';
import { CrtsError, type PageStats } from '@crts/plugin-api';
import { collectMappings, firstRefusal } from './collect';
import { onCpu } from './cpu';
import { FileTable } from './file-table';
import { FrozenTree } from './freeze';
import { Frozen } from './frozen-task';
import { refuseRoot, refuseTask } from './limits';
import { ENGINE_IDS, ObjectIds } from './object-ids';
import { ParentSet, startTracking } from './parent-set';
import { buildRegistry, checkExternal, type Registry } from './registry';
import type { DumpOutcome, DumpRequest } from './requests';

/** PRE_DUMP_READ of the format: pages are read while the tree runs on. */
const PRE_DUMP_READ = 2;

/**
 * Stores the memory of a tree that goes on: it stands still only while its pages are chosen, and what it writes from then on
 * is tracked, so that a dump with this set as its parent stores that alone.
 */
export function preDumpTree(request: DumpRequest): DumpOutcome {
  const registry = buildRegistry(request.plugins);
  checkExternal(registry, request.external);
  const writer = ImageWriter.open(request.imagesDir);
  let tree: FrozenTree | undefined;
  let parent: ParentSet | undefined;
  try {
    parent = new ParentSet(request);
    tree = new FrozenTree(request.pid, request.log);
    const outcome = preDump(request, registry, tree, writer, parent);
    writer.close();
    tree.close();
    return outcome;
  } catch (error) {
    tree?.letGo((cleanup) => {
      if (error instanceof CrtsError) error.cleanup.push(cleanup);
    });
    tree?.close();
    writer.abort();
    throw error;
  } finally {
    parent?.close();
  }
}

function preDump(
  request: DumpRequest,
  registry: Registry,
  tree: FrozenTree,
  writer: ImageWriter,
  parent: ParentSet,
): DumpOutcome {
  const { log, pid } = request;
  const started = process.hrtime.bigint();
  onCpu(tree.root.cpu, () => tree.freeze());
  const frozen = process.hrtime.bigint();
  const members = lookAt(request, registry, tree, parent);
  parent.tracker.leaveParent();
  for (const { target } of members) onCpu(target.cpu, () => target.infect());
  const writers = members.map(({ target, task, tracked }) =>
    onCpu(target.cpu, () => {
      const areas = collectMappings(registry, task, startTracking(task, tracked, parent));
      const pages = tracked.size > 0 ? parent.pagesOf(registry, task.pid) : undefined;
      return registry.pages.preDump(task, areas, writer, { parent: pages, startOver: true });
    }),
  );
  for (const { target } of members) onCpu(target.cpu, () => target.cure());
  const thawed = process.hrtime.bigint();
  for (const { target } of members) target.detach(false);
  log.info({ pid }, `the tree goes on after ${Number((thawed - frozen) / 1000n)} us`);
  const stats: PageStats[] = writers.map((write) => write());
  const written = process.hrtime.bigint();
  const inventory: InventoryEntry = {
    img_version: 2,
    fdinfo_per_id: true,
    root_ids: ENGINE_IDS,
    ns_per_id: true,
    root_cg_set: 1,
    lsmtype: 0,
    pre_dump_mode: PRE_DUMP_READ,
    network_lock_method: 0,
    crts_tracker: parent.tracker.hold(pid),
  };
  writer.write('inventory', undefined, [inventory]);
  parent.link();
  writer.commit(request.sync);
  const sum = (field: 'pagesScanned' | 'pagesWritten') => stats.reduce((total, one) => total + one[field], 0);
  log.info({ pid, pages: sum('pagesWritten') }, 'pre-dump complete');
  return {
    freezingTimeUs: Number((frozen - started) / 1000n),
    frozenTimeUs: Number((thawed - frozen) / 1000n),
    memdumpTimeUs: Number((thawed - frozen) / 1000n),
    memwriteTimeUs: Number((written - thawed) / 1000n),
    pagesScanned: sum('pagesScanned'),
    pagesWritten: sum('pagesWritten'),
  };
}

/** The files of mappings are the dump's: here only their pages count. */
class NoFiles extends FileTable {
  override addPath(): number {
    return 0;
  }
}

/** What a dump would refuse is refused here: memory alone that nothing can be built on is of no use. */
function lookAt(request: DumpRequest, registry: Registry, tree: FrozenTree, parent: ParentSet) {
  const ids = new ObjectIds();
  const files = new NoFiles(registry.fd, []);
  const members = tree.targets.map((target, index) => {
    const { vmas, tracked } = parent.view(target);
    const place = { ppid: tree.parentOf(target.pid), pagesId: index + 1, ids: ids.add(target.pid).ids, vmas };
    return { target, tracked, task: new Frozen(request, target, files, place) };
  });
  const root = members[0]!.task;
  const refusal = refuseRoot(root.pid, root.facts, request.shellJob);
  if (refusal !== undefined) throw refusal;
  for (const { task } of members) {
    const reason = refuseTask(task) ?? firstRefusal(registry, task);
    if (reason !== undefined) throw reason;
  }
  return members;
}
