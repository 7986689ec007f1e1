import {
  ambiguousOption,
  badValue,
  excessOperand,
  misplacedOption,
  missingValue,
  unexpectedValue,
  unknownAction,
  unknownOption,
  unsupportedOption,
} from './errors';
import { ACTIONS, type Action, KNOWN_ACTIONS, OPTIONS, type OptionRow } from './options';

export interface Parsed {
  readonly action: Action | 'help' | 'version';
  readonly switches: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly verbosity: number;
}

interface State {
  readonly switches: Set<string>;
  readonly values: Map<string, string[]>;
  readonly operands: string[];
  verbosity: number;
}

/** A long name and what it stands for; `on` is false for the `--no-` twin. */
interface LongName {
  readonly row: OptionRow;
  readonly on: boolean;
}

const VERBOSITY_DEFAULT = 2;
const VERBOSITY_MAX = 4;

/**
 * Reads a command line as CRIU does with getopt_long (man 3 getopt): options anywhere, `-vvv` and `-v4`, joined short
 * options, `--name=value` and `--name value`, unambiguous beginnings of long names, `--no-name` for some switches, and
 * operands only after `--`.
 */
export function parseArguments(argv: readonly string[]): Parsed {
  const state: State = { switches: new Set(), values: new Map(), operands: [], verbosity: VERBOSITY_DEFAULT };
  const rest = [...argv];
  while (rest.length > 0) {
    const word = rest.shift()!;
    if (word === '--') state.operands.push(...rest.splice(0));
    else if (word === '-h' || word === '--help') return { ...state, action: 'help' };
    else if (word === '-V' || word === '--version') return { ...state, action: 'version' };
    else if (word.startsWith('--')) readLong(word, rest, state);
    else if (word.startsWith('-') && word.length > 1) readShort(word, rest, state);
    else state.operands.push(word);
  }
  const [action = '', extra] = state.operands;
  if (!(ACTIONS as readonly string[]).includes(action)) throw unknownAction(action, KNOWN_ACTIONS.includes(action));
  if (extra !== undefined) throw excessOperand(extra, action);
  checkPlaces(action as Action, state);
  return { ...state, action: action as Action };
}

function readLong(word: string, rest: string[], state: State): void {
  const equals = word.indexOf('=');
  const flag = equals < 0 ? word : word.slice(0, equals);
  const inline = equals < 0 ? undefined : word.slice(equals + 1);
  const { row, on } = findLong(flag);
  if (row.argument === undefined) {
    if (row.actions.length === 0) throw unsupportedOption(flag);
    if (inline !== undefined) throw unexpectedValue(flag, inline);
    set(row, on, state);
    return;
  }
  take(row, flag, inline, rest, state);
}

function readShort(word: string, rest: string[], state: State): void {
  for (let at = 1; at < word.length; at++) {
    const flag = `-${word[at]}`;
    const row = OPTIONS.find((option) => option.short === word[at]);
    if (row === undefined) throw unknownOption(flag, undefined);
    if (row.argument !== undefined) {
      take(row, flag, at + 1 < word.length ? word.slice(at + 1) : undefined, rest, state);
      return;
    }
    if (row.actions.length === 0) throw unsupportedOption(flag);
    set(row, true, state);
  }
}

function set(row: OptionRow, on: boolean, state: State): void {
  const name = row.means ?? row.name;
  if (!on) {
    state.switches.delete(name);
    return;
  }
  for (const other of OPTIONS)
    if (row.group !== undefined && other.group === row.group) state.switches.delete(other.name);
  state.switches.add(name);
}

function take(row: OptionRow, flag: string, joined: string | undefined, rest: string[], state: State): void {
  if (row.actions.length === 0) throw unsupportedOption(flag);
  if (row.name === 'verbosity') {
    state.verbosity = Math.min(VERBOSITY_MAX, level(joined, state.verbosity));
    return;
  }
  const value = joined ?? (row.optional ? '' : rest.shift());
  if (value === undefined) throw missingValue(flag);
  state.values.set(row.name, [...(state.values.get(row.name) ?? []), value]);
}

/**
 * `-v` adds one to the level, `-vv` two, `-v4` sets it. What begins with no digit is level 0 for CRIU (atoi); of such words one is
 * accepted, `-verbosity=0` with one dash, which zdtm.py says.
 */
function level(joined: string | undefined, current: number): number {
  if (joined === undefined) return current + 1;
  if (/^v+$/.test(joined)) return current + 1 + joined.length;
  if (joined === 'erbosity=0') return 0;
  if (!/^[0-9]+$/.test(joined)) throw badValue('--verbosity', joined, 'a level from 0 to 4');
  return Number(joined);
}

function findLong(flag: string): LongName {
  const name = flag.slice(2);
  const exact = longNames().get(name);
  if (exact !== undefined) return exact;
  const matches = [...longNames()].filter(([candidate]) => candidate.startsWith(name));
  if (matches.length === 1) return matches[0]![1];
  if (matches.length > 1 && name !== '')
    throw ambiguousOption(
      flag,
      matches.map(([candidate]) => `--${candidate}`),
    );
  throw unknownOption(flag, closest(name));
}

function longNames(): Map<string, LongName> {
  const names = new Map<string, LongName>();
  for (const row of OPTIONS) {
    if (row.name.length === 1) continue;
    names.set(row.name, { row, on: true });
    if (row.twin) names.set(`no-${row.name}`, { row, on: false });
  }
  return names;
}

function checkPlaces(action: Action, state: State): void {
  for (const name of [...state.switches, ...state.values.keys()]) {
    const row = OPTIONS.find((option) => option.name === name)!;
    if (!row.actions.includes(action) && row.idle?.includes(action) !== true)
      throw misplacedOption(`--${name}`, action);
  }
}

/** The option at most two edits away that is nearest. */
function closest(name: string): string | undefined {
  let best: { name: string; edits: number } | undefined;
  for (const candidate of longNames().keys()) {
    const edits = distance(name, candidate);
    if (edits <= 2 && (best === undefined || edits < best.edits)) best = { name: candidate, edits };
  }
  return best === undefined ? undefined : `--${best.name}`;
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
