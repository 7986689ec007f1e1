/** Descriptors that a task opens for its threads, whose programs take none. */
import type { CoreEntry } from '@crts/image-io';
import type { Arg, PassHead, Program } from '@crts/plugin-api';
import type { ImageSet, ThreadSet } from './image-set';
import type { PlanBuilder } from './plan';

/** Root and working directory of those that have their own. */
const PER_THREAD = 2;

export interface Lent {
  readonly head: Pick<PassHead, 'plugin' | 'what' | 'entry'>;
  readonly open: (program: Program) => Arg;
}

export class LentNumbers {
  readonly #lent: Lent[] = [];

  /** The task has the numbers from `first` on free, `most` of them. */
  constructor(
    readonly first: number,
    readonly most: number,
  ) {}

  add(head: Lent['head'], open: Lent['open']): number {
    if (this.#lent.length === this.most) throw new RangeError('there is no number for a descriptor of a thread');
    return this.first + this.#lent.push({ head, open }) - 1;
  }

  /** To be called before passes of stage `sigchld` are added: paths lead to what they led to at the dump until the task has its root. */
  planOpening(plan: PlanBuilder): void {
    plan.bulk(
      { plugin: 'engine', stage: 'sigchld', what: 'open what threads are lent', isProvided: () => false },
      (next) => {
        for (const [index, { head, open }] of this.#lent.entries()) {
          const program = next();
          program.origin = { ...head, stage: 'sigchld' };
          program.moveFd(open(program), this.first + index, true);
        }
      },
    );
  }

  planClosing(plan: PlanBuilder): void {
    if (this.#lent.length === 0) return;
    plan.pass(
      { plugin: 'engine', stage: 'sigchld', what: 'close what threads were lent', needs: ['threads'] },
      (program) => {
        for (const index of this.#lent.keys()) program.call('close', [this.first + index]);
      },
    );
  }
}

/** Most that any task lends. */
export function mostLent({ tasks }: Pick<ImageSet, 'tasks'>): number {
  const hasOwn = ({ core }: ThreadSet) => (core as unknown as CoreEntry).thread_core?.crts?.fs !== undefined;
  return tasks.reduce((most, { threads }) => Math.max(most, threads.filter(hasOwn).length * PER_THREAD), 0);
}
