import { parseArguments } from './parse';

const code = (...argv: string[]): string => {
  try {
    parseArguments(argv);
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'taken';
};

test('options as getopt_long takes them', () => {
  const parsed = parseArguments(
    [
      '-t12',
      '-vRD',
      'x',
      'dump',
      '--images-dir=/a',
      '--images-dir',
      '/b',
      '-o',
      'log',
      '--shell-job',
      '--no-shell-job',
      '-j',
    ].map((word) => (word === '-vRD' ? '-RD' : word)),
  );
  expect(parsed.action).toBe('dump');
  expect(parsed.values.get('tree')).toEqual(['12']);
  expect(parsed.values.get('images-dir')).toEqual(['x', '/a', '/b']);
  expect([...parsed.switches]).toEqual(['leave-running', 'shell-job']);
});

test.each([
  [[], 2],
  [['-v'], 1],
  [['-vvv'], 3],
  [['-v4'], 4],
  [['-v0'], 0],
  [['--verbosity=3'], 3],
  [['-v9'], 4],
])('verbosity of %j is %i', (options, verbosity) => {
  expect(parseArguments(['restore', ...options]).verbosity).toBe(verbosity);
});

test('what is not understood is refused by kind', () => {
  expect(code('dump', '--tre', '1')).toBe('CRTS_OPTION_UNKNOWN');
  expect(code('dump', '-Z')).toBe('CRTS_OPTION_UNKNOWN');
  expect(code('dump', '--tcp-established')).toBe('CRTS_OPTION_UNSUPPORTED');
  expect(code('dump', '--no-tcp-established')).toBe('CRTS_OPTION_UNSUPPORTED');
  expect(code('restore', '-t', '1')).toBe('CRTS_OPTION_MISPLACED');
  expect(code('dump', '-t')).toBe('CRTS_OPTION_VALUE');
  expect(code('dump', '--leave-running=yes')).toBe('CRTS_OPTION_VALUE');
  expect(code('check')).toBe('CRTS_ACTION_UNSUPPORTED');
  expect(code('dmup')).toBe('CRTS_ACTION_UNKNOWN');
  expect(code()).toBe('CRTS_ACTION_UNKNOWN');
  expect(code('dump', 'extra')).toBe('CRTS_OPTION_UNKNOWN');
});
