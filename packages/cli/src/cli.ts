import { main } from './main';

// Both are given by the bundle: the version by esbuild, import() by bin/crts.js.
declare const CRTS_VERSION: string;
declare const importModule: (specifier: string) => Promise<unknown>;

/** Fulfilled when the run is over; bin/crts.js makes the code cache then. */
export const done: Promise<void> = main(process.argv.slice(2), { version: CRTS_VERSION, importModule }).then((code) => {
  process.exitCode = code;
});
