import { CrtsError } from '@crts/plugin-api';
import { parseArguments } from './parse';

function codeOf(...argv: string[]): string {
  try {
    parseArguments(argv);
  } catch (error) {
    if (error instanceof CrtsError) return error.code;
    throw error;
  }
  return 'none';
}

function hintOf(...argv: string[]): string | undefined {
  try {
    parseArguments(argv);
  } catch (error) {
    return (error as CrtsError).hint;
  }
  return undefined;
}

const values = (...argv: string[]) => Object.fromEntries(parseArguments(argv).values);
const switches = (...argv: string[]) => [...parseArguments(argv).switches];

describe('long and short options', () => {
  test('an argument may be joined, separate, or follow an equals sign', () => {
    expect(values('dump', '-t12', '-D', 'a', '--work-dir=b')).toEqual({
      tree: ['12'],
      'images-dir': ['a'],
      'work-dir': ['b'],
    });
    expect(values('--tree', '12', 'dump')).toEqual({ tree: ['12'] });
    expect(values('dump', '-t', '12', '-o', '-')).toEqual({ tree: ['12'], 'log-file': ['-'] });
    expect(values('dump', '--images-dir=a=b')).toEqual({ 'images-dir': ['a=b'] });
  });

  test('short switches join, the last may take an argument', () => {
    const parsed = parseArguments(['dump', '-Rjt', '12']);
    expect([...parsed.switches]).toEqual(['leave-running', 'shell-job']);
    expect(parsed.values.get('tree')).toEqual(['12']);
  });

  test('a repeated option keeps every value in order', () => {
    expect(values('restore', '--plugin', 'a', '--plugin=b')).toEqual({ plugin: ['a', 'b'] });
  });

  test('the beginning of a long name will do if only one option has it', () => {
    expect(switches('dump', '--leave-r')).toEqual(['leave-running']);
    expect(codeOf('dump', '--leave')).toBe('CRTS_OPTION_AMBIGUOUS');
    expect(hintOf('dump', '--leave')).toContain('--leave-running, --leave-stopped');
    // `--tree` is whole, however many others begin like it.
    expect(values('dump', '--tree=1')).toEqual({ tree: ['1'] });
  });

  test('a --no- twin takes a switch back, and only switches that have one', () => {
    expect(switches('restore', '-j', '--no-shell-job')).toEqual([]);
    expect(switches('restore', '--no-shell-job', '-j')).toEqual(['shell-job']);
    expect(codeOf('dump', '--no-leave-running')).toBe('CRTS_OPTION_UNKNOWN');
  });

  test('of two final states the last counts, as with criu', () => {
    expect(switches('dump', '-R', '-s')).toEqual(['leave-stopped']);
    expect(switches('dump', '-s', '-R')).toEqual(['leave-running']);
  });

  test('--daemon is --restore-detached', () => {
    expect(switches('restore', '--daemon')).toEqual(['restore-detached']);
    expect(switches('restore', '-d', '--no-daemon')).toEqual([]);
  });

  test('missing, unexpected and bad arguments', () => {
    expect(codeOf('dump', '-t')).toBe('CRTS_OPTION_VALUE');
    expect(codeOf('dump', '--shell-job=yes')).toBe('CRTS_OPTION_VALUE');
    expect(codeOf('dump', '-vmuch')).toBe('CRTS_OPTION_VALUE');
  });
});

// The level starts at 2 and every `v` adds one: parse_options(), criu/config.c of 4.2; checked against its log.
test.each([
  [[], 2],
  [['-v'], 3],
  [['-vv'], 4],
  [['-v', '-v'], 4],
  [['-vvvv'], 4],
  [['-v0'], 0],
  [['-v4'], 4],
  [['-v9'], 4],
  [['--verbosity'], 3],
  [['--verbosity=1'], 1],
  [['-v1', '-v'], 2],
  [['-verbosity=0'], 0],
])('verbosity of %j is %d', (options, level) => {
  expect(parseArguments([...options, 'dump']).verbosity).toBe(level);
});

