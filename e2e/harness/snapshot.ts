/** What anyone can see of a process, for comparison before the dump and after the restore. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Times, parents and counters of another life, and signals on their way at this very moment. */
const STATUS_MAY_DIFFER =
  /^(PPid|State|Vm(Peak|HWM|RSS|Data|PTE|Swap|Pin|Size|Lck|Exe|Lib|Stk)|Rss\w+|voluntary_ctxt_switches|nonvoluntary_ctxt_switches|HugetlbPages|SigQ|SigPnd|ShdPnd|Speculation\w*|untag_mask)$/;
/** Fields of stat compared: ids, priorities, layout. man 5 proc. */
const STAT_FIELDS = [5, 6, 7, 18, 19, 20, 26, 27, 28, 38, 40, 41, 45, 46, 47, 48, 49, 50, 51];

export function snapshot(pid: number): Record<string, unknown> {
  const read = (file: string) => readFileSync(`/proc/${pid}/${file}`, 'latin1');
  const stat = read('stat')
    .replace(/^\d+ \(.*\) /s, '- - ')
    .split(' ');
  const status = Object.fromEntries(
    read('status')
      .split('\n')
      .map((line) => line.split(':\t') as [string, string])
      .filter(([name]) => name !== '' && !STATUS_MAY_DIFFER.test(name)),
  );
  return {
    status,
    stat: STAT_FIELDS.map((field) => stat[field - 1]),
    maps: maps(read('smaps')),
    fds: Object.fromEntries(
      readdirSync(`/proc/${pid}/fd`).map((fd) => [
        fd,
        `${readlinkSync(`/proc/${pid}/fd/${fd}`)} ${read(`fdinfo/${fd}`)
          .replace(/^pos:.*\n/, '')
          .replace(/^scm_fds.*\n/m, '')}`,
      ]),
    ),
    limits: read('limits'),
    cmdline: read('cmdline'),
    environ: read('environ'),
    auxv: read('auxv'),
    comm: read('comm'),
    links: ['exe', 'cwd', 'root'].map((link) => readlinkSync(`/proc/${pid}/${link}`)),
    personality: read('personality'),
    timerslack: read('timerslack_ns'),
    oom: read('oom_score_adj'),
    filter: read('coredump_filter'),
    tasks: readdirSync(`/proc/${pid}/task`),
    children: read(`task/${pid}/children`),
  };
}

/** Mappings with what the kernel may merge merged: neighbours that differ in nothing but where they begin. */
function maps(smaps: string): string[] {
  const lines: { start: bigint; end: bigint; rest: string; offset: bigint; file: boolean }[] = [];
  for (const block of smaps.split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/)) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) (\S+ \d+) *(.*)/.exec(block)!;
    const flags = /^VmFlags: (.*)$/m.exec(block)?.[1] ?? '';
    const start = BigInt(`0x${match[1]}`);
    const end = BigInt(`0x${match[2]}`);
    const offset = BigInt(`0x${match[4]}`);
    const file = !match[5]!.endsWith(' 0');
    // Soft-dirty marks and accounting come and go with writes; `gu` (guards may be inside) stays on neighbours that
    // were split off a mapping with guards.
    const rest = `${match[3]} ${match[5]} ${match[6]} ${flags.replace(/\b(sd|ac|gu)\b ?/g, '').trim()}`;
    const last = lines.at(-1);
    if (
      last !== undefined &&
      last.end === start &&
      last.rest === rest &&
      (!file || last.offset + (last.end - last.start) === offset)
    )
      last.end = end;
    else lines.push({ start, end, rest, offset, file });
  }
  return lines.map(
    ({ start, end, rest, offset, file }) =>
      `${start.toString(16)}-${end.toString(16)} ${file ? offset.toString(16) : ''} ${rest}`,
  );
}
