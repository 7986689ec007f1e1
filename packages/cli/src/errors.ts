import { CrtsError, errnoHint } from '@crts/plugin-api';

const usage = (code: string, what: string, hint = 'See crts --help.'): CrtsError =>
  new CrtsError({ code, kind: 'refused', what, hint });

export function unknownAction(action: string, known: boolean): CrtsError {
  return known
    ? usage(
        'CRTS_ACTION_UNSUPPORTED',
        `action ${action} is criu's, and not supported by crts yet`,
        'crts has dump, pre-dump, restore, check, dedup, compress, decompress, page-server and lazy-pages.',
      )
    : usage(
        'CRTS_ACTION_UNKNOWN',
        action === '' ? 'no action given' : `unknown action ${action}`,
        'Use crts dump or crts restore; see crts --help.',
      );
}

/** crts.config.json, crts.config.mjs. */
export function badConfig(file: string, what: string): CrtsError {
  return usage('CRTS_CONFIG', `${file}: ${what}`, 'It holds { "plugins": ["NAME", ...] }.');
}

/** `crts check` found something missing. */
export function checkFailed(verdict: string, missing: readonly string[]): CrtsError {
  return new CrtsError({ code: 'CRTS_CHECK', what: `${verdict}:\n  ${missing.join('\n  ')}\n ` });
}

export function noFeature(name: string, why: string): CrtsError {
  return new CrtsError({ code: 'CRTS_CHECK', what: `${name} is not supported: ${why}` });
}

export function unknownFeature(name: string): CrtsError {
  return usage(
    'CRTS_OPTION_VALUE',
    `option --feature: "${name}" is not a feature`,
    'The names are those of criu check --feature.',
  );
}

export function cannotListen(at: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_LISTEN',
    what: `crts cannot listen on ${at}`,
    errno,
    hint:
      errno === 'EADDRINUSE'
        ? 'Another server has the port: end it, or choose another with --port.'
        : 'Check --address and --port.',
  });
}

export function lazyServerGone(errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_LAZY_SERVER',
    what: 'who is to bring the memory of the program (crts lazy-pages) is gone, or did not start',
    errno,
    hint: 'See lazy-pages.log in the work directory.',
  });
}

export function cannotWrite(path: string, what: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_WRITE',
    path,
    what,
    errno,
    hint: writeHint(errno, path),
  });
}

function writeHint(errno: string | undefined, path: string): string {
  if (errno === 'EEXIST') return 'Remove the old file first.';
  if (errno === 'ENOENT' || errno === 'ENOTDIR') return 'Make the directory first, or name another.';
  return errnoHint({ errno, call: 'write', path }) ?? 'Check the directory and its permissions.';
}

export function pidfileAfterRestore(path: string, pid: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_WRITE',
    path,
    what: `the program is restored and runs as pid ${pid}, but the pidfile cannot be written`,
    errno,
    hint: 'Note the pid from here.',
  });
}

export function excessOperand(operand: string, action: string): CrtsError {
  return usage('CRTS_OPERAND', `"${operand}": ${action} takes no further argument`);
}

export function ambiguousOption(option: string, candidates: readonly string[]): CrtsError {
  return usage('CRTS_OPTION_AMBIGUOUS', `option ${option} is ambiguous`, `It may be ${candidates.join(', ')}.`);
}

export function misplacedOption(option: string, action: string): CrtsError {
  return usage('CRTS_OPTION_MISPLACED', `option ${option} does not belong to ${action}`);
}

export function excludedOption(option: string, other: string): CrtsError {
  return usage('CRTS_OPTION_MISPLACED', `options ${option} and ${other} exclude each other`);
}

export function missingOption(option: string, why: string): CrtsError {
  return usage('CRTS_OPTION_MISSING', `option ${option} is missing: ${why}`);
}

export function notInherited(fd: number, option: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_INHERIT_FD',
    kind: 'refused',
    fd,
    what: `option --inherit-fd ${option}: crts was started without this descriptor`,
    hint: `Open it in the caller and let crts inherit it, as in: crts restore ... ${fd}<>FILE.`,
  });
}

export function unknownOption(option: string, guess: string | undefined): CrtsError {
  return usage(
    'CRTS_OPTION_UNKNOWN',
    `unknown option ${option}`,
    guess === undefined ? undefined : `Did you mean ${guess}?`,
  );
}

export function unsupportedOption(option: string): CrtsError {
  return usage(
    'CRTS_OPTION_UNSUPPORTED',
    `option ${option} is not supported by crts yet`,
    "It is one of criu's. Leave it out if the program does not need it.",
  );
}

export function badValue(option: string, value: string, want: string): CrtsError {
  return usage('CRTS_OPTION_VALUE', `option ${option}: "${value}" is not ${want}`);
}

export function missingValue(option: string): CrtsError {
  return usage('CRTS_OPTION_VALUE', `option ${option} needs an argument`);
}

export function unexpectedValue(option: string, value: string): CrtsError {
  return usage('CRTS_OPTION_VALUE', `option ${option} takes no argument, not "${value}" either`);
}

export function noPluginExport(name: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_PLUGIN_SHAPE',
    kind: 'refused',
    what: `package ${name} exports no plugin: { name, register } as "plugin" or default`,
    hint: 'See docs/plugin-authors.md.',
  });
}

export function pluginNotFound(name: string, cause: unknown): CrtsError {
  return notLoaded(name, `Install it here (npm install ${name}) or give its path (./FILE).`, cause);
}

/** It is there, and throws when it is loaded. */
export function pluginBroken(name: string, file: string, cause: unknown): CrtsError {
  const { code } = (cause ?? {}) as { code?: string };
  const lacks = code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND';
  const hint = lacks
    ? `${file} needs a package that is not installed: run npm install where it is.`
    : `${file} does not load: report it to the author of the plugin.`;
  return notLoaded(name, hint, cause);
}

function notLoaded(name: string, hint: string, cause: unknown): CrtsError {
  return new CrtsError({
    code: 'CRTS_PLUGIN_NOT_FOUND',
    kind: 'refused',
    what: `plugin ${name} cannot be loaded: ${cause instanceof Error ? cause.message.split('\n')[0] : String(cause)}`,
    hint,
    cause,
  });
}

/** Code of a plugin threw what is no error of crts. */
export function pluginMistake(plugin: string, message: string, place: string, cause: unknown): CrtsError {
  return new CrtsError({
    code: 'CRTS_PLUGIN_MISTAKE',
    kind: 'bug',
    plugin,
    what: message,
    hint: `This is a mistake in the plugin (${place}): report it to its author.`,
    cause,
  });
}

export function exitedBy(plugins: readonly string[]): CrtsError {
  return new CrtsError({
    code: 'CRTS_PLUGIN_MISTAKE',
    kind: 'bug',
    what: 'the process was ended before the action was done (process.exit)',
    hint: `A plugin must not do that${plugins.length === 0 ? '' : `: it is one of ${plugins.join(', ')}`}.`,
  });
}
