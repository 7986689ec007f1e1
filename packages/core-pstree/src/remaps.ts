/** Files that no path leads to: which plugin takes care of them at a dump, and how they come back at a restore. */
import { readFileSync } from 'node:fs';
import type { ImageReader } from '@crts/image-io';
import {
  closeFd,
  errnoName,
  identifyPath,
  rawSyscall,
  SyscallError,
  seqpacketPair,
  spawn,
  stubPath,
  waitPid,
} from '@crts/native-syscalls';
import {
  CrtsError,
  type Effect,
  encodeName,
  type FdFacts,
  type FieldTable,
  type FileRecord,
  type ImageSink,
  type Logger,
  type NamedFile,
  REMAP_TYPE,
  type RemapDumpContext,
  type RemapEntry,
  type RemapHandler,
  type RemapPlanContext,
  type RemappedFile,
  type RunOptions,
} from '@crts/plugin-api';
import { badImage, noPluginForImage } from './errors';
import { helperPidTaken, nameless, replaced, unreachable } from './file-errors';
import type { ImageSet } from './image-set';
import { holderOf } from './pid-holder';
import { parseStatus } from './proc';
import { bestHandler } from './registry';
import { undoAll } from './undoing';

/** What d_path() appends to the name of a dentry that is no longer hashed: prepend_path(), fs/d_path.c. */
const DELETED = ' (deleted)';
const S_IFMT = 0o170000;
const S_IFLNK = 0o120000;
/** Images from before remap_type told a ghost by this bit of remap_id. */
const OLD_GHOST = 0x8000_0000;
const EEXIST = 17;
const SIGKILL = 9;

/** Names of the files of a dump, and what it leaves in directories. */
export class DumpRemaps {
  readonly #handlers: readonly RemapHandler[];
  readonly #sink: ImageSink;
  readonly #effects: Effect[] = [];

  constructor(handlers: readonly RemapHandler[], sink: ImageSink) {
    this.#handlers = handlers;
    this.#sink = sink;
  }

  /** The name that brings the file back, by itself or by a remap of which an entry is written. */
  nameOf(facts: FdFacts, context: Omit<RemapDumpContext, 'sink' | 'fateOf' | 'addEffect'>): string {
    const file = whereItLeads(facts);
    const full: RemapDumpContext = {
      ...context,
      sink: this.#sink,
      fateOf,
      addEffect: (effect) => this.#effects.push(effect),
    };
    const handler = bestHandler(
      this.#handlers,
      (candidate) => candidate.match(file, full),
      () => `fd ${facts.fd} (${file.name})`,
    );
    if (handler === undefined) return namedOnly(file);
    try {
      const { name, remap } = handler.dump(file, full);
      if (remap !== undefined) {
        const { id: remap_id, type: remap_type } = remap;
        context.addItem('remap-fpath', { value: { orig_id: context.id, remap_id, remap_type } });
      }
      return name;
    } catch (error) {
      if (!(error instanceof CrtsError)) throw error;
      throw error.with({
        plugin: handler.name,
        pid: facts.pid,
        fd: facts.fd < 0 ? undefined : facts.fd,
        path: file.name,
      });
    }
  }

  /** Leaves in directories what the restore needs, as late as can be; if the dump fails after that, nothing stays. */
  around(finish: () => void): void {
    const made: Effect[] = [];
    try {
      for (const effect of this.#effects) {
        effect.make();
        made.push(effect);
      }
      finish();
    } catch (error) {
      undoAll(
        error,
        made.map((effect) => () => effect.undo()),
      );
      throw error;
    }
  }
}

