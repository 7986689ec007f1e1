import { type DumpOutcome, type DumpRequest, dumpTree, preDumpTree } from '@crts/core-pstree';
import { isTerminal } from '@crts/native-syscalls';
import { PageServerClient, Progress } from '@crts/page-xfer';
import { badValue, excludedOption, missingOption } from './errors';
import type { Parsed } from './parse';
import { type Directories, type EngineOptions, last } from './run';
import { dumpStats, reportStats } from './stats';
import { connectServer, lateServer } from './transfer';

/** PID_MAX_LIMIT, include/linux/threads.h. */
const PID_MAX = 4 * 1024 * 1024;
/** As CRIU's. */
const TIMEOUT_S = 10;
const STDERR = 2;

export async function dump(parsed: Parsed, { images, work }: Directories, options: EngineOptions): Promise<void> {
  const request = {
    pid: treeRoot(parsed),
    imagesDir: images,
    finalState: finalState(parsed),
    sync: parsed.switches.has('sync'),
    prevImagesDir: last(parsed, 'prev-images-dir'),
    timeoutSeconds: timeout(parsed),
    freezeCgroup: last(parsed, 'freeze-cgroup'),
    trackMem: parsed.switches.has('track-mem'),
    checksum: parsed.switches.has('checksum'),
    autoDedup: parsed.switches.has('auto-dedup'),
    ...options,
  };
  preDumpMode(parsed);
  const act = (transfer: Transfer) =>
    parsed.action === 'pre-dump' ? preDumpTree({ ...request, ...transfer }) : dumpTree({ ...request, ...transfer });
  const outcome = await withTransfer(parsed, options, act);
  reportStats('stats-dump', work, dumpStats(outcome), parsed.switches.has('display-stats'), options.log);
}

type Transfer = Pick<DumpRequest, 'outlet' | 'serveLazily' | 'progress'>;
type Act = (transfer: Transfer) => DumpOutcome;

async function withTransfer(parsed: Parsed, { log }: EngineOptions, act: Act): Promise<DumpOutcome> {
  const isLazy = parsed.switches.has('lazy-pages');
  const toServer = parsed.switches.has('page-server');
  if (isLazy && toServer) throw excludedOption('--lazy-pages', '--page-server');
  if (toServer) return toPageServer(parsed, act);
  if (!isLazy) return act({ progress: progressOf('stored') });
  const server = await lateServer(parsed, log);
  try {
    return act({ serveLazily: server.serve });
  } finally {
    server.close();
  }
}

/** Where somebody watches: a terminal, on which a long transfer shows how far it is. */
export function progressOf(what: string): Progress | undefined {
  if (!isTerminal(STDERR)) return undefined;
  return new Progress({ what });
}

/** The connection is made before anything is frozen. */
async function toPageServer(parsed: Parsed, act: Act): Promise<DumpOutcome> {
  const client = new PageServerClient(await connectServer(parsed), Progress.onTerminal('sent'));
  try {
    return act({ outlet: client });
  } finally {
    client.close();
  }
}

/** In seconds; 0 is no bound. */
function timeout(parsed: Parsed): number {
  const text = last(parsed, 'timeout') ?? String(TIMEOUT_S);
  if (!/^\d{1,9}$/.test(text)) throw badValue('--timeout', text, 'a number of seconds');
  return Number(text);
}

/** Both modes of CRIU are one here: pages are read while the tree runs on, and what it writes meanwhile is tracked. */
function preDumpMode(parsed: Parsed): void {
  const mode = last(parsed, 'pre-dump-mode') ?? 'splice';
  if (mode !== 'splice' && mode !== 'read') throw badValue('--pre-dump-mode', mode, 'splice or read');
}

function treeRoot(parsed: Parsed): number {
  const text = last(parsed, 'tree');
  if (text === undefined) throw missingOption('--tree', 'it says which process to dump');
  const pid = Number(text);
  if (!/^\d+$/.test(text) || pid < 1 || pid > PID_MAX) throw badValue('--tree', text, 'a pid');
  return pid;
}

function finalState({ switches }: Parsed): 'kill' | 'leave-running' | 'leave-stopped' {
  if (switches.has('leave-running')) return 'leave-running';
  return switches.has('leave-stopped') ? 'leave-stopped' : 'kill';
}
