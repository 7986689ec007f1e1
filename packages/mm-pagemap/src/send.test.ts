import { ProgramBuilder } from '@crts/native-syscalls';
import type { FrozenTask, PageOutlet } from '@crts/plugin-api';
import { sendRuns } from './send';

const PAGE = 4096n;
const MIB = 1024n * 1024n;

/** A task and a server that note what they are told. */
function noted() {
  const programs: string[][] = [];
  let bytes = 0n;
  const task = {
    pid: 7,
    run: (build: (program: ProgramBuilder) => void) => {
      const program = new ProgramBuilder();
      build(program);
      programs.push(program.text());
    },
  } as unknown as FrozenTask;
  const outlet = {
    socket: 9,
    record: () => Buffer.alloc(32),
    sent: (more: bigint) => {
      bytes += more;
    },
  } as unknown as PageOutlet;
  return { task, outlet, programs, sent: () => bytes };
}

const run = (start: bigint, pages: bigint, more: object = {}) => ({
  start,
  end: start + pages * PAGE,
  flags: 4,
  isPresent: true,
  readable: true,
  ...more,
});

test('the task announces and sends its own pages, in pieces; what is not present is announced alone', () => {
  const { task, outlet, programs, sent } = noted();
  sendRuns(task, [run(0x1000n, 2n), run(0x9000n, 5n, { flags: 1, isPresent: false }), run(0x10_0000n, 1025n)], outlet);
  expect(programs).toHaveLength(1);
  const calls = programs[0]!.filter((line) => line.includes('sendto'));
  // Flags: MSG_NOSIGNAL | MSG_MORE. Three records; two pages; 4 MiB and a page.
  expect(calls).toHaveLength(6);
  for (const line of calls) expect(line).toMatch(/49152|0xc000/);
  expect(programs[0]!.at(-1)).toContain('close');
  expect(sent()).toBe(1027n * PAGE);
});

test('a terabyte is announced in portions that a program can send', () => {
  const { task, outlet, programs, sent } = noted();
  sendRuns(task, [run(0x1_0000_0000n, (40n * 1024n * MIB) / PAGE)], outlet);
  expect(programs).toHaveLength(3);
  expect(sent()).toBe(40n * 1024n * MIB);
});
