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

  /** `number` is asked when the owner has opened it. */
  loan(owner: number, number: () => number): Loan {
    return new Loan(
      () => {
        const fd = pidfdGetfd(this.#pidfdOf(owner), number());
        this.#open.add(fd);
        return fd;
      },
      (fd) => {
        this.#open.delete(fd);
        closeFd(fd);
      },
    );
  }

  /** What the engine opens itself, when the first task takes it. */
  opened(open: () => number): Loan {
    return new Loan(
      () => {
        const fd = open();
        this.#open.add(fd);
        return fd;
      },
      (fd) => {
        this.#open.delete(fd);
        closeFd(fd);
      },
    );
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

export class Loan implements LateFd {
  readonly #borrow: () => number;
  readonly #giveBack: (fd: number) => void;
  #users = 0;
  #fd: number | undefined;

  constructor(borrow: () => number, giveBack: (fd: number) => void) {
    this.#borrow = borrow;
    this.#giveBack = giveBack;
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
    this.#giveBack(this.#fd);
    this.#fd = undefined;
  }
}
