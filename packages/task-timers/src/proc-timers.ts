/** What /proc/PID/timers says (man 5 proc, show_timer() in fs/proc/base.c). Pure. */

/** SIGEV_* of include/uapi/asm-generic/siginfo.h. */
export const SIGEV = { signal: 0, none: 1, thread: 2, threadId: 4 } as const;

export interface ProcTimer {
  readonly id: number;
  /** Anything where no signal is sent. */
  readonly signal: number;
  /** sigev_value, all 64 bits. */
  readonly value: bigint;
  readonly notify: number;
  /** The thread that gets the signal (`SIGEV.threadId`), or the process; as the reader's pid namespace numbers it. */
  readonly hostTid: number;
  /** As the kernel keeps it: CPU clocks are negative numbers. */
  readonly clock: number;
}

const NOTIFY: Readonly<Record<string, number>> = { signal: SIGEV.signal, none: SIGEV.none, thread: SIGEV.thread };
const BLOCK =
  /^ID: (\d+)\nsignal: (-?\d+)\/([0-9a-f]+)\nnotify: (signal|none|thread)\/(tid|pid)\.(\d+)\nClockID: (-?\d+)\n/;

/** In the order of their ids. Undefined where the text is not what this parser knows. */
export function parseProcTimers(text: string): readonly ProcTimer[] | undefined {
  const timers: ProcTimer[] = [];
  let rest = text;
  while (rest !== '') {
    const match = BLOCK.exec(rest);
    if (match === null) return undefined;
    rest = rest.slice(match[0].length);
    timers.push({
      id: Number(match[1]),
      signal: Number(match[2]),
      value: BigInt(`0x${match[3]}`),
      notify: match[5] === 'tid' ? SIGEV.threadId : NOTIFY[match[4]!]!,
      hostTid: Number(match[6]),
      clock: Number(match[7]),
    });
  }
  return timers.sort((a, b) => a.id - b.id);
}
