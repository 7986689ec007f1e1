import { rawSyscall } from '@crts/native-syscalls';
import { main } from './main';

// Both are given by the bundle: the version by esbuild, import() by bin/crts.js.
declare const CRTS_VERSION: string;
declare const importModule: (specifier: string) => Promise<unknown>;

/** Fulfilled when the run is over; bin/crts.js makes the code cache then. */
export const done: Promise<void> = main(process.argv.slice(2), { version: CRTS_VERSION, importModule }).then((code) => {
  process.exitCode = code;
});

/**
 * Ends a run that succeeded without taking V8 and Node down piece by piece, which takes them longer than it takes the kernel. All
 * that crts writes is written when it is over; whatever may still have to do something at the end has its way: a plugin's listener,
 * timer or socket, a pipe on stdout, a profiler.
 */
export function leave(): void {
  const { execArgv, env } = process;
  const watched = execArgv.length > 0 || env.NODE_OPTIONS !== undefined || env.NODE_V8_COVERAGE !== undefined;
  const busy = process.listenerCount('exit') + process.listenerCount('beforeExit') > 0;
  if (!watched && !busy && process.getActiveResourcesInfo().length === 0) rawSyscall('exit_group', 0);
}
