/** What went wrong, as the user is told: one line, a second with what to do. */
import { CrtsError, errnoHint, systemError } from '@crts/plugin-api';
import { pluginMistake } from './errors';
import type { RunLog } from './log';
import { tell } from './output';

/** A plugin that is not built in, and the directory of its code. */
export interface Foreign {
  readonly name: string;
  readonly directory: string;
}

/** The log has all fields, and the stack of what is a bug. */
export function report(error: unknown, log: RunLog | undefined, plugins: readonly Foreign[]): void {
  const failure = error instanceof CrtsError ? error : (blame(error, plugins) ?? systemError(error));
  if (failure === undefined) {
    const { message, stack } = error instanceof Error ? error : { message: String(error), stack: undefined };
    log?.error({ stack }, message);
    tell(
      `crts: ${firstLine(message)} [CRTS_BUG]\n  This is a mistake in crts: please report it with the log (-v4 -o FILE).\n`,
    );
    return;
  }
  const { code, kind, plugin, stage, pid, fd, path, call, errno, cleanup } = failure;
  const hint = failure.hint ?? errnoHint(failure);
  const stack = kind === 'bug' ? ((failure.cause as Error | undefined)?.stack ?? failure.stack) : undefined;
  log?.error(
    { code, kind, plugin, stage, pid, fd, path, call, errno, hint, cleanup: cleanup.map(String), stack },
    failure.message,
  );
  tell(`crts: ${failure.message}\n${hint === undefined ? '' : `  ${hint}\n`}`);
}

/** Whether the code that threw is a plugin's. */
export function blame(error: unknown, plugins: readonly Foreign[]): CrtsError | undefined {
  if (!(error instanceof Error) || plugins.length === 0) return undefined;
  for (const line of (error.stack ?? '').split('\n')) {
    const place = /\(?(?:file:\/\/)?(\/.*:\d+:\d+)\)?$/.exec(line)?.[1];
    if (place === undefined || place.startsWith(`${__filename}:`)) continue;
    const plugin = plugins.find(({ directory }) => place.startsWith(`${directory}/`));
    if (plugin !== undefined) return pluginMistake(plugin.name, firstLine(error.message), place, error);
  }
  return undefined;
}

function firstLine(text: string): string {
  return text.split('\n')[0]!;
}
