/** One registration, as ep_show_fdinfo() prints it, fs/eventpoll.c. */
export interface Watched {
  /** The number under which it was registered; it may have been closed or given to another file since. */
  readonly number: number;
  readonly events: number;
  readonly data: bigint;
  readonly pos: bigint;
  readonly ino: bigint;
  /** Device number as the kernel has it inside: 12 bits of major, 20 of minor. */
  readonly dev: number;
  /** Of the registrations with this number, how many come before: kcmp(2) counts them in the same order. */
  readonly rank: number;
}

const LINE =
  /^tfd:\s*(\d+) events:\s*([0-9a-f]+) data:\s*([0-9a-f]+) {2}pos:(-?\d+) ino:([0-9a-f]+) sdev:([0-9a-f]+)$/gm;

export function parseWatched(fdinfo: string): Watched[] {
  const ranks = new Map<number, number>();
  return [...fdinfo.matchAll(LINE)].map(([, tfd, events, data, pos, ino, dev]) => {
    const number = Number(tfd);
    const rank = ranks.get(number) ?? 0;
    ranks.set(number, rank + 1);
    return {
      number,
      events: Number.parseInt(events!, 16),
      data: BigInt(`0x${data}`),
      pos: BigInt(pos!),
      ino: BigInt(`0x${ino}`),
      dev: Number.parseInt(dev!, 16),
      rank,
    };
  });
}

/** Inode number of the file behind a descriptor, which fdinfo of its epoll prints too (stat(2) may tell another). */
export function inodeOf(fdinfo: string): bigint | undefined {
  const text = /^ino:\s*(\d+)$/m.exec(fdinfo)?.[1];
  return text === undefined ? undefined : BigInt(text);
}
