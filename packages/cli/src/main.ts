import { readFileSync } from 'node:fs';
import { dedupImages } from '@crts/core-pstree';
import { optimizeAsUsual, optimizeReluctantly } from '@crts/native-syscalls';
import { check } from './check';
import { compressDump, compressionOf, compressSet, decompressSet, plainPages } from './compress';
import { dump } from './dump';
import { exitedBy } from './errors';
import { type Foreign, report } from './failure';
import { lazyPages } from './lazy-pages';
import { type ImportModule, loadPlugins } from './load-plugins';
import { openLog, type RunLog } from './log';
import { helpText } from './options';
import { print, tell } from './output';
import { pageServer } from './page-server';
import { type Parsed, parseArguments } from './parse';
import { restore } from './restore';
import { directoriesOf, logOptions, runOptions } from './run';

export interface Host {
  readonly version: string;
  /** `import()`: the bundle runs from a code cache, where V8 has none of its own. */
  readonly importModule: ImportModule;
}

/** Runs one command line; the exit code is CRIU's: 0 done, 1 not. */
export async function main(argv: readonly string[], host: Host): Promise<number> {
  let log: RunLog | undefined;
  const plugins: Foreign[] = [];
  const ended = () => exitedBy(plugins.map(({ name }) => name));
  // A promise that nobody keeps: nothing is left to do, and nothing was done.
  const onExit = () => {
    process.exitCode = 1;
    report(ended(), log, []);
    closeLog(log);
  };
  const { exit } = process;
  try {
    const parsed = parseArguments(argv);
    if (parsed.action === 'help' || parsed.action === 'version') {
      print(parsed.action === 'help' ? helpText() : versionText(host.version));
      return 0;
    }
    process.on('exit', onExit);
    // Nothing in crts calls it; a plugin may, while a program is frozen: what was begun is undone first.
    process.exit = () => {
      throw ended();
    };
    log = await act(parsed, argv, host, plugins, (opened) => {
      log = opened;
    });
    return 0;
  } catch (error) {
    report(error, log, plugins);
    return 1;
  } finally {
    process.off('exit', onExit);
    process.exit = exit;
    closeLog(log);
  }
}

async function act(
  parsed: Parsed,
  argv: readonly string[],
  host: Host,
  foreign: Foreign[],
  opened: (log: RunLog) => void,
): Promise<RunLog> {
  const directories = directoriesOf(parsed);
  const log = openLog(logOptions(parsed, directories.work));
  opened(log);
  log.info(
    {
      argv,
      node: process.version,
      kernel: readFileSync('/proc/sys/kernel/osrelease', 'latin1').trim(),
      arch: process.arch,
      pid: process.pid,
    },
    `crts ${host.version}`,
  );
  if (parsed.action === 'check') {
    check(parsed);
    return log;
  }
  if (parsed.action === 'dedup') {
    const plugins = await loadPlugins(parsed.values.get('plugin') ?? [], host.importModule, foreign);
    dedupImages({ imagesDir: directories.images, log, plugins });
    return log;
  }
  if (parsed.action === 'compress' || parsed.action === 'decompress') {
    await (parsed.action === 'compress' ? compressSet : decompressSet)(parsed, directories, log);
    return log;
  }
  const options = await runOptions(parsed, log, host.importModule, foreign);
  if (parsed.action === 'restore') {
    // A check reads all.
    const late = parsed.switches.has('lazy-pages') && !parsed.switches.has('verify');
    const plain = await plainPages(directories, late);
    optimizeReluctantly();
    restore(parsed, directories, options, plain);
    optimizeAsUsual();
    return log;
  }
  if (parsed.action === 'page-server') {
    await pageServer(parsed, directories, options);
    return log;
  }
  if (parsed.action === 'lazy-pages') {
    await lazyPages(parsed, directories, options, await plainPages(directories, true));
    return log;
  }
  const compression = compressionOf(parsed);
  optimizeReluctantly();
  await dump(parsed, directories, options);
  optimizeAsUsual();
  if (compression !== undefined) await compressDump(parsed, compression, directories, log);
  return log;
}

function versionText(version: string): string {
  return `Version: crts ${version} (images of CRIU 4.2)\n`;
}

/** A full disk, or a reader that is gone, must not hide how the action itself ended. */
function closeLog(log: RunLog | undefined): void {
  log?.close();
  if (log?.failure !== undefined) tell(`crts: the log cannot be written: ${log.failure.message}\n`);
}
