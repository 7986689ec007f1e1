/** A restore as a plan: passes of the plugins, ordered by stage and by what they need and provide. */
import { ProgramBuilder } from '@crts/native-syscalls';
import {
  type HostStepContext,
  type PassHead,
  type Pid,
  type Program,
  STAGES,
  type TaskPlan,
  type ThreadPlan,
  type ThreadState,
} from '@crts/plugin-api';
import { planCycle, planUnmet, threadIncomplete } from './errors';
import type { PlanText } from './requests';

type Pass = { readonly head: PassHead } & (
  | { readonly emit: (program: Program) => void }
  | { readonly why: string; readonly host: (step: HostStepContext) => void }
);

/** A piece of the compiled plan: a program for the agent, or an action of the engine. */
export type Step =
  | { readonly kind: 'program'; readonly program: ProgramBuilder }
  | {
      readonly kind: 'host';
      readonly head: PassHead;
      readonly why: string;
      readonly run: (step: HostStepContext) => void;
    };

export interface CompiledPlan {
  readonly steps: readonly Step[];
  readonly thread: ThreadState;
}

export class PlanBuilder implements TaskPlan, ThreadPlan {
  readonly pid: Pid;
  readonly tid: Pid;
  readonly isMain = true;
  readonly isRoot = true;
  readonly #passes: Pass[] = [];
  readonly #thread: { -readonly [K in keyof ThreadState]?: ThreadState[K] } = {};

  constructor(pid: Pid) {
    this.pid = pid;
    this.tid = pid;
  }

  pass(head: PassHead, emit: (program: Program) => void): void {
    this.#passes.push({ head, emit });
  }

  hostStep(head: PassHead & { readonly why: string }, run: (step: HostStepContext) => void): void {
    this.#passes.push({ head, why: head.why, host: run });
  }

  finalThread(state: Partial<ThreadState>): void {
    for (const key of Object.keys(state) as (keyof ThreadState)[]) {
      if (this.#thread[key] !== undefined) throw threadIncomplete(key);
      Object.assign(this.#thread, { [key]: state[key] });
    }
  }

  /** Orders the passes and makes programs of them. Nothing is executed. */
  compile(): CompiledPlan {
    const steps: Step[] = [];
    let program: ProgramBuilder | undefined;
    for (const pass of orderPasses(this.#passes)) {
      if ('host' in pass) {
        program = undefined;
        steps.push({ kind: 'host', head: pass.head, why: pass.why, run: pass.host });
        continue;
      }
      if (program === undefined) {
        program = new ProgramBuilder();
        steps.push({ kind: 'program', program });
      }
      program.origin = { plugin: pass.head.plugin, stage: pass.head.stage, what: pass.head.what };
      pass.emit(program);
    }
    const { prstatus, xstate, sigmask, syscallDispatch } = this.#thread;
    if (prstatus === undefined) throw threadIncomplete('prstatus');
    if (xstate === undefined) throw threadIncomplete('xstate');
    if (sigmask === undefined) throw threadIncomplete('sigmask');
    return { steps, thread: { prstatus, xstate, sigmask, syscallDispatch } };
  }
}

/** By stage, then so that what a pass needs comes before it; passes that do not care keep their order. */
export function orderPasses<P extends { readonly head: PassHead }>(passes: readonly P[]): P[] {
  const ordered: P[] = [];
  const provided = new Set<string>();
  for (const stage of STAGES) {
    const members = passes.filter((pass) => pass.head.stage === stage);
    const providers = new Map<string, P[]>();
    for (const pass of members) for (const name of pass.head.provides ?? []) addProvider(providers, name, pass);
    const done = new Set<P>();
    const visit = (pass: P, path: readonly P[]): void => {
      if (done.has(pass)) return;
      if (path.includes(pass)) throw planCycle([...path.slice(path.indexOf(pass)), pass].map((one) => one.head.what));
      for (const need of pass.head.needs ?? []) {
        const before = providers.get(need) ?? [];
        if (before.length === 0 && !provided.has(need)) throw planUnmet(pass.head.what, need);
        for (const provider of before) if (provider !== pass) visit(provider, [...path, pass]);
      }
      done.add(pass);
      ordered.push(pass);
    };
    for (const pass of members) visit(pass, []);
    for (const name of providers.keys()) provided.add(name);
  }
  return ordered;
}

function addProvider<P>(providers: Map<string, P[]>, name: string, pass: P): void {
  const known = providers.get(name);
  // One name may have tens of thousands of providers: every mapping is one of `vmas`.
  if (known === undefined) providers.set(name, [pass]);
  else known.push(pass);
}

/** The plan as text; `explain` says for each pass which plugin wants it. */
export function planText(plan: CompiledPlan, pid: Pid, explain: boolean): PlanText {
  const lines = [`task ${pid}`];
  for (const step of plan.steps) {
    if (step.kind === 'host') {
      lines.push(
        `  [${step.head.stage}] ${step.head.plugin}: ${step.head.what} (host step${explain ? `: ${step.why}` : ''})`,
      );
      continue;
    }
    let last: unknown;
    step.program.text().forEach((line, index) => {
      const { origin } = step.program.instructions[index]!;
      if (origin !== last) lines.push(`  [${origin.stage}] ${explain ? `${origin.plugin}: ` : ''}${origin.what}`);
      last = origin;
      lines.push(`    $${index} ${line}`);
    });
  }
  return { lines };
}
