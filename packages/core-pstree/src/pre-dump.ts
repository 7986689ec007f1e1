import type { InventoryEntry } from '@crts/image-io';
import { isHuge, type PageStats } from '@crts/plugin-api';
import { writeChecksums } from './checksums';
import { collectMappings } from './collect';
import { eachOnCpu, onCpu } from './cpu';
import { FileTable } from './file-table';
import { type FrozenSession, onTree, refuseTree } from './frozen-session';
import { Frozen } from './frozen-task';
import { ENGINE_IDS, identify } from './object-ids';
import { type ParentSet, startTracking } from './parent-set';
import type { DumpOutcome, DumpRequest } from './requests';
import { refuseOutsiders, refuseSharing } from './sharing';

/** PRE_DUMP_READ of the format: pages are read while the tree runs on. */
const PRE_DUMP_READ = 2;
const NO_PAGES = 'none' as const;

/**
 * Stores the memory of a tree that goes on: it stands still only while its pages are chosen, and what it writes from then on
 * is tracked, so that a dump with this set as its parent stores that alone.
 */
export function preDumpTree(request: DumpRequest): DumpOutcome {
  return onTree(request, preDump);
}

function preDump(session: FrozenSession): DumpOutcome {
  const { request, registry, tree, writer, parent } = session;
  const { log, pid, outlet } = request;
  refuseOutsiders(pid);
  const started = process.hrtime.bigint();
  onCpu(tree.root.cpu, () => tree.freeze(request.timeoutSeconds));
  const frozen = process.hrtime.bigint();
  const members = lookAt(session);
  parent.tracker.leaveParent();
  eachOnCpu(members, ({ target }) => target.infect());
  const writers = eachOnCpu(members, ({ task, tracked }) => {
    const all = collectMappings(registry, task, startTracking(task, tracked, parent));
    // The dump stores huge TLB pages again whether they were written or not.
    const areas = all.map((area, index) => (isHuge(task.facts.vmas[index]!) ? { ...area, pages: NO_PAGES } : area));
    const pages = tracked.size > 0 && outlet === undefined ? parent.pagesOf(registry, task.pid) : undefined;
    return registry.pages.preDump(task, areas, writer, { parent: pages, startOver: true, outlet });
  });
  eachOnCpu(members, ({ target }) => target.cure());
  const thawed = process.hrtime.bigint();
  tree.detach(false);
  log.info({ pid }, `the tree goes on after ${Number((thawed - frozen) / 1000n)} us`);
  const stats: PageStats[] = writers.map((write) => write());
  outlet?.finish();
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
  if (request.checksum === true) writeChecksums(writer);
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
function lookAt(session: FrozenSession) {
  const { request, registry, tree, parent } = session;
  const files = new NoFiles(registry.fd, []);
  const views = new Map<number, ReturnType<ParentSet['view']>>();
  const members = identify(tree.targets).map(({ target, ids, owners }, index) => {
    const view = views.get(owners.vm) ?? parent.view(target);
    views.set(owners.vm, view);
    const { vmas, tracked } = view;
    const place = { ppid: tree.parentOf(target.pid), pagesId: index + 1, ids, owners, vmas };
    return { target, tracked, task: new Frozen(request, target, files, place) };
  });
  const tasks = members.map(({ task }) => task);
  refuseTree(session, tasks);
  refuseSharing(tasks, tree);
  // Memory is stored once.
  return members.filter(({ task }) => task.owners.vm === task.pid);
}