/** A process of the tree is traced by crts; a dead one cannot be, but its parent is. */
function fateOf(pid: number): 'dumped' | 'alive' | 'dead' {
  let status: FieldTable;
  try {
    status = parseStatus(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return 'dead';
  }
  if (status.get('TracerPid') === String(process.pid)) return 'dumped';
  if (!/^[ZX]/.test(status.get('State') ?? '')) return 'alive';
  return fateOf(Number(status.get('PPid'))) === 'dumped' ? 'dumped' : 'dead';
}

/** Asks the name that the kernel tells, which is not looked up before. */
export function whereItLeads(facts: FdFacts): NamedFile {
  const { link } = facts;
  const stripped = link.endsWith(DELETED) ? link.slice(0, -DELETED.length) : link;
  if (facts.deleted) return { facts, name: link, isDeleted: true, leads: 'nowhere' };
  const found = leads(facts, link);
  // A file may be called "x (deleted)".
  if (found.leads === 'here' || stripped === link) return { facts, name: link, isDeleted: false, ...found };
  // The name may have been put back; the dentry by which the file was opened says "deleted" for ever.
  return { facts, name: stripped, isDeleted: true, ...leads(facts, stripped) };
}

function leads(facts: FdFacts, name: string): Pick<NamedFile, 'leads' | 'errno'> {
  // A symbolic link that is open itself (O_PATH | O_NOFOLLOW) is not followed.
  const found = identifyPath(encodeName(name), (facts.mode & S_IFMT) !== S_IFLNK);
  if (typeof found === 'number') return { leads: 'nowhere', errno: errnoName(-found) };
  return { leads: found.dev === facts.dev && found.ino === facts.ino ? 'here' : 'elsewhere' };
}

function namedOnly(file: NamedFile): string {
  if (file.leads === 'here' && !file.facts.deleted) return file.name;
  const { pid, fd } = file.facts;
  const subject = { pid, fd: fd < 0 ? undefined : fd, path: file.name };
  if (file.isDeleted) throw nameless(subject);
  throw file.leads === 'elsewhere' ? replaced(subject) : unreachable(subject, file.errno);
}

interface Preparation {
  readonly what: string;
  make(): void;
  undo?(): void;
  done?(): void;
  close?(): void;
}

/** What the images say of such files, and what the engine does for them around a restore. */
export class RestoreRemaps {
  readonly files = new Map<number, RemappedFile>();
  readonly helpers = new Set<number>();
  /** Those of the helpers that the forks of the tree make. */
  readonly leaders: number[] = [];
  readonly #steps: Preparation[] = [];
  readonly #log: Logger;
  #made = 0;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Validates the entries and lets the plugins say how each file is opened. */
  static plan(
    reader: ImageReader,
    handlers: readonly RemapHandler[],
    { tasks, dead, files }: Pick<ImageSet, 'tasks' | 'dead' | 'files'>,
    options: RunOptions & { readonly log: Logger },
  ): RestoreRemaps {
    const { log } = options;
    const pids = new Set([...tasks, ...dead].map(({ pid }) => pid));
    for (const { threads } of tasks) for (const { tid } of threads) pids.add(tid);
    // A dead leader of a session or group is a helper of the forks anyway.
    const leaders = new Set([...tasks, ...dead].flatMap(({ pgid, sid }) => [pgid, sid]));
    const remaps = new RestoreRemaps(log);
    if (!reader.has('remap-fpath')) return remaps;
    const context: RemapPlanContext = {
      options,
      log,
      record: (id) => files.get(id),
      image: (kind, id) => reader.contents(kind, id),
      hasTask: (pid) => pids.has(pid),
      addHelper: (pid) => {
        if (pids.has(pid) || remaps.helpers.has(pid)) return;
        remaps.helpers.add(pid);
        if (leaders.has(pid)) remaps.leaders.push(pid);
        else remaps.#steps.push(helperStep(pid));
      },
      prepare: (step) => remaps.#steps.push(step),
    };
    for (const [handler, entries] of byHandler(readEntries(reader, files), handlers)) {
      try {
        for (const [id, file] of handler.plan(entries, context)) remaps.files.set(id, file);
      } catch (error) {
        throw error instanceof CrtsError ? error.with({ plugin: handler.name, stage: 'restore' }) : error;
      }
    }
    return remaps;
  }

  /** One line for each, for --dry-run. */
  get text(): readonly string[] {
    return this.#steps.map((step) => step.what);
  }

  /**
   * Makes what files need before any process exists, and takes it back when `restore` calls `built`, before a program runs that could
   * see it, or has failed.
   */
  around<T>(restore: (built: () => void) => T): T {
    let isBuilt = false;
    const built = () => {
      if (!isBuilt) for (const step of this.#steps) this.#quietly(step, step.done);
      isBuilt = true;
    };
    try {
      for (const step of this.#steps) {
        // A step that fails half-way is undone too.
        this.#made += 1;
        step.make();
      }
      const outcome = restore(built);
      built();
      return outcome;
    } catch (error) {
      for (const step of this.#steps.slice(0, this.#made)) this.#quietly(step, step.undo);
      throw error;
    } finally {
      this.#close();
    }
  }

  #close(): void {
    for (const step of this.#steps.slice(0, this.#made)) this.#quietly(step, step.close);
    this.#made = 0;
  }

  /** What fails here must not hide how the restore ended. */
  #quietly(step: Preparation, action: (() => void) | undefined): void {
    try {
      action?.call(step);
    } catch (error) {
      this.#log.warn({ what: step.what }, `left behind: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

/** A process that only holds a pid: a child of crts, which the tree never sees. It ends with crts at the latest. */
function helperStep(pid: number): Preparation {
  let doorbell: number | undefined;
  return {
    what: `helper process ${pid}`,
    make: () => {
      const [own, theirs] = seqpacketPair();
      try {
        // It waits for a first message that never comes.
        spawn({ path: stubPath(), doorbell: theirs, doorbellNumber: 3, pid, flags: 0n });
        doorbell = own;
      } catch (error) {
        closeFd(own);
        if (error instanceof SyscallError && error.number === EEXIST) throw helperPidTaken(pid, ...holderOf(pid));
        throw error;
      } finally {
        closeFd(theirs);
      }
    },
    close: () => {
      if (doorbell === undefined) return;
      closeFd(doorbell);
      doorbell = undefined;
      rawSyscall('kill', pid, SIGKILL);
      waitPid(pid);
    },
  };
}

function readEntries(reader: ImageReader, files: ReadonlyMap<number, FileRecord>): RemapEntry[] {
  const entries = (reader.read('remap-fpath') as Partial<RemapEntry>[]).map((raw): RemapEntry => {
    const orig_id = raw.orig_id ?? 0;
    const remap_id = raw.remap_id ?? 0;
    if (raw.remap_type !== undefined) return { orig_id, remap_id, remap_type: raw.remap_type };
    const isGhost = remap_id >= OLD_GHOST;
    return {
      orig_id,
      remap_id: isGhost ? remap_id - OLD_GHOST : remap_id,
      remap_type: isGhost ? REMAP_TYPE.ghost : REMAP_TYPE.linked,
    };
  });
  const seen = new Set<number>();
  for (const { orig_id } of entries) {
    if (!files.has(orig_id))
      throw badImage('CRTS_IMAGE_REFERENCE', 'remap-fpath.img', `there is no file ${orig_id} in files.img`);
    if (seen.has(orig_id)) throw badImage('CRTS_IMAGE_REFERENCE', 'remap-fpath.img', `file ${orig_id} is there twice`);
    seen.add(orig_id);
  }
  return entries;
}

function byHandler(entries: readonly RemapEntry[], handlers: readonly RemapHandler[]): Map<RemapHandler, RemapEntry[]> {
  const groups = new Map<RemapHandler, RemapEntry[]>();
  for (const entry of entries) {
    const handler = handlers.find((candidate) => candidate.owns(entry));
    if (handler === undefined)
      throw noPluginForImage(`the remap of file ${entry.orig_id} (type ${entry.remap_type}, remap-fpath.img)`);
    const known = groups.get(handler);
    if (known === undefined) groups.set(handler, [entry]);
    else known.push(entry);
  }
  return groups;
}
