import { readlinkSync, symlinkSync, unlinkSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { ImageReader } from '@crts/image-io';
import { ProgramBuilder } from '@crts/native-syscalls';
import { CrtsError, type PageSource } from '@crts/plugin-api';
import { noParentSet } from './errors';
import type { Frozen } from './frozen-task';
import type { Registry } from './registry';
import type { DumpRequest } from './requests';
import type { Target } from './target';
import { endOtherHolders, WriteTracker } from './tracking';

const LINK = 'parent';

/** The set that a dump builds on, if any, and who has kept track of what was written since. */
export class ParentSet {
  readonly tracker: WriteTracker;
  readonly #request: DumpRequest;
  readonly #reader: ImageReader | undefined;
  #isLinked = false;
  #haveEnded = false;

  constructor(request: DumpRequest) {
    this.#request = request;
    this.#reader = openParent(request);
    this.tracker = WriteTracker.resume(this.#reader, request.log);
  }

  /** The mappings of a stopped process as handlers are to see them, and which of them are tracked since the parent set. */
  view(target: Target): ReturnType<WriteTracker['view']> {
    const { pid } = target;
    if (this.tracker.isStrange(pid, target.facts.vmas)) {
      // One holder has a whole tree: with it ended the watch of those that were looked at before.
      this.#haveEnded = endOtherHolders(pid) || this.#haveEnded;
      if (this.#haveEnded) target.lookAgain();
    }
    return this.tracker.view(pid, target.facts.vmas);
  }

  /** Pages of a task in the parent set and those before it; undefined where it has none. */
  pagesOf(registry: Registry, pid: number): PageSource | undefined {
    return this.#reader?.has('pagemap', pid) === true ? registry.pages.open(pid, this.#reader) : undefined;
  }

  /** Makes the link by which a restore finds the parent set. */
  link(): void {
    const path = join(this.#request.imagesDir, LINK);
    try {
      // A set that is dumped anew may have been an increment before.
      if (readlinkSync(path) !== '') unlinkSync(path);
    } catch (error) {
      if (!['ENOENT', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
    if (this.#request.prevImagesDir !== undefined) symlinkSync(this.#request.prevImagesDir, path);
    this.#isLinked = this.#request.prevImagesDir !== undefined;
  }

  /** The dump has failed: nobody keeps track for a set that is not there. */
  giveUp(): void {
    this.tracker.giveUp();
    if (!this.#isLinked) return;
    try {
      unlinkSync(join(this.#request.imagesDir, LINK));
    } catch {
      // The first cause counts.
    }
  }

  close(): void {
    this.tracker.close();
    this.#reader?.close();
  }
}

function openParent({ prevImagesDir, imagesDir }: DumpRequest): ImageReader | undefined {
  if (prevImagesDir === undefined) return undefined;
  const path = isAbsolute(prevImagesDir) ? prevImagesDir : join(imagesDir, prevImagesDir);
  try {
    return ImageReader.open(path);
  } catch (error) {
    throw error instanceof CrtsError ? noParentSet(path, error.errno ?? error.code) : error;
  }
}

/** From the next scan on, writes of the task are tracked; returns the starts of all its tracked mappings. */
export function startTracking(task: Frozen, tracked: ReadonlySet<bigint>, { tracker }: ParentSet): ReadonlySet<bigint> {
  const fresh = tracker.start(task.pid, task.target.pidfd, task.facts.vmas, tracked, {
    create: (flags) => {
      const program = new ProgramBuilder();
      const uffd = program.call('userfaultfd', [flags], { what: 'make a userfaultfd for --track-mem' });
      task.target.infection.task.run(program);
      return Number(uffd.value);
    },
    forget: (fd) => task.run((program) => program.call('close', [fd])),
  });
  return new Set([...tracked, ...fresh]);
}
