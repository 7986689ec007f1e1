import type { CoreEntry, CredsEntry } from '@crts/image-io';
import {
  type CrtsError,
  type FrozenTask,
  type FrozenThread,
  type ImageRecord,
  type Program,
  rememberLast,
  type TaskStateHandler,
  type ThreadPlan,
} from '@crts/plugin-api';
import { badCredentials, keyring, labelled, missingCapability } from './errors';
import { askForKeyring, askForNamed, checkSession, sessionNames } from './keyrings';

const PR_GET_SECUREBITS = 27;
const PR_SET_SECUREBITS = 28;
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_RAISE = 2;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;
/** CAP_SETPCAP, include/uapi/linux/capability.h. */
const SETPCAP = 1n << 8n;
const KEYCTL_GET_KEYRING_ID = 0;
/** KEY_SPEC_THREAD_KEYRING and KEY_SPEC_PROCESS_KEYRING, include/uapi/linux/keyctl.h. */
const KEYRINGS = [
  { id: -1, name: 'thread' },
  { id: -2, name: 'process' },
] as const;
/** Changing uids leaves the capability sets alone: include/uapi/linux/securebits.h. */
const SECBIT_NO_SETUID_FIXUP = 4;
/** _LINUX_CAPABILITY_VERSION_3. */
const CAPABILITY_VERSION = 0x20080522;
/** Highest capability of Linux 6.18, CAP_CHECKPOINT_RESTORE; bits above it are ignored by every kernel so far. */
const LAST_CAPABILITY = 40;
const ALL_CAPABILITIES = (1n << BigInt(LAST_CAPABILITY + 1)) - 1n;
const NGROUPS_MAX = 65536;
/** Labels that mean no confinement. */
const UNCONFINED = /^(unconfined|kernel)?$/;

export const credentialsHandler = {
  name: 'task-creds',

  refuseThread(thread: FrozenThread): CrtsError | undefined {
    const label = readLabel(thread);
    return UNCONFINED.test(label) ? undefined : labelled(thread.tid, label);
  },

  refuse(task: FrozenTask): undefined {
    // Read while the dump is rehearsed: the tree does not wait for it.
    sessionNames(fsuidOf(task));
  },

  dump(task: FrozenTask, program: Program) {
    return askForNamed(task, program, fsuidOf(task));
  },

  dumpThread(program: Program) {
    const securebits = program.call('prctl', [PR_GET_SECUREBITS]);
    const session = askForKeyring(program);
    const keyrings = KEYRINGS.map(({ id, name }) => ({
      name,
      result: program.call('keyctl', [KEYCTL_GET_KEYRING_ID, id, 0], { expect: 'any' }),
    }));
    return (thread: FrozenThread) => {
      // ENOKEY where there is none, ENOSYS on a kernel without keys.
      const used = keyrings.find(({ result }) => result.value > 0n);
      if (used !== undefined) throw keyring(thread.tid, used.name);
      const { status } = thread.facts;
      const [uid, euid, suid, fsuid] = numbers(status.get('Uid'));
      checkSession(thread, session.value, fsuid ?? 0);
      const [gid, egid, sgid, fsgid] = numbers(status.get('Gid'));
      const creds: CredsEntry = {
        uid: uid!,
        gid: gid!,
        euid: euid!,
        egid: egid!,
        suid: suid!,
        sgid: sgid!,
        fsuid: fsuid!,
        fsgid: fsgid!,
        cap_inh: capabilityWords(status.get('CapInh')),
        cap_prm: capabilityWords(status.get('CapPrm')),
        cap_eff: capabilityWords(status.get('CapEff')),
        cap_bnd: capabilityWords(status.get('CapBnd')),
        cap_amb: capabilityWords(status.get('CapAmb')),
        secbits: Number(securebits.value),
        groups: numbers(status.get('Groups')),
        ...(status.get('NoNewPrivs') === '1' ? { no_new_privs: 1 } : {}),
      };
      (thread.core as CoreEntry).thread_core!.creds = creds;
    };
  },

  planThread(core: ImageRecord, plan: ThreadPlan): void {
    const creds = (core as CoreEntry).thread_core?.creds;
    if (creds === undefined) throw badCredentials('missing');
    if (creds.groups.length > NGROUPS_MAX)
      throw badCredentials(`${creds.groups.length} groups, ${NGROUPS_MAX} are possible`);
    if (creds.lsm_profile !== undefined || creds.apparmor_data !== undefined)
      throw labelled(plan.tid, creds.lsm_profile ?? 'AppArmor');
    const { head, emit } = becoming(creds, plan.isMain);
    plan.pass(head, emit);
  },
} satisfies TaskStateHandler;

