import { closeSync, constants, openSync } from 'node:fs';
import type { Logger } from '@crts/plugin-api';
import { cannotWrite } from './errors';
import { writeAll } from './output';

/** pino's numbers. */
const LEVEL = { debug: 20, info: 30, warn: 40, error: 50 } as const;
type Level = keyof typeof LEVEL;
/** CRIU's -v0 to -v4. */
const THRESHOLDS = [100, LEVEL.error, LEVEL.warn, LEVEL.info, LEVEL.debug];
const STDOUT = 1;
const STDERR = 2;
/** About 30 MB of memory; more is written at once, whatever is frozen meanwhile. */
const RECORDS_MAX = 100_000;

export interface LogOptions {
  /** Path, `-` for stdout, undefined for stderr. */
  readonly file: string | undefined;
  readonly format: 'human' | 'json';
  /** 0 to 4. */
  readonly verbosity: number;
}

interface LogRecord {
  readonly level: Level;
  /** Microseconds since the start. */
  readonly at: number;
  readonly fields: object;
  readonly text: string;
}

/**
 * The log of a run. A record costs one push: a tree may be frozen meanwhile. flush() writes them with pino, which is
 * loaded only when there is something to write; main() flushes at the end of the action, on the way out of every error and
 * when the process exits. What a signal or a crash of Node itself interrupts is lost. A full disk, or a reader that is gone, ends the log
 * and not what it tells of.
 */
export class RunLog implements Logger {
  readonly #records: LogRecord[] = [];
  readonly #threshold: number;
  readonly #format: 'human' | 'json';
  readonly #started = process.hrtime.bigint();
  #fd: number | undefined;
  #failure: Error | undefined;

  constructor(fd: number, format: 'human' | 'json', verbosity: number) {
    this.#fd = fd;
    this.#format = format;
    this.#threshold = THRESHOLDS[verbosity]!;
  }

  debug(fields: object, text: string): void {
    this.#add('debug', fields, text);
  }

  info(fields: object, text: string): void {
    this.#add('info', fields, text);
  }

  warn(fields: object, text: string): void {
    this.#add('warn', fields, text);
  }

  error(fields: object, text: string): void {
    // An error is printed on stderr by the caller; a log elsewhere has it with its fields.
    if (this.#fd !== STDERR) this.#add('error', fields, text);
  }

  flush(): void {
    const fd = this.#fd;
    if (this.#records.length === 0 || fd === undefined || this.#failure !== undefined) return;
    const { pino } = require('pino') as typeof import('pino');
    const write =
      this.#format === 'json'
        ? (line: string) => writeAll(fd, line)
        : (line: string) => writeAll(fd, humanLine(JSON.parse(line)));
    const logger = pino({ level: 'trace', base: null, timestamp: false }, { write });
    try {
      for (const { level, at, fields, text } of this.#records.splice(0))
        logger[level]({ at_us: at, ...printable(fields) }, text);
    } catch (error) {
      this.#failure ??= error as Error;
    }
  }

  /** Why the log is not whole. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Flushes; records of a closed log go nowhere. May be called twice. */
  close(): void {
    this.flush();
    if (this.#fd !== undefined && this.#fd > STDERR) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #add(level: Level, fields: object, text: string): void {
    if (LEVEL[level] < this.#threshold || this.#failure !== undefined) return;
    this.#records.push({ level, at: Number((process.hrtime.bigint() - this.#started) / 1000n), fields, text });
    if (this.#records.length >= RECORDS_MAX) this.flush();
  }
}

export function openLog({ file, format, verbosity }: LogOptions): RunLog {
  return new RunLog(file === undefined ? STDERR : file === '-' ? STDOUT : openFile(file), format, verbosity);
}

const LEVEL_NAMES = new Map(Object.entries(LEVEL).map(([name, number]) => [number as number, name]));

/** `(00.012345) warn: text (pid=12 fd=3)`, the time as CRIU's log has it. */
export function humanLine(record: Record<string, unknown>): string {
  const { level, at_us: at, msg, ...fields } = record;
  const seconds = (Number(at) / 1e6).toFixed(6).padStart(9, '0');
  const shown = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : String(value)}`,
  );
  return `(${seconds}) ${LEVEL_NAMES.get(Number(level)) ?? level}: ${msg}${shown.length === 0 ? '' : ` (${shown.join(' ')})`}\n`;
}

/** JSON knows no bigint: addresses, inodes and devices are shown in hex. */
function printable(fields: object): object {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === 'bigint' ? `0x${value.toString(16)}` : value,
    ]),
  );
}

function openFile(file: string): number {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_APPEND } = constants;
  try {
    return openSync(file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o600);
  } catch (error) {
    throw cannotWrite(file, 'the log cannot be written', (error as NodeJS.ErrnoException).code);
  }
}
