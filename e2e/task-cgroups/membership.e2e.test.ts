// Processes and threads in cgroups, which they look for themselves (e2e/programs/cgroups.c).
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { FreezerCgroup, type FreezerVersion, freezerMount } from '../harness/cgroups';
import { must } from '../harness/checkpointer';
import { compile } from '../harness/compile';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

const versions = (['v1', 'v2'] as const).filter((version) => freezerMount(version) !== undefined);
if (versions.length === 0) test.skip('cgroups (none are mounted)', () => undefined);

describe.each(versions)('cgroups of %s', (version: FreezerVersion) => {
  let cgroup: FreezerCgroup;
  beforeEach(() => {
    cgroup = new FreezerCgroup(version);
  });
  afterEach(() => cgroup.remove());

  async function start(): Promise<Target> {
    const places = version === 'v1' ? [cgroup.path, cgroup.below] : [cgroup.path];
    const target = Target.start(...cgroup.around(compile('cgroups', ['-pthread']), ['GO', ...places]));
    await target.ready();
    return target;
  }

  const memberships = ({ pid }: Target) => {
    const child = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return [pid, child].map((one) => readFileSync(`/proc/${one}/cgroup`, 'utf8'));
  };
  const own = () => readFileSync('/proc/self/cgroup', 'utf8');

  flavours('each in one of its own', { start });

  test('nothing is recorded', async () => {
    const target = await start();
    must(target.dump('--manage-cgroups=ignore'));
    await target.gone();
    must(target.restore('--manage-cgroups'));
    expect(memberships(target)).toEqual([own(), own()]);
    await target.end();
  });

  test('what is recorded is left alone', async () => {
    const target = await start();
    must(target.dump());
    await target.gone();
    must(target.restore('--manage-cgroups=ignore'));
    expect(memberships(target)).toEqual([own(), own()]);
    await target.end();
  });

  test('a cgroup that is gone', async () => {
    const target = await start();
    const before = memberships(target);
    must(target.dump());
    await target.gone();
    rmdirSync(cgroup.below);
    const { status, stderr } = target.restore('--manage-cgroups=none');
    expect(status).toBe(1);
    expect(stderr).toContain('[CRTS_CGROUP_MISSING]');
    must(target.restore());
    expect(memberships(target)).toEqual([own(), before[1]]);
    await target.end();
    mkdirSync(cgroup.below);
  });

  test('a frozen cgroup is refused', async () => {
    const target = await start();
    must(target.dump());
    await target.gone();
    await cgroup.freeze();
    const { status, stderr } = target.restore();
    expect(status).toBe(1);
    expect(stderr).toContain('[CRTS_CGROUP_FROZEN]');
    cgroup.thaw();
    must(target.restore());
    await target.finish();
  });
});

test.each(['props', 'full', 'strict'])('--manage-cgroups=%s is refused at a restore', async (mode) => {
  const target = await Target.program('busy', ['integer']);
  must(target.dump(`--manage-cgroups=${mode}`));
  await target.gone();
  const { status, stderr } = target.restore(`--manage-cgroups=${mode}`);
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_OPTION_UNSUPPORTED]');
  must(target.restore());
  await target.finish();
});
