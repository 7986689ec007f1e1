/** What dump and pre-dump have in common: a tree that is looked at, and runs on as it was when that fails. */
import { ImageWriter } from '@crts/image-io';
import { CrtsError } from '@crts/plugin-api';
import { firstRefusal } from './collect';
import { dedupAfterDump } from './dedup';
import { FrozenTree } from './freeze';
import { Freezer } from './freezer';
import type { Frozen } from './frozen-task';
import { refuseRoot, refuseTask } from './limits';
import { ParentSet } from './parent-set';
import { buildRegistry, checkExternal, type Registry } from './registry';
import type { DumpOutcome, DumpRequest } from './requests';
import { refuseThreads, refuseTogether } from './thread-objects';
import { undoAll } from './undoing';

export interface FrozenSession {
  readonly request: DumpRequest;
  readonly registry: Registry;
  readonly writer: ImageWriter;
  readonly parent: ParentSet;
  readonly tree: FrozenTree;
}

/** Throws CrtsError; then the tree runs on as it was, and nothing is left of what was written. */
export function onTree(request: DumpRequest, action: (session: FrozenSession) => DumpOutcome): DumpOutcome {
  const registry = buildRegistry(request.plugins);
  checkExternal(registry, request.external);
  const writer = ImageWriter.open(request.imagesDir);
  let tree: FrozenTree | undefined;
  let parent: ParentSet | undefined;
  try {
    parent = new ParentSet(request);
    // A page server on this machine may have the same directory, and looks for the link when the first pages come.
    if (request.outlet !== undefined) parent.link();
    const { pid, log, freezeCgroup } = request;
    tree = new FrozenTree(pid, log, freezeCgroup === undefined ? undefined : new Freezer(freezeCgroup, pid, log));
    const outcome = action({ request, registry, writer, parent, tree });
    writer.close();
    tree.close();
    if (request.autoDedup === true && request.outlet === undefined)
      dedupAfterDump(registry, request.imagesDir, request.log);
    return outcome;
  } catch (error) {
    // What goes wrong here is listed under the first cause.
    undoAll(error, [
      () =>
        tree?.letGo((cleanup) => {
          if (error instanceof CrtsError) error.cleanup.push(cleanup);
        }),
      () => tree?.close(),
      () => parent?.giveUp(),
      () => writer.abort(),
    ]);
    throw error;
  } finally {
    parent?.close();
  }
}

/** Refuses the tree before anything in it is touched. */
export function refuseTree({ request, registry }: FrozenSession, tasks: readonly Frozen[]): void {
  const root = tasks[0]!;
  for (const task of tasks) {
    // The numbers of another pid namespace mean nothing to who reads of a session.
    const shape =
      refuseTask(task, root) ?? (task === root ? refuseRoot(root.pid, root.facts, request.shellJob) : undefined);
    const reason = shape ?? refuseThreads(task) ?? firstRefusal(registry, task);
    if (reason !== undefined) throw reason;
  }
  const shared = refuseTogether(tasks);
  if (shared !== undefined) throw shared;
}
