/** A restore as a plan: passes of the plugins, ordered by stage and by what they need and provide. */
import { ProgramBuilder } from '@crts/native-syscalls';
import type {
  HostStepContext,
  MappingHead,
  PassHead,
  Pid,
  PrivateMapping,
  Program,
  Stage,
  TaskPlan,
  ThreadPlan,
  ThreadState,
} from '@crts/plugin-api';
import { threadIncomplete } from './errors';
import type { Lent, LentNumbers } from './lent-numbers';
import { type BulkHead, PassOrder } from './pass-order';
import { type PageFiller, PlannedMapping } from './private-memory';
import type { PlannedThread, ThreadPass } from './thread-compiler';

type Pass = { readonly head: PassHead | BulkHead } & (
  | { readonly emit: (program: Program) => void }
  | { readonly bulk: BulkEmitter }
  | { readonly why: string; readonly host: (step: HostStepContext) => void }
  | { readonly threads: true }
);

/** Asks for the program before each handler's turn, and sets its `origin`. */
type BulkEmitter = (next: () => ProgramBuilder) => void;

/** What passes of private mappings provide before `vmas`: they are there without contents, and with them. */
export const MAPPED = 'mm:mapped';
export const FILLED = 'mm:filled';

/** A piece of the compiled plan: a program for the agent, or an action of the engine. */
export type Step =
  | { readonly kind: 'program'; readonly stage: Stage; readonly program: ProgramBuilder }
  /** The further threads of the task are made. */
  | { readonly kind: 'threads'; readonly stage: Stage; readonly head: PassHead }
  | {
      readonly kind: 'host';
      readonly stage: Stage;
      readonly head: PassHead;
      readonly why: string;
      readonly run: (step: HostStepContext) => void;
    };

/** Passes of the leader of a session that run when it has founded it. */
export interface Leading {
  readonly heads: readonly Pick<PassHead, 'plugin' | 'what'>[];
  emit(program: ProgramBuilder): void;
}

export interface CompiledPlan {
  readonly steps: readonly Step[];
  /** What the task does when it has founded its session. */
  readonly leading?: Leading | undefined;
  readonly thread: ThreadState;
  /** ThreadPlan.suspendSeccomp() was called for the main thread. */
  readonly suspendSeccomp: boolean;
}

/** What a task has from another one that it shares it with: passes that would make it are left out. */
export interface MadeElsewhere {
  /** What these passes provide. */
  readonly given: readonly string[];
  isMade(head: PassHead): boolean;
}

export class PlanBuilder implements TaskPlan, ThreadPlan {
  readonly pid: Pid;
  readonly tid: Pid;
  readonly isMain = true;
  readonly isRoot: boolean;
  readonly #passes: Pass[] = [];
  readonly #leading: { readonly head: Pick<PassHead, 'plugin' | 'what'>; emit(program: Program): void }[] = [];
  readonly #thread = new FinalThread();
  readonly filler: PageFiller | undefined;
  #suspendSeccomp = false;
  readonly mappings: PlannedMapping[] = [];

  readonly #elsewhere: MadeElsewhere | undefined;

  /** `filler` is for mappings that have pages in the images. */
  constructor(pid: Pid, isRoot = true, elsewhere?: MadeElsewhere, filler?: PageFiller) {
    this.filler = filler;
    this.pid = pid;
    this.tid = pid;
    this.isRoot = isRoot;
    this.#elsewhere = elsewhere;
  }

  pass(head: PassHead, emit: (program: Program) => void): void {
    this.#passes.push({ head, emit });
  }

  /** The same for the work of many handlers. */
  bulk(head: BulkHead, bulk: BulkEmitter): void {
    this.#passes.push({ head, bulk });
  }

  privateMapping(head: MappingHead, mapping: PrivateMapping): void {
    const planned = new PlannedMapping(head, mapping, this.filler!);
    this.mappings.push(planned);
    const { made, finished } = passesOf(head);
    this.pass(made, (program) => {
      if (!planned.isEarly) planned.make(program);
    });
    // All mappings get their pages together.
    this.pass(finished, (program) => mapping.finish(program));
  }

  hostStep(head: PassHead & { readonly why: string }, run: (step: HostStepContext) => void): void {
    this.#passes.push({ head, why: head.why, host: run });
  }

  leading(head: Pick<PassHead, 'plugin' | 'what'>, emit: (program: Program) => void): void {
    this.#leading.push({ head, emit });
  }

  /** The place among the passes where the further threads are made. */
  threads(head: PassHead): void {
    this.#passes.push({ head, threads: true });
  }

  finalThread(state: Partial<ThreadState>): void {
    this.#thread.set(state);
  }

  suspendSeccomp(): void {
    this.#suspendSeccomp = true;
  }

