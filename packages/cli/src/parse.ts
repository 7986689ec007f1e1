import { badValue, misplacedOption, missingValue, unknownAction, unknownOption, unsupportedOption } from './errors';
import { ACTIONS, type Action, KNOWN_ACTIONS, OPTIONS, type OptionRow } from './options';

export interface Parsed {
  readonly action: Action | 'help' | 'version';
  readonly switches: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly verbosity: number;
}

const VERBOSITY_DEFAULT = 2;
const VERBOSITY_MAX = 4;

/**
 * Reads a command line as CRIU's getopt_long does: options anywhere, `-v`, `-vvv` and `-v4`, joined short options,
 * `--name=value` and `--name value`, `--no-name` for switches, everything after `--` an operand.
 */
export function parseArguments(argv: readonly string[]): Parsed {
  const state = {
    switches: new Set<string>(),
    values: new Map<string, string[]>(),
    verbosity: VERBOSITY_DEFAULT,
    operands: [] as string[],
  };
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
  if (extra !== undefined) throw unknownOption(extra, undefined);
  checkPlaces(action as Action, state);
  return { ...state, action: action as Action };
}

type State = { switches: Set<string>; values: Map<string, string[]>; verbosity: number };

function readLong(word: string, rest: string[], state: State): void {
  const [flag, inline] = splitOnce(word);
  const name = flag.slice(2);
  const row = OPTIONS.find((option) => option.name === name);
  const negated =
    row === undefined && name.startsWith('no-')
      ? OPTIONS.find((option) => option.name === name.slice(3) && option.argument === undefined)
      : undefined;
  if (negated !== undefined) {
    refuseUnsupported(negated, flag);
    state.switches.delete(negated.name);
    return;
  }
  if (row === undefined) throw unknownOption(flag, closest(name));
  refuseUnsupported(row, flag);
  if (row.name === 'verbosity') {
    state.verbosity = inline === undefined ? state.verbosity + 1 : level(inline);
    return;
  }
  if (row.argument === undefined) {
    if (inline !== undefined) throw badValue(flag, inline, 'expected: it takes no argument');
    state.switches.add(row.name);
    return;
  }
  const value = inline ?? rest.shift();
  if (value === undefined) throw missingValue(flag);
  state.values.set(row.name, [...(state.values.get(row.name) ?? []), value]);
}

function readShort(word: string, rest: string[], state: State): void {
  if (/^-v+$/.test(word)) {
    // The first -v counts as level 1, as with CRIU; every further one adds to it.
    state.verbosity = Math.min(VERBOSITY_MAX, word.length - 1);
    return;
  }
  if (word.startsWith('-v')) {
    state.verbosity = level(word.slice(2));
    return;
  }
  for (let at = 1; at < word.length; at++) {
    const flag = `-${word[at]}`;
    const row = OPTIONS.find((option) => option.short === word[at]);
    if (row === undefined) throw unknownOption(flag, undefined);
    refuseUnsupported(row, flag);
    if (row.argument === undefined) {
      state.switches.add(row.name);
      continue;
    }
    const value = at + 1 < word.length ? word.slice(at + 1) : rest.shift();
    if (value === undefined) throw missingValue(flag);
    state.values.set(row.name, [...(state.values.get(row.name) ?? []), value]);
    return;
  }
}

function refuseUnsupported(row: OptionRow, flag: string): void {
  if (row.actions.length === 0) throw unsupportedOption(flag);
}

function checkPlaces(action: Action, state: State): void {
  for (const name of [...state.switches, ...state.values.keys()]) {
    const row = OPTIONS.find((option) => option.name === name)!;
    if (!row.actions.includes(action)) throw misplacedOption(`--${name}`, action);
  }
}

function level(text: string): number {
  if (!/^[0-9]+$/.test(text)) throw badValue('--verbosity', text, 'a level from 0 to 4');
  return Math.min(VERBOSITY_MAX, Number(text));
}

function splitOnce(word: string): [string, string | undefined] {
  const equals = word.indexOf('=');
  return equals < 0 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
}

/** A supported option at most two edits away. */
function closest(name: string): string | undefined {
  let best: { name: string; edits: number } | undefined;
  for (const { name: candidate } of OPTIONS) {
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
