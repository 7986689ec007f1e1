import type { CgroupEntry, CoreEntry, InventoryEntry } from '@crts/image-io';
import type {
  FrozenTask,
  HostStepContext,
  ImageItem,
  PassHead,
  RestoreContext,
  TaskPlan,
  ThreadPlan,
} from '@crts/plugin-api';
import { cgroupsHandler } from './handler';
import { SetImage } from './image';
import { parseMembership, shareController } from './membership';

const TEXT = '12:cpu,cpuacct:/a:b\n2:name=systemd:/user.slice\n0::/top/low (deleted)\n';

test('/proc/PID/cgroup', () => {
  expect([...parseMembership(TEXT)]).toEqual([
    ['cpu,cpuacct', '/a:b'],
    ['name=systemd', '/user.slice'],
    ['', '/top/low (deleted)'],
  ]);
});

test('controllers that are mounted together on one machine only', () => {
  expect(shareController('cpu', 'cpu,cpuacct')).toBe(true);
  expect(shareController('cpu,cpuacct', 'cpuacct')).toBe(true);
  expect(shareController('', '')).toBe(true);
  expect(shareController('', 'cpu')).toBe(false);
  expect(shareController('cpuset', 'cpu')).toBe(false);
});

describe('the image', () => {
  const own = parseMembership(TEXT);
  const other = new Map([...own, ['', '/elsewhere']]);
  const imageOf = () => {
    const items: ImageItem[] = [];
    const image = SetImage.of({ addItem: (_: string, item: ImageItem) => items.push(item) } as never, () => own);
    return { image, items };
  };
  const plain = () => false;

  test('tasks where crts is: none', () => {
    const { image, items } = imageOf();
    expect(image.add(new Map([...own].reverse()), plain)).toBe(1);
    expect(items).toEqual([]);
  });

  test('each set once, with the directories that CRIU looks for', () => {
    const { image, items } = imageOf();
    expect([other, own, other].map((one) => image.add(one, (name) => name === ''))).toEqual([2, 1, 2]);
    expect(items.map(({ value }) => value)).toEqual([
      {
        sets: [
          {
            id: 2,
            ctls: [
              { name: '', path: '/elsewhere' },
              { name: 'cpu,cpuacct', path: '/a:b' },
              { name: 'name=systemd', path: '/user.slice' },
            ],
          },
        ],
        controllers: [
          { cnames: [''], is_threaded: true, dirs: [{ dir_name: 'elsewhere', children: [], properties: [] }] },
          { cnames: ['cpu', 'cpuacct'], dirs: [{ dir_name: 'a:b', children: [], properties: [] }] },
          { cnames: ['name=systemd'], dirs: [{ dir_name: 'user.slice', children: [], properties: [] }] },
        ],
      },
    ]);
  });
});

test('a dump that leaves cgroups alone', () => {
  const thread = { core: { thread_core: {} }, hostTid: 1 };
  const task = { threads: [thread], options: { manageCgroups: 'ignore' } } as unknown as FrozenTask;
  cgroupsHandler.dump(task)();
  expect(thread.core).toEqual({ thread_core: { cg_set: 1 } });
});

describe('plan', () => {
  const set = (id: number, path: string) => ({ id, ctls: [{ name: '', path }] });
  const SETS = [set(2, '/two'), set(3, '/three')];

  /** Heads of the host steps of tasks, each a list of the sets of its threads. The first task is the root. */
  function heads(
    tasks: readonly (readonly (number | undefined)[])[],
    sets: CgroupEntry['sets'] = SETS,
    options: object = {},
  ): string[][] {
    const images: Record<string, ImageItem[]> = {
      cgroup: sets.length === 0 ? [] : [{ value: { sets, controllers: [] } }],
      inventory: [{ value: { root_cg_set: 1 } as InventoryEntry as never }],
    };
    const items = (kind: string) => images[kind]!;
    return tasks.map((threads, index) => {
      const context = { items, options, log: {} } as unknown as RestoreContext;
      const out: string[] = [];
      const plan = {
        isRoot: index === 0,
        hostStep: ({ stage, what }: PassHead, _run: (step: HostStepContext) => void) => out.push(`${stage}: ${what}`),
      } as unknown as TaskPlan;
      const cores = threads.map((cg_set) => ({ thread_core: { cg_set } }) as CoreEntry as never);
      cgroupsHandler.plan({ core: cores[0]! } as never, plan, context);
      for (const [tid, core] of cores.entries())
        cgroupsHandler.planThread(core, { tid, isMain: tid === 0 } as ThreadPlan, context);
      return out;
    });
  }

  test('the root goes first, and who belongs elsewhere after it', () => {
    expect(heads([[2], [2], [3], [1], [undefined]])).toEqual([
      ['namespaces: join the cgroups of set 2'],
      [],
      ['forking: join the cgroups of set 3'],
      ['forking: join the cgroups of set 1'],
      [],
    ]);
  });

  test('nobody goes', () => {
    expect(heads([[1], [1, 1]], [])).toEqual([[], []]);
    expect(heads([[2], [3]], SETS, { manageCgroups: 'ignore' })).toEqual([[], []]);
  });

  test('threads', () => {
    expect(heads([[1], [2, 3, 2, 3]])).toEqual([
      [],
      ['forking: join the cgroups of set 2', 'credentials: threads in cgroups of their own'],
    ]);
  });

  test.each([
    ['a set that is not there', [[4]], SETS],
    ['a thread in a set that is not there', [[2, 4]], SETS],
    ['two sets of one number', [[2]], [...SETS, set(2, '/')]],
    ['a path that leads out', [[2]], [set(2, '/a/../..')]],
    ['a relative path', [[2]], [set(2, 'a')]],
    ['a path with a zero', [[2]], [set(2, '/a\0b')]],
    ['a path that is too long', [[2]], [set(2, `/${'a'.repeat(4096)}`)]],
    [
      'too many hierarchies',
      [[2]],
      [{ id: 2, ctls: Array.from({ length: 257 }, (_, i) => ({ name: `n${i}`, path: '/' })) }],
    ],
  ])('an image with %s', (_, tasks, sets) => {
    expect(() => heads(tasks, sets)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/CRTS_IMAGE_(?:FIELD|REFERENCE)/) }),
    );
  });
});