  lendFd(): never {
    throw new RangeError('the main thread opens its descriptors itself');
  }

  /**
   * Orders the passes and makes programs of them: as few as may be, or with `barriers` none that goes over the end of a
   * stage, because other tasks wait there. Nothing is executed. `order` may know how those of a like task are ordered; `seal` is
   * called with each program when it is whole.
   */
  compile(barriers = false, order = new PassOrder(), seal?: SealStep): CompiledPlan {
    const list = new StepList(barriers, seal);
    const elsewhere = this.#elsewhere;
    const own = elsewhere === undefined ? this.#passes : this.#passes.filter(({ head }) => !elsewhere.isMade(head));
    for (const pass of order.of(own, elsewhere?.given)) {
      const { head } = pass;
      const { stage } = head;
      if ('host' in pass) list.add({ kind: 'host', stage, head, why: pass.why, run: pass.host });
      else if ('threads' in pass) list.add({ kind: 'threads', stage, head });
      else if ('bulk' in pass) pass.bulk(() => list.piece(head));
      else pass.emit(list.program(head));
    }
    list.finish();
    const thread = this.#thread.complete();
    // Of a tree of a thousand tasks, what is compiled makes room for what is still to be.
    this.#passes.length = 0;
    this.mappings.length = 0;
    return { steps: list.steps, leading: this.#compileLeading(), thread, suspendSeccomp: this.#suspendSeccomp };
  }

  #compileLeading(): Leading | undefined {
    const passes = this.#leading;
    if (passes.length === 0) return undefined;
    return {
      heads: passes.map(({ head }) => head),
      emit: (program) => {
        for (const { head, emit } of passes) {
          program.origin = { ...head, stage: 'forking' };
          emit(program);
        }
      },
    };
  }
}

/** Called with each program of a plan when it is whole, and its place among the steps. */
export type SealStep = (program: ProgramBuilder, step: number) => void;

/**
 * A bulk pass goes on in a further program when one has so many instructions. As objects they take half a kilobyte each until the
 * program is sealed: of ten thousand descriptors more than all that is kept of them.
 */
const PIECE_INSTRUCTIONS = 2000;

/** The steps of a plan while it is compiled. */
class StepList {
  readonly steps: Step[] = [];
  readonly #barriers: boolean;
  readonly #seal: SealStep | undefined;
  #program: ProgramBuilder | undefined;
  #stage: Stage | undefined;

  constructor(barriers: boolean, seal: SealStep | undefined) {
    this.#barriers = barriers;
    this.#seal = seal;
  }

  add(step: Step): void {
    this.finish();
    this.steps.push(step);
  }

  /** For a pass: the last program, or a further one. */
  program(head: PassHead): ProgramBuilder {
    const { stage } = head;
    const goesOn = !this.#barriers || this.#stage === stage || ALSO_IN[stage] === this.#stage;
    const program = goesOn && this.#program !== undefined ? this.#program : this.#begin(stage);
    program.origin = head;
    return program;
  }

  /** The same for a piece of a bulk pass. */
  piece(head: PassHead): ProgramBuilder {
    if (this.#program !== undefined && this.#program.instructions.length >= PIECE_INSTRUCTIONS)
      this.#begin(this.#stage!);
    return this.program(head);
  }

  finish(): void {
    if (this.#program !== undefined) this.#seal?.(this.#program, this.steps.length - 1);
    this.#program = undefined;
  }

  #begin(stage: Stage): ProgramBuilder {
    const program = new ProgramBuilder();
    this.add({ kind: 'program', stage, program });
    this.#program = program;
    this.#stage = stage;
    return program;
  }
}

/** Spelled out: of a spread V8 makes a shape for each object, and trees have tens of thousands of these. */
export function inStage(
  { plugin, what, needs, provides }: MappingHead,
  stage: Stage,
  ownNeeds = needs ?? NOTHING,
  ownProvides = provides ?? NOTHING,
): PassHead {
  return { plugin, stage, what, needs: ownNeeds, provides: ownProvides };
}

const NOTHING: readonly string[] = [];

interface MappingPasses {
  readonly made: PassHead;
  readonly finished: PassHead;
}

/** By head: tasks with equal images have the same ones. */
const mappingPasses = new WeakMap<MappingHead, MappingPasses>();

function passesOf(head: MappingHead): MappingPasses {
  const known = mappingPasses.get(head);
  if (known !== undefined) return known;
  const { needs, provides = NOTHING } = head;
  const isWhole = (name: string) => name.startsWith('vma');
  const passes = {
    made: inStage(head, 'memory', needs, [...provides.filter((name) => !isWhole(name)), MAPPED]),
    finished: inStage(head, 'memory', [FILLED], provides.filter(isWhole)),
  };
  mappingPasses.set(head, passes);
  return passes;
}

/** A thread besides the main one: all its passes are one program, or two with its filters suspended for the second. */
export interface CompiledThread {
  readonly tid: Pid;
  readonly program: ProgramBuilder;
  readonly unfiltered?: ProgramBuilder | undefined;
  readonly state: ThreadState;
}

export class ThreadPlanBuilder implements ThreadPlan {
  readonly isMain = false;
  readonly #passes: ThreadPass[] = [];
  readonly #thread = new FinalThread();
  readonly #lending: LentNumbers;
  #suspendSeccomp = false;

