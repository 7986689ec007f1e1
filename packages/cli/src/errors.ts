import { CrtsError } from '@crts/plugin-api';

const usage = (code: string, what: string, hint: string): CrtsError =>
  new CrtsError({ code, kind: 'refused', what, hint });

export function unknownOption(option: string, guess: string | undefined): CrtsError {
  return usage(
    'CRTS_OPTION_UNKNOWN',
    `unknown option ${option}`,
    guess === undefined ? 'See crts --help.' : `Did you mean ${guess}?`,
  );
}

export function unsupportedOption(option: string): CrtsError {
  return usage(
    'CRTS_OPTION_UNSUPPORTED',
    `option ${option} is CRIU's, and not supported by crts yet`,
    'Leave it out if the program does not need it.',
  );
}

export function misplacedOption(option: string, action: string): CrtsError {
  return usage('CRTS_OPTION_MISPLACED', `option ${option} does not belong to ${action}`, 'See crts --help.');
}

export function badValue(option: string, value: string, want: string): CrtsError {
  return usage('CRTS_OPTION_VALUE', `option ${option}: "${value}" is not ${want}`, 'See crts --help.');
}

export function missingValue(option: string): CrtsError {
  return usage('CRTS_OPTION_VALUE', `option ${option} needs an argument`, 'See crts --help.');
}

export function missingOption(option: string, why: string): CrtsError {
  return usage('CRTS_OPTION_MISSING', `option ${option} is missing: ${why}`, 'See crts --help.');
}

export function unknownAction(action: string, known: boolean): CrtsError {
  return known
    ? usage(
        'CRTS_ACTION_UNSUPPORTED',
        `action ${action} is CRIU's, and not supported by crts yet`,
        'crts has dump and restore.',
      )
    : usage(
        'CRTS_ACTION_UNKNOWN',
        action === '' ? 'no action given' : `unknown action ${action}`,
        'Use crts dump or crts restore; see crts --help.',
      );
}

export function pluginNotFound(name: string, cause: unknown): CrtsError {
  return new CrtsError({
    code: 'CRTS_PLUGIN_NOT_FOUND',
    kind: 'refused',
    what: `plugin ${name} cannot be loaded: ${cause instanceof Error ? cause.message.split('\n')[0] : String(cause)}`,
    hint: `Install it here (npm install ${name}) or give its path.`,
    cause,
  });
}

export function noPluginExport(name: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_PLUGIN_SHAPE',
    kind: 'refused',
    what: `package ${name} exports no plugin: { name, register } as "plugin" or default`,
    hint: 'See docs/plugin-authors.md.',
  });
}

export function cannotWrite(path: string, what: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_FILE_WRITE',
    path,
    what,
    errno,
    hint: errno === 'EEXIST' ? 'Remove the old file first.' : 'Check the directory and its permissions.',
  });
}
