import type { SeccompFilter } from '@crts/image-io';
import type { TreeImages } from '@crts/plugin-api';
import { INSTRUCTION_BYTES, INSTRUCTIONS_MAX } from './bpf';
import { badFilters } from './errors';

/** SECCOMP_FILTER_FLAG_*, include/uapi/linux/seccomp.h. */
export const FLAG = { tsync: 1, log: 2, specAllow: 4 } as const;
const FLAGS = FLAG.tsync | FLAG.log | FLAG.specAllow;
/** MAX_INSNS_PER_PATH of kernel/seccomp.c, where each filter counts four more than it has. */
const PATH_MAX = 32768;
const FILTER_COST = 4;

export interface Filter {
  /** Array of struct sock_filter. */
  readonly program: Buffer;
  readonly flags: number;
}

/** Filters of one thread, in the order in which they were installed. */
export type Chain = readonly Filter[];

export function sameChain(a: Chain, b: Chain): boolean {
  return (
    a.length === b.length &&
    a.every(({ program, flags }, index) => flags === b[index]!.flags && program.equals(b[index]!.program))
  );
}

/** How many filters all of these begin with. */
export function commonStart([first, ...others]: readonly Chain[]): number {
  let length = 0;
  while (
    length < first!.length &&
    others.every((chain) => sameChain(chain.slice(length, length + 1), [first![length]!]))
  )
    length++;
  return length;
}

/** The one entry of seccomp.img, while a dump runs. */
export class FilterImage {
  static readonly #ofTree = new WeakMap<TreeImages, FilterImage>();

  readonly #filters: SeccompFilter[] = [];
  readonly #known = new Map<string, number>();

  static of(tree: TreeImages): FilterImage {
    let image = FilterImage.#ofTree.get(tree);
    if (image === undefined) {
      image = new FilterImage();
      FilterImage.#ofTree.set(tree, image);
      tree.addItem('seccomp', { value: { seccomp_filters: image.#filters } });
    }
    return image;
  }

  /**
   * Adds a chain and returns its number. As CRIU has it: a chain is known by its oldest filter, and `prev` of a filter is the
   * next younger one. Chains that are equal, as after a fork, are stored once.
   */
  add(chain: Chain): number {
    const key = chain.map(({ program, flags }) => `${flags}:${program.toString('base64')}`).join();
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    chain.toReversed().forEach(({ program, flags }, index) => {
      const prev = index === 0 ? {} : { prev: this.#filters.length - 1 };
      this.#filters.push({ filter: program, flags, ...prev });
    });
    this.#known.set(key, this.#filters.length - 1);
    return this.#filters.length - 1;
  }
}

/** The chain that an image has under a number. @throws CrtsError on anything that the kernel would not take */
export function chainAt(filters: readonly SeccompFilter[], start: number): Chain {
  const chain: Filter[] = [];
  let cost = 0;
  for (let at: number | undefined = start; at !== undefined; at = filters[at]!.prev) {
    const field = `seccomp_entry.seccomp_filters[${at}]`;
    const entry = filters[at];
    if (entry === undefined) throw badFilters(field, 'there is no such filter');
    const { filter, flags = 0 } = entry;
    const count = filter.length / INSTRUCTION_BYTES;
    if (!Number.isInteger(count) || count < 1 || count > INSTRUCTIONS_MAX)
      throw badFilters(field, `${filter.length} bytes are no filter`);
    if ((flags & ~FLAGS) !== 0) throw badFilters(field, `flags 0x${flags.toString(16)}`);
    // A circle of filters ends here too.
    cost += count + FILTER_COST;
    if (cost > PATH_MAX + FILTER_COST) throw badFilters(field, 'more instructions than a thread can have');
    chain.push({ program: Buffer.from(filter), flags });
  }
  return chain;
}