  constructor(
    readonly pid: Pid,
    readonly tid: Pid,
    readonly isRoot: boolean,
    lending: LentNumbers,
  ) {
    this.#lending = lending;
  }

  pass(head: PassHead, emit: (program: Program) => void): void {
    this.#passes.push({ head, emit });
  }

  finalThread(state: Partial<ThreadState>): void {
    this.#thread.set(state);
  }

  suspendSeccomp(): void {
    this.#suspendSeccomp = true;
  }

  lendFd(head: Lent['head'], open: Lent['open']): number {
    return this.#lending.add(head, open);
  }

  /** All handlers have added what they want. */
  get planned(): PlannedThread {
    return {
      tid: this.tid,
      passes: this.#passes,
      suspendSeccomp: this.#suspendSeccomp,
      state: this.#thread.complete(),
    };
  }
}

/** The last state of a thread, from several handlers, each part from one. */
class FinalThread {
  #prstatus: Buffer | undefined;
  #xstate: Buffer | undefined;
  #sigmask: bigint | undefined;
  #syscallDispatch: ThreadState['syscallDispatch'];

  set({ prstatus, xstate, sigmask, syscallDispatch }: Partial<ThreadState>): void {
    if (prstatus !== undefined) this.#prstatus = first('prstatus', this.#prstatus, prstatus);
    if (xstate !== undefined) this.#xstate = first('xstate', this.#xstate, xstate);
    if (sigmask !== undefined) this.#sigmask = first('sigmask', this.#sigmask, sigmask);
    if (syscallDispatch !== undefined)
      this.#syscallDispatch = first('syscallDispatch', this.#syscallDispatch, syscallDispatch);
  }

  complete(): ThreadState {
    const [prstatus, xstate, sigmask] = [this.#prstatus, this.#xstate, this.#sigmask];
    if (prstatus === undefined) throw threadIncomplete('prstatus');
    if (xstate === undefined) throw threadIncomplete('xstate');
    if (sigmask === undefined) throw threadIncomplete('sigmask');
    return { prstatus, xstate, sigmask, syscallDispatch: this.#syscallDispatch };
  }
}

function first<V>(part: string, known: V | undefined, given: V): V {
  if (known !== undefined) throw threadIncomplete(part);
  return given;
}

/** Stages whose passes go into a program of the one before: no task has to wait for the others in between. */
const ALSO_IN: Partial<Record<Stage, Stage>> = { resources: 'forking', resume: 'credentials' };

/** The plan of a task as text; `explain` says for each pass which plugin wants it. */
export function planText(
  plan: CompiledPlan,
  pid: Pid,
  explain: boolean,
  threads: readonly CompiledThread[] = [],
): string[] {
  const lines = [`task ${pid}`];
  for (const { plugin: who, what } of plan.leading?.heads ?? [])
    lines.push(`  [forking] ${explain ? `${who}: ` : ''}${what} (as the leader of its session)`);
  for (const step of plan.steps) {
    if (step.kind === 'threads') {
      lines.push(`  [${step.stage}] ${step.head.plugin}: ${step.head.what}`);
      for (const { tid, program, unfiltered } of threads) {
        lines.push(`  thread ${tid}`, ...programText(program, explain));
        if (unfiltered !== undefined) lines.push('  with its filters suspended', ...programText(unfiltered, explain));
      }
      continue;
    }
    if (step.kind === 'host') {
      lines.push(
        `  [${step.head.stage}] ${step.head.plugin}: ${step.head.what} (host step${explain ? `: ${step.why}` : ''})`,
      );
      continue;
    }
    lines.push(...programText(step.program, explain));
  }
  return lines;
}

function programText(program: ProgramBuilder, explain: boolean): string[] {
  const lines: string[] = [];
  let last: unknown;
  program.text().forEach((line, index) => {
    const { origin } = program.instructions[index]!;
    if (origin !== last) lines.push(`  [${origin.stage}] ${explain ? `${origin.plugin}: ` : ''}${origin.what}`);
    last = origin;
    lines.push(`    $${index} ${line}`);
  });
  return lines;
}
