export interface Timespec {
  readonly sec: bigint;
  readonly nsec: bigint;
}

/** State of a timerfd, as timerfd_show() prints it, fs/timerfd.c. */
export interface TimerState {
  readonly clock: number;
  readonly ticks: bigint;
  readonly settimeFlags: number;
  /** Time left; zero where it is disarmed, or has expired and nobody has looked since. */
  readonly left: Timespec;
  readonly interval: Timespec;
}

export function parseTimer(fdinfo: string): TimerState | undefined {
  const parts =
    /^clockid: (\d+)\nticks: (\d+)\nsettime flags: 0([0-7]*)\nit_value: \((\d+), (\d+)\)\nit_interval: \((\d+), (\d+)\)$/m.exec(
      fdinfo,
    );
  if (parts === null) return undefined;
  const [clock, ticks, flags, sec, nsec, intervalSec, intervalNsec] = parts.slice(1) as [string, ...string[]];
  return {
    clock: Number(clock),
    ticks: BigInt(ticks!),
    settimeFlags: Number.parseInt(flags || '0', 8),
    left: { sec: BigInt(sec!), nsec: BigInt(nsec!) },
    interval: { sec: BigInt(intervalSec!), nsec: BigInt(intervalNsec!) },
  };
}

export function isZero({ sec, nsec }: Timespec): boolean {
  return sec === 0n && nsec === 0n;
}
