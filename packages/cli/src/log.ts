import { closeSync, openSync, writeSync } from 'node:fs';
import type { Logger } from '@crts/plugin-api';
import { cannotWrite } from './errors';

/** pino's numbers. */
const LEVEL = { debug: 20, info: 30, warn: 40, error: 50 } as const;
type Level = keyof typeof LEVEL;
/** CRIU's -v0 to -v4. */
const THRESHOLDS = [100, LEVEL.error, LEVEL.warn, LEVEL.info, LEVEL.debug];

interface LogRecord {
  readonly level: Level;
  /** Microseconds since the start. */
  readonly at: number;
  readonly fields: object;
  readonly text: string;
}

/**
 * The log of a run. Records are kept in memory, because a tree may be frozen meanwhile, and written by pino in
 * flush(): at the end of the action, and on the way out of every error. pino is loaded only when there is something
 * to write.
 */
export class RunLog implements Logger {
  readonly #records: LogRecord[] = [];
  readonly #threshold: number;
  readonly #format: 'human' | 'json';
  readonly #fd: number;
  readonly #started = process.hrtime.bigint();

  constructor(file: string | undefined, format: 'human' | 'json', verbosity: number) {
    this.#threshold = THRESHOLDS[verbosity]!;
    this.#format = format;
    this.#fd = file === undefined ? 2 : openLog(file);
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
    // An error is printed on stderr by the caller; the log file has it with its fields.
    if (this.#fd !== 2) this.#add('error', fields, text);
  }

  flush(): void {
    if (this.#records.length === 0) return;
    const { pino } = require('pino') as typeof import('pino');
    const write =
      this.#format === 'json'
        ? (line: string) => writeSync(this.#fd, line)
        : (line: string) => writeSync(this.#fd, humanLine(JSON.parse(line)));
    const logger = pino({ level: 'trace', base: null, timestamp: false }, { write });
    for (const { level, at, fields, text } of this.#records.splice(0)) logger[level]({ at_us: at, ...fields }, text);
  }

  close(): void {
    this.flush();
    if (this.#fd !== 2) closeSync(this.#fd);
  }

  #add(level: Level, fields: object, text: string): void {
    if (LEVEL[level] < this.#threshold) return;
    this.#records.push({ level, at: Number((process.hrtime.bigint() - this.#started) / 1000n), fields, text });
  }
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

function openLog(file: string): number {
  try {
    return openSync(file, 'w', 0o600);
  } catch (error) {
    throw cannotWrite(file, 'the log cannot be written', (error as NodeJS.ErrnoException).code);
  }
}
