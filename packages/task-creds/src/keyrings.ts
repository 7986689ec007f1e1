/**
 * Session keyrings. Asking for one by its special number gives one to a thread that has none (lookup_user_key(),
 * security/keys/process_keys.c), which would still be there when it gives up its uid. request_key(2) without callout information changes
 * nothing: it looks through the keyrings of the thread, and a session's keyring is the first that it meets, by its name.
 */
import { readFileSync } from 'node:fs';
import { rawSyscall } from '@crts/native-syscalls';
import type { FrozenTask, FrozenThread, Program, Result } from '@crts/plugin-api';
import { sessionKeyring } from './errors';

/** keyctl(2) without a name: what pam_keyinit, systemd and `keyctl session -` make. */
const NAMELESS = '_ses';
const KEYCTL_DESCRIBE = 6;
const KEYCTL_READ = 11;
/** More are more than a session has by itself. */
const KEYS_MAX = 32;
const SERIAL_BYTES = 4;
const DESCRIPTION_BYTES = 256;
/** How long what /proc/keys says is good: a dump is rehearsed right before the freeze. */
const FRESH_NS = 1_000_000_000n;
/** `037ccbd5 I--Q--- 1 perm 3f030000 0 0 keyring name: 2`; man 5 proc_keys. */
const KEYRING_LINE = /^([0-9a-f]+) (?:\S+ +){6}keyring +(.*): (?:empty|\d+)/gm;
/** Those of a user, a process or a thread, and the kernel's own. */
const NO_SESSION = /^(\.|_(?:uid|uid_ses|pid|tid|persistent)(?:\.|$)|_ses$)/;
/** What sessions hold by themselves: the keys of their user, which stay with the kernel, and a mark of systemd's (man 5 systemd.exec, KeyringMode). */
const OF_SESSION = /^(?:keyring;.*;_uid(?:_ses)?\.\d+|user;.*;invocation_id)$/;

interface Listed {
  readonly at: bigint;
  readonly names: readonly string[];
}

const listed = new Map<number, Listed>();

/** Names that session keyrings of this user may have. */
export function sessionNames(uid: number): readonly string[] {
  const now = process.hrtime.bigint();
  const known = listed.get(uid);
  if (known !== undefined && now - known.at < FRESH_NS) return known.names;
  const names = asUser(uid, readNames);
  listed.set(uid, { at: now, names });
  return names;
}

function readNames(): string[] {
  let text: string;
  try {
    text = readFileSync('/proc/keys', 'latin1');
  } catch {
    return [];
  }
  const names = parseKeyrings(text).map(({ name }) => name);
  return [...new Set(names.filter((name) => !NO_SESSION.test(name)))];
}

export function parseKeyrings(text: string): { readonly serial: number; readonly name: string }[] {
  return [...text.matchAll(KEYRING_LINE)].map(([, serial, name]) => ({
    serial: Number.parseInt(serial!, 16),
    name: name!,
  }));
}

/** Emits what finds the session's keyring; nothing is made, and nobody asked. */
export function askForKeyring(program: Program, name = NAMELESS): Result {
  return program.call('request_key', [program.cstring('keyring'), program.cstring(name), null, 0], { expect: 'any' });
}

/**
 * Whether the thread may lose the keyring of its session, which a restore cannot make again: the restored thread has that of who
 * calls crts. @throws CrtsError CRTS_KEYRING
 */
export function checkSession({ task, tid }: Pick<FrozenThread, 'task' | 'tid'>, serial: bigint, uid: number): void {
  // ENOKEY and the like: it has none, or that of its user.
  if (serial <= 0n || !task.tree.first(`keyring:${serial}`)) return;
  const keys = asUser(uid, () => ownKeys(Number(serial)));
  if (keys === 0) return;
  const what = { serial: Number(serial), keys };
  if (BigInt(rawSyscall('request_key', text('keyring'), text(NAMELESS), null, 0)) !== serial)
    throw sessionKeyring(tid, what);
  task.log.warn(
    { pid: task.pid, ...what },
    'the keyring of the session that crts runs in too holds keys: restore in this session',
  );
}

/** Keys that a session's keyring has not by itself; undefined where it cannot be read. */
function ownKeys(serial: number): number | undefined {
  const ids = new Int32Array(KEYS_MAX);
  const size = rawSyscall('keyctl', KEYCTL_READ, serial, ids, ids.byteLength, 0);
  if (size < 0) return undefined;
  const count = size / SERIAL_BYTES;
  return count > KEYS_MAX ? count : [...ids.subarray(0, count)].filter((id) => !OF_SESSION.test(describe(id))).length;
}

/** `type;uid;gid;perm;description`; man 3 keyctl_describe. */
function describe(id: number): string {
  const buffer = Buffer.alloc(DESCRIPTION_BYTES);
  const size = rawSyscall('keyctl', KEYCTL_DESCRIBE, id, buffer, buffer.length, 0);
  return size > 0 && size <= buffer.length ? buffer.toString('latin1', 0, size - 1) : '';
}

/** A keyring shows itself to its owner alone: keys go by the filesystem uid (key_task_permission(), security/keys/permission.c). */
function asUser<T>(uid: number, action: () => T): T {
  if (uid === OWN_UID) return action();
  // man 2 setfsuid: of this thread, and never an error.
  rawSyscall('setfsuid', uid);
  try {
    return action();
  } finally {
    rawSyscall('setfsuid', OWN_UID);
  }
}

const OWN_UID = process.geteuid?.() ?? 0;

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

/** Keyrings of sessions that have a name: of the main thread, from which others have theirs. */
export function askForNamed(task: FrozenTask, program: Program, uid: number): () => void {
  const asked = sessionNames(uid).map((name) => ({ name, result: askForKeyring(program, name) }));
  if (asked.length === 0) return () => undefined;
  const nameless = askForKeyring(program);
  return () => {
    // One that is found below the session's own, or its user's, is no session's.
    if (nameless.value > 0n) return;
    const ofUser = asUser(uid, () => keysOfUser(uid));
    for (const { result } of asked)
      if (!ofUser.has(result.value)) checkSession({ task, tid: task.pid }, result.value, uid);
  };
}

/** Serials of what a user's own keyring holds. */
function keysOfUser(uid: number): ReadonlySet<bigint> {
  const own = parseKeyrings(readFileSync('/proc/keys', 'latin1')).find(({ name }) => name === `_uid.${uid}`);
  const ids = new Int32Array(KEYS_MAX);
  const size = own === undefined ? 0 : rawSyscall('keyctl', KEYCTL_READ, own.serial, ids, ids.byteLength, 0);
  return new Set([...ids.subarray(0, Math.max(0, Math.min(KEYS_MAX, size / SERIAL_BYTES)))].map(BigInt));
}