test('the argument of --verbosity is only ever joined, so a separate one is an operand', () => {
  expect(codeOf('dump', '--verbosity', '4')).toBe('CRTS_OPERAND');
});

describe('actions', () => {
  test('help and version need no action', () => {
    expect(parseArguments(['-h']).action).toBe('help');
    expect(parseArguments(['dump', '--version']).action).toBe('version');
  });

  test.each(['service', 'swrk', 'cpuinfo'])("criu's %s is refused by name", (action) => {
    expect(codeOf(action)).toBe('CRTS_ACTION_UNSUPPORTED');
  });

  test('others are unknown', () => {
    expect(codeOf('dmup')).toBe('CRTS_ACTION_UNKNOWN');
    expect(codeOf()).toBe('CRTS_ACTION_UNKNOWN');
  });

  test('one operand, and everything after -- is one', () => {
    expect(codeOf('dump', 'restore')).toBe('CRTS_OPERAND');
    expect(codeOf('dump', '--', '-t')).toBe('CRTS_OPERAND');
  });

  test('an option of the other action is an error', () => {
    expect(codeOf('dump', '-d')).toBe('CRTS_OPTION_MISPLACED');
    expect(codeOf('restore', '-t', '1')).toBe('CRTS_OPTION_MISPLACED');
  });
});

describe('options that mean nothing for an action, and that it takes', () => {
  test.each([
    ['dump', '--pidfile=a'],
    ['dump', '--pre-dump-mode=read'],
    ['dump', '--skip-file-rwx-check'],
    ['pre-dump', '--timeout=3'],
    ['restore', '--timeout=3'],
    ['restore', '--force-irmap'],
    ['restore', '--irmap-scan-path=/a'],
    ['restore', '--no-ghost-fiemap'],
    ['dump', '--ghost-fiemap'],
    ['check', '--feature=tun'],
    ['check', '--all'],
    ['check', '--no-default-config'],
  ])('%s %s', (action, option) => {
    expect(codeOf(action, option)).toBe('none');
  });

  test.each([
    ['dump', '--feature=tun'],
    ['check', '--tree=1'],
    ['restore', '--all'],
  ])('but not %s %s', (action, option) => {
    expect(codeOf(action, option)).toBe('CRTS_OPTION_MISPLACED');
  });
});

describe('options that are not carried', () => {
  test('unknown ones: the nearest name is suggested', () => {
    expect(codeOf('dump', '--tere', '1')).toBe('CRTS_OPTION_UNKNOWN');
    expect(hintOf('dump', '--tere', '1')).toBe('Did you mean --tree?');
    expect(hintOf('restore', '--no-shel-job')).toBe('Did you mean --no-shell-job?');
    expect(hintOf('dump', '--quite-else')).toBe('See crts --help.');
    expect(codeOf('dump', '-Z')).toBe('CRTS_OPTION_UNKNOWN');
  });

  // Every long option of criu 4.2 (criu/config.c) that crts does not support.
  const REFUSED =
    'join-ns=net:1 root=/ tcp-established no-tcp-established close=3 log-pid no-log-pid veth-pair=a=b action-script=a ms libdir=a cpu-cap cpu-cap=all ext-mount-map=a exec-cmd cgroup-root=a skip-mnt=a enable-fs=a enable-external-sharing enable-external-masters lsm-profile=a empty-ns=net cgroup-props=a cgroup-props-file=a cgroup-dump-controller=a skip-in-flight deprecated weak-sysctls tcp-close stream config=a cgroup-yard=a lsm-mount-context=a network-lock=skip mntns-compat-mode unprivileged';
  test.each(
    REFUSED.split(' ').flatMap((option) => [
      ['dump', option],
      ['restore', option],
    ]),
  )('%s --%s', (action, option) => {
    expect(codeOf(action!, `--${option}`)).toBe('CRTS_OPTION_UNSUPPORTED');
  });

  test.each(['-Jnet:1', '-r/', '-L/', '-Ma'])('%s', (option) => {
    expect(codeOf('dump', option)).toBe('CRTS_OPTION_UNSUPPORTED');
  });
});
