import type { FrozenThread, Program } from '@crts/plugin-api';
import { askForLandlock, callWitness } from './landlock';

const PTRACE = '0000000000080000';
const thread = (status: Record<string, string>) =>
  ({
    tid: 12,
    facts: { status: new Map(Object.entries({ CapEff: '0', Uid: '1234 0 0 0', Gid: '1234 0 0 0', ...status })) },
  }) as unknown as FrozenThread;

function asked(value: bigint) {
  const pids: unknown[] = [];
  const program = {
    call: (_: string, [pid]: unknown[]) => {
      pids.push(pid);
      return { value };
    },
  } as unknown as Program;
  return { read: askForLandlock(program), pids };
}

test('one that may look into crts, and is told that it may not, is in a domain', () => {
  const { read, pids } = asked(-1n);
  expect(pids).toEqual([process.pid]);
  expect(() => read(thread({ CapEff: PTRACE }))).toThrow(
    expect.objectContaining({ code: 'CRTS_LANDLOCK', kind: 'refused', pid: 12 }),
  );
  expect(() => asked(0n).read(thread({ CapEff: PTRACE }))).not.toThrow();
});

test('one that may not look into crts proves nothing, and needs no witness without no_new_privs', () => {
  callWitness(thread({ NoNewPrivs: '0' }));
  const { read, pids } = asked(-1n);
  expect(pids).toHaveLength(1);
  expect(() => read(thread({}))).not.toThrow();
});

test('root is no witness: its processes have capabilities', () => {
  callWitness(thread({ NoNewPrivs: '1', Uid: '0 0 0 0' }));
  expect(asked(0n).pids).toHaveLength(1);
});
