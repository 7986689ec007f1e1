/** The order of a plan's passes. */
import { type PassHead, STAGES } from '@crts/plugin-api';
import { planCycle, planUnmet } from './errors';

/** Of a pass that provides very many names. */
export interface BulkHead extends PassHead {
  readonly isProvided: (name: string) => boolean;
}

interface Headed {
  readonly head: PassHead | BulkHead;
}

const NOTHING: readonly string[] = [];

/** What was asked of a bulk pass for an order, and what it said. */
interface Question {
  readonly pass: number;
  readonly name: string;
  readonly answer: boolean;
}

/** An order that was found, and all that it was found from. */
interface KnownOrder {
  readonly given: readonly string[];
  readonly stages: readonly string[];
  readonly needs: readonly (readonly string[])[];
  readonly provides: readonly (readonly string[])[];
  readonly isBulk: readonly boolean[];
  readonly questions: readonly Question[];
  readonly order: readonly number[];
}

/** Tasks and threads of one tree are mostly alike: the orders that were found last are tried first. */
const KNOWN_MAX = 2;

export class PassOrder {
  readonly #known: KnownOrder[] = [];

  /** The same as orderPasses(). */
  of<P extends Headed>(passes: readonly P[], given: readonly string[] = NOTHING): P[] {
    for (let index = 0; index < this.#known.length; index++) {
      const known = this.#known[index]!;
      if (!fits(known, passes, given)) continue;
      if (index > 0) {
        this.#known[index] = this.#known[0]!;
        this.#known[0] = known;
      }
      return known.order.map((at) => passes[at]!);
    }
    const questions: Question[] = [];
    const order = sortPasses(passes, given, questions);
    this.#known.unshift({
      given,
      stages: passes.map(({ head }) => head.stage),
      needs: passes.map(({ head }) => head.needs ?? NOTHING),
      provides: passes.map(({ head }) => head.provides ?? NOTHING),
      isBulk: passes.map(({ head }) => 'isProvided' in head),
      questions,
      order,
    });
    this.#known.length = Math.min(this.#known.length, KNOWN_MAX);
    return order.map((at) => passes[at]!);
  }
}

function fits(known: KnownOrder, passes: readonly Headed[], given: readonly string[]): boolean {
  if (known.stages.length !== passes.length || !isSame(known.given, given)) return false;
  for (let index = 0; index < passes.length; index++) {
    const { head } = passes[index]!;
    if (
      known.stages[index] !== head.stage ||
      known.isBulk[index] !== 'isProvided' in head ||
      !isSame(known.needs[index]!, head.needs ?? NOTHING) ||
      !isSame(known.provides[index]!, head.provides ?? NOTHING)
    )
      return false;
  }
  for (const { pass, name, answer } of known.questions)
    if ((passes[pass]!.head as BulkHead).isProvided(name) !== answer) return false;
  return true;
}

/** The same names in the same order. */
export function isSame(a: readonly string[], b: readonly string[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}

/** By stage, then so that what a pass needs comes before it; passes that do not care keep their order. */
export function orderPasses<P extends Headed>(passes: readonly P[], given: readonly string[] = NOTHING): P[] {
  return sortPasses(passes, given, []).map((at) => passes[at]!);
}

/** Returns places in `passes`; what bulk passes are asked goes into `questions`. */
function sortPasses(passes: readonly Headed[], given: readonly string[], questions: Question[]): number[] {
  const ordered: number[] = [];
  const provided = new Set(given);
  // Each mapping has a name that mostly nobody asks for.
  const wanted = new Set<string>();
  for (const { head } of passes) for (const need of head.needs ?? NOTHING) wanted.add(need);
  const provides = (pass: number, name: string): boolean => {
    const { head } = passes[pass]!;
    if (!('isProvided' in head)) return false;
    const answer = head.isProvided(name);
    questions.push({ pass, name, answer });
    return answer;
  };
  const bulks: number[] = [];
  for (const stage of STAGES) {
    const members: number[] = [];
    passes.forEach(({ head }, index) => {
      if (head.stage === stage) members.push(index);
    });
    const providers = new Map<string, number[]>();
    for (const pass of members)
      for (const name of passes[pass]!.head.provides ?? NOTHING)
        if (wanted.has(name)) addProvider(providers, name, pass);
    const done = new Set<number>();
    // Names whose providers are all in place: ten thousand passes that need one do not look at ten thousand providers each.
    const complete = new Set<string>();
    /** Passes on the way to the one that is visited. */
    const path: number[] = [];
    const visit = (pass: number): void => {
      if (done.has(pass)) return;
      if (path.includes(pass))
        throw planCycle([...path.slice(path.indexOf(pass)), pass].map((one) => passes[one]!.head.what));
      path.push(pass);
      const { head } = passes[pass]!;
      for (const need of head.needs ?? NOTHING) {
        if (complete.has(need)) continue;
        const before = providers.get(need) ?? members.filter((one) => provides(one, need));
        if (before.length === 0 && !provided.has(need) && !bulks.some((one) => provides(one, need)))
          throw planUnmet(head.what, need);
        let isOwn = false;
        for (const provider of before) {
          if (provider === pass) isOwn = true;
          else visit(provider);
        }
        if (!isOwn) complete.add(need);
      }
      path.pop();
      done.add(pass);
      ordered.push(pass);
    };
    for (const pass of members) visit(pass);
    for (const name of providers.keys()) provided.add(name);
    for (const pass of members) if ('isProvided' in passes[pass]!.head) bulks.push(pass);
  }
  return ordered;
}

function addProvider(providers: Map<string, number[]>, name: string, pass: number): void {
  const known = providers.get(name);
  // One name may have tens of thousands of providers: every mapping is one of `vmas`.
  if (known === undefined) providers.set(name, [pass]);
  else known.push(pass);
}
