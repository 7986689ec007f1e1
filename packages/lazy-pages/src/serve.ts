import type { CoreEntry, ImageReader, MmEntry, PlainPages, PstreeEntry } from '@crts/image-io';
import { closeFd, SyscallError, sendFull } from '@crts/native-syscalls';
import type { Progress } from '@crts/page-xfer';
import type { Logger, PageSource, PageStore } from '@crts/plugin-api';
import { LazyServer, type Served } from './daemon';
import { Guard } from './guard';
import { type Announced, hasFinished, receiveTasks } from './hello';
import { cutAtMappings, LazyRanges } from './ranges';
import { LocalSupply, type Supply } from './supply';

/** TASK_DEAD of the format. */
const TASK_DEAD = 2;
/** VMA_AREA_GUARD of the format: a region inside a mapping. */
const GUARD_STATUS = 0x10000;

export interface LazyRequest {
  readonly reader: ImageReader;
  readonly pages: PageStore;
  /** The line from the restore. */
  readonly socket: number;
  /** Pages come from there; undefined: from the images. */
  readonly supply: Supply | undefined;
  /** Contents of compressed images. */
  readonly plain?: PlainPages | undefined;
  readonly log: Logger;
  readonly progress?: Progress | undefined;
}

/** Serves one restore until all of its programs have their memory. */
export function serveLazily(request: LazyRequest): Served {
  const { reader, pages, socket, log } = request;
  const tree = reader.read('pstree') as PstreeEntry[];
  const living = new Set(tree.filter(({ pid }) => !isDead(reader, pid)).map(({ pid }) => pid));
  const tasks = receiveTasks(socket, tree.length, living);
  log.info({ tasks: tasks.length }, 'the tasks of the restore are known');
  const sources = new Map<number, PageSource>();
  const sourceOf = (pid: number) => {
    const known = sources.get(pid) ?? pages.open(pid, reader, { elsewhere: request.supply !== undefined });
    sources.set(pid, known);
    return known;
  };
  const guard = guardOf(tasks);
  if (guard !== undefined) tellGuarded(socket);
  const supply = request.supply ?? new LocalSupply(sourceOf, request.plain);
  const server = new LazyServer({
    tasks: tasks.map(({ pid, uffd, missing }) => ({
      pid,
      uffd,
      ranges: rangesOf(reader, pid, missing ?? sourceOf(pid).lazy),
    })),
    supply,
    control: { fd: socket, isFinished: () => hasFinished(socket) },
    log,
    progress: request.progress,
  });
  const served = server.run();
  guard?.end();
  supply.close();
  return served;
}

function isDead(reader: ImageReader, pid: number): boolean {
  return reader.readOne<CoreEntry>('core', pid).tc?.task_state === TASK_DEAD;
}

/** A restore of crts watches over the programs until they are guarded; one of CRIU sends no pidfds, and waits for nothing. */
function guardOf(tasks: readonly Announced[]): Guard | undefined {
  const guarded = tasks.flatMap(({ uffd, pidfd }) => (pidfd === undefined ? [] : [{ uffd, pidfd }]));
  if (guarded.length === 0) return undefined;
  const guard = new Guard(guarded);
  for (const { pidfd } of guarded) closeFd(pidfd);
  return guard;
}

/** Nobody listens where the restore was ended when its programs ran: they need their memory all the same. */
function tellGuarded(socket: number): void {
  try {
    sendFull(socket, Buffer.alloc(1));
  } catch (error) {
    if (!(error instanceof SyscallError) || error.errno !== 'EPIPE') throw error;
  }
}

function rangesOf(
  reader: ImageReader,
  pid: number,
  missing: readonly { readonly start: bigint; readonly end: bigint }[],
): LazyRanges {
  const { vmas } = reader.readOne<MmEntry>('mm', pid);
  const mappings = vmas
    .filter(({ status }) => (status & GUARD_STATUS) === 0)
    .sort((a, b) => (a.start < b.start ? -1 : 1));
  return new LazyRanges(cutAtMappings(missing, mappings));
}
