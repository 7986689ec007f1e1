import {
  CrtsError,
  type FdFacts,
  type NamedFile,
  type RemapDumpContext,
  type RemapPlanContext,
} from '@crts/plugin-api';
import { procHandler } from './handler';

const PROC = 0x9fa0n;
type Fate = 'dumped' | 'alive' | 'dead';
const file = (name: string, leads: NamedFile['leads'], fsType = PROC): NamedFile => ({
  facts: { fsType } as FdFacts,
  name,
  leads,
  isDeleted: false,
});
const match = (named: NamedFile, fate: Fate) => procHandler.match(named, { fateOf: () => fate });

describe('match', () => {
  test('files of processes that are gone', () => {
    expect(match(file('/proc/12/mountinfo', 'nowhere'), 'dead')).toBe(20);
    expect(match(file('/proc/12', 'nowhere'), 'dead')).toBe(20);
    expect(match(file('/proc/12 (deleted)', 'nowhere'), 'dead')).toBe(20);
  });

  test('a zombie that is not dumped may be gone at restore; one that is, comes back as one', () => {
    expect(match(file('/proc/12/status', 'here'), 'dead')).toBe(20);
    expect(match(file('/proc/12/status', 'here'), 'dumped')).toBe(0);
    expect(match(file('/proc/12/status', 'here'), 'alive')).toBe(0);
  });

  test('what is of no process, and other filesystems', () => {
    for (const name of ['/proc/kmsg', '/proc/sys/kernel/pid_max', '/proc', '/proc/12x'])
      expect(match(file(name, 'nowhere'), 'dead')).toBe(0);
    expect(match(file('/proc/12/status', 'nowhere', 0xef53n), 'dead')).toBe(0);
  });
});

describe('dump', () => {
  const seen = new Set<string>();
  const context = (fate: Fate) =>
    ({
      fateOf: () => fate,
      first: (key: string) => seen.size !== seen.add(key).size,
    }) as unknown as RemapDumpContext;

  test('one entry for each process', () => {
    expect(procHandler.dump(file('/proc/12 (deleted)', 'nowhere'), context('dead'))).toEqual({
      name: '/proc/12',
      remap: { id: 12, type: 2 },
    });
    expect(procHandler.dump(file('/proc/12/maps', 'nowhere'), context('dead'))).toEqual({ name: '/proc/12/maps' });
    expect(procHandler.dump(file('/proc/13/maps', 'nowhere'), context('dead')).remap).toEqual({ id: 13, type: 2 });
  });

  test.each(['dumped', 'alive'] as const)('a pid that a process has which is %s', (fate) => {
    expect(() => procHandler.dump(file('/proc/12/task/13/maps', 'nowhere'), context(fate))).toThrow(
      expect.objectContaining({ code: 'CRTS_PROC_ENTRY', kind: 'refused' }),
    );
  });
});

describe('restore', () => {
  const plan = (name: string, pid: number) => {
    const helpers: number[] = [];
    const context = {
      record: () => ({ type: 1, field: 'reg', value: { name } }),
      addHelper: (helper: number) => helpers.push(helper),
    } as unknown as RemapPlanContext;
    expect(procHandler.plan([{ orig_id: 7, remap_id: pid, remap_type: 2 }], context).size).toBe(0);
    return helpers;
  };

  test('a helper of the pid; the file is opened by its name', () => {
    expect(plan('/proc/12/mountinfo', 12)).toEqual([12]);
    expect(plan('/proc/12', 12)).toEqual([12]);
    expect(procHandler.owns({ orig_id: 7, remap_id: 12, remap_type: 2 })).toBe(true);
    expect(procHandler.owns({ orig_id: 7, remap_id: 12, remap_type: 1 })).toBe(false);
  });

  test.each([
    ['/proc/12/mountinfo', 13],
    ['/proc/kmsg', 12],
    ['/etc/passwd', 12],
    ['/proc/0/x', 0],
    ['/proc/4194305', 4194305],
  ])('a hostile image: %s of %d', (name, pid) => {
    expect(() => plan(name, pid)).toThrow(CrtsError);
  });
});
