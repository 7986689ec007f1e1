/** In which cgroup of each hierarchy a task is: man 7 cgroups, /proc/PID/cgroup. */
import { readSmallFile } from '@crts/native-syscalls';
import { decodeName } from '@crts/plugin-api';

/**
 * Paths by the name of the hierarchy: its controllers (`cpu,cpuacct`), `name=systemd` of a named one, empty for version 2. A path
 * begins with a slash, and is meant from the root of the cgroup namespace of crts.
 */
export type Membership = ReadonlyMap<string, string>;

/** `task` is a directory of /proc. */
export function readMembership(task: string): Membership {
  return parseMembership(decodeName(readSmallFile(`${task}/cgroup`)));
}

/** Lines `ID:NAME:PATH`; a name has no colon, a path no newline. */
export function parseMembership(text: string): Membership {
  // Tasks of a tree are mostly in the same.
  if (last?.text !== text) last = { text, membership: freshMembership(text) };
  return last.membership;
}

let last: { readonly text: string; readonly membership: Membership } | undefined;

function freshMembership(text: string): Membership {
  const paths = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, name, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (name !== undefined && path !== undefined) paths.set(name, path);
  }
  return paths;
}

/** Equal for equal ones. */
export function keyOf(membership: Membership): string {
  const known = keys.get(membership);
  if (known !== undefined) return known;
  const key = JSON.stringify(sorted(membership));
  keys.set(membership, key);
  return key;
}

const keys = new WeakMap<Membership, string>();

export function sorted(membership: Membership): [name: string, path: string][] {
  return [...membership].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Controllers that were mounted together at the dump may be apart here, and the other way round. */
export function shareController(one: string, other: string): boolean {
  const controllers = other.split(',');
  return one.split(',').some((controller) => controllers.includes(controller));
}