const becoming = rememberLast((creds: CredsEntry, isMain: boolean) => ({
  head: {
    plugin: 'task-creds',
    stage: 'credentials',
    what: `become uid ${creds.uid} gid ${creds.gid}`,
    needs: [isMain ? 'rlimits' : 'scheduling'],
    provides: ['creds'],
  } as const,
  emit: (program: Program) => {
    emitIds(program, creds);
    emitCapabilities(program, creds);
  },
}));

function emitIds(program: Program, creds: CredsEntry): void {
  const groups = Buffer.alloc(Math.max(4, 4 * creds.groups.length));
  creds.groups.forEach((group, index) => {
    groups.writeUInt32LE(group, 4 * index);
  });
  program.call('setgroups', [creds.groups.length, program.bytes(groups)]);
  // Everything up to capset needs capabilities that the new ids would take away.
  program.call('prctl', [PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP], {
    fail: (errno) => missingCapability('CAP_SETPCAP', errno),
  });
  program.call('setresgid', [creds.gid, creds.egid, creds.sgid]);
  // setfsgid and setfsuid return the previous id, never an error: man 2 setfsuid.
  program.call('setfsgid', [creds.fsgid], { expect: 'any' });
  program.call('setresuid', [creds.uid, creds.euid, creds.suid]);
  program.call('setfsuid', [creds.fsuid], { expect: 'any' });
}

function emitCapabilities(program: Program, creds: CredsEntry): void {
  const bounding = capabilityMask(creds.cap_bnd);
  const permitted = capabilityMask(creds.cap_prm);
  const inheritable = capabilityMask(creds.cap_inh);
  const ambient = capabilityMask(creds.cap_amb);
  // A task may have inheritable capabilities that it dropped from the bounding set, and ambient ones although it
  // forbade to raise any (SECBIT_NO_CAP_AMBIENT_RAISE): both are made before what rules them out.
  emitCapset(program, SETPCAP, permitted | SETPCAP, inheritable);
  // What crts itself has ambient was inherited.
  program.call('prctl', [PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0]);
  for (const capability of capabilitiesOf(ambient))
    program.call('prctl', [PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0], {
      what: `ambient capability ${capability}`,
    });
  for (const capability of capabilitiesOf(~bounding & ALL_CAPABILITIES)) {
    // An older kernel does not have the newest ones: EINVAL is as good as dropped.
    program.call('prctl', [PR_CAPBSET_DROP, capability], {
      expect: capability > 37 ? 'any' : 'ok',
      what: `drop capability ${capability}`,
    });
  }
  program.call('prctl', [PR_SET_SECUREBITS, creds.secbits]);
  emitCapset(program, capabilityMask(creds.cap_eff), permitted, inheritable);
  if (creds.no_new_privs === 1) program.call('prctl', [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0]);
}

function capabilitiesOf(mask: bigint): number[] {
  const found: number[] = [];
  let left = mask & ALL_CAPABILITIES;
  for (let capability = 0; left !== 0n; capability++, left >>= 1n) if ((left & 1n) !== 0n) found.push(capability);
  return found;
}

function emitCapset(program: Program, effective: bigint, permitted: bigint, inheritable: bigint): void {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(CAPABILITY_VERSION, 0);
  const data = Buffer.alloc(24);
  for (const word of [0, 1]) {
    for (const [index, mask] of [effective, permitted, inheritable].entries())
      data.writeUInt32LE(Number((mask >> BigInt(32 * word)) & 0xffff_ffffn), 12 * word + 4 * index);
  }
  program.call('capset', [program.bytes(header), program.bytes(data)], {
    fail: (errno) => missingCapability(`capabilities 0x${permitted.toString(16)}`, errno),
  });
}

function fsuidOf({ facts }: FrozenTask): number {
  return numbers(facts.status.get('Uid'))[3] ?? 0;
}

/** The kernel has no security module that gives labels. */
let isWithoutLabels = false;

function readLabel(thread: FrozenThread): string {
  if (isWithoutLabels) return '';
  try {
    return thread
      .readProc('attr/current')
      .replace(/[\0\n]/g, '')
      .trim();
  } catch (error) {
    // man 5 proc_pid_attr. An error is costly, and a thousand threads would have one each.
    isWithoutLabels = (error as { errno?: unknown }).errno === 'EINVAL';
    return '';
  }
}

function numbers(text: string | undefined): number[] {
  return (text ?? '').split(/\s+/).filter(Boolean).map(Number);
}

/** Two 32-bit words of a 64-bit mask in hex, low first. */
function capabilityWords(hex: string | undefined): number[] {
  const mask = BigInt(`0x${hex ?? '0'}`);
  return [Number(mask & 0xffff_ffffn), Number(mask >> 32n)];
}

function capabilityMask(words: readonly number[]): bigint {
  return BigInt(words[0] ?? 0) | (BigInt(words[1] ?? 0) << 32n);
}
