import { closeFd, pidfdGetfd, pidfdOpen } from '@crts/native-syscalls';
import type { LateFd } from '@crts/plugin-api';

/**
 * Descriptions that one restored task has opened and others get from it: the engine borrows a duplicate
 * (pidfd_getfd(2)) when the first of them needs it, and gives it back after the last.
 */
export class Lender {
  /** Host pid of a restored task by its pid in the images; set when the tasks live. */
  hostPidOf: (pid: number) => number = () => {
    throw new Error('descriptors are lent only while the tasks live');
  };
  readonly #open = new Set<number>();
  /** Of the owner that was asked last: many loans of one follow each other. */
  #pidfd: { readonly owner: number; readonly fd: number } | undefined;

  /** `held` has its number when the owner has opened it. */
  loan(owner: number, held: Held): Loan {
    return new Loan(this, owner, held);
  }

  /** What the engine opens itself, when the first task takes it. */
  opened(open: () => number): Loan {
    return new Loan(this, open);
  }

  /** For loans: a duplicate of a descriptor of a task. */
  borrow(owner: number, number: number): number {
    return this.keep(pidfdGetfd(this.#pidfdOf(owner), number));
  }

  /** For loans: a descriptor of the engine's own, until it is given back. */
  keep(fd: number): number {
    this.#open.add(fd);
    return fd;
  }

  giveBack(fd: number): void {
    this.#open.delete(fd);
    closeFd(fd);
  }

  #pidfdOf(owner: number): number {
    if (this.#pidfd?.owner !== owner) {
      this.#letGo();
      this.#pidfd = { owner, fd: pidfdOpen(this.hostPidOf(owner)) };
    }
    return this.#pidfd.fd;
  }

  #letGo(): void {
    if (this.#pidfd !== undefined) closeFd(this.#pidfd.fd);
    this.#pidfd = undefined;
  }

  /** Also for a restore that failed half-way. */
  close(): void {
    this.#letGo();
    for (const fd of this.#open) closeFd(fd);
    this.#open.clear();
  }
}

/** Something open in a task. */
interface Held {
  readonly number: number;
}

/** No closures: a tree may have a hundred thousand of these. */
export class Loan implements LateFd {
  readonly #lender: Lender;
  /** Pid in the images, or what opens it in the engine. */
  readonly #owner: number | (() => number);
  readonly #held: Held | undefined;
  #users = 0;
  #fd: number | undefined;

  constructor(lender: Lender, owner: number | (() => number), held?: Held) {
    this.#lender = lender;
    this.#owner = owner;
    this.#held = held;
  }

  /** One more task will take it. */
  use(): this {
    this.#users += 1;
    return this;
  }

  take(): number {
    this.#fd ??= this.#borrow();
    return this.#fd;
  }

  sent(): void {
    this.#users -= 1;
    if (this.#users > 0 || this.#fd === undefined) return;
    this.#lender.giveBack(this.#fd);
    this.#fd = undefined;
  }

  #borrow(): number {
    if (typeof this.#owner === 'number') return this.#lender.borrow(this.#owner, this.#held!.number);
    return this.#lender.keep(this.#owner());
  }
}
