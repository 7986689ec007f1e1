import { accessSync, constants } from 'node:fs';
import type { MmEntry } from '@crts/image-io';
import { prctlMmMap } from '@crts/native-syscalls';
import type {
  CrtsError,
  FrozenTask,
  Program,
  RestoreContext,
  TaskImages,
  TaskPlan,
  TaskStateHandler,
} from '@crts/plugin-api';
import { ADDRESSES, type Addresses, impossible } from './addresses';
import { badLayout, layoutNotSet, localDescriptors, notExecutable } from './errors';

const PR_SET_MM = 35;
const PR_SET_MM_MAP = 14;
/** PR_SET_MM_MAP refuses more than mm->saved_auxv holds, AT_VECTOR_SIZE: 56 words on Linux 6.18, with room for newer ones. */
const AUXV_WORDS_MAX = 64;
/** CRIU refuses images with more; newer kernels have more. */
const CRIU_WORDS = 44;

export const layoutHandler = {
  name: 'mm-layout',

  // Before anything is touched: what the kernel would not take back makes images that are of no use.
  refuse(task: FrozenTask): CrtsError | undefined {
    const { stat } = task.facts;
    const known = ADDRESSES.map(([field, name]) => [field, BigInt(stat[name ?? 'start_brk'] ?? '0')] as const);
    const what = impossible(Object.fromEntries(known) as Addresses);
    if (what !== undefined) return badLayout(task.pid, what, 'refused');
    try {
      // As prctl_set_mm_exe_file() asks, kernel/sys.c: the permission, and a mount without noexec.
      accessSync(`/proc/${task.hostPid}/exe`, constants.X_OK);
      return undefined;
    } catch (error) {
      return notExecutable(task.pid, task.readLink('exe'), (error as { code?: string }).code ?? '', 'refused');
    }
  },

  dump(task: FrozenTask, program: Program) {
    // brk(2) with an impossible address changes nothing and returns the present end.
    const brk = program.call('brk', [0], { expect: 'any' });
    // Bytes of the table: none when there is no table, an errno as 32 bits when the kernel has no such call.
    const ldt = program.call('modify_ldt', [0, program.out(8), 8], { expect: 'any' });
    return () => {
      if (ldt.value > 0n && ldt.value <= 0x1_0000n) throw localDescriptors(task.pid);
      const mm = task.images.mm as MmEntry;
      for (const [field, stat] of ADDRESSES)
        mm[field] = stat === undefined ? brk.value : BigInt(task.facts.stat[stat] ?? '0');
      const exe = task.readLink('exe');
      const deleted = exe.endsWith(' (deleted)');
      mm.exe_file_id = task.files.addPath(task, {
        path: deleted ? exe.slice(0, -' (deleted)'.length) : exe,
        deleted,
        via: `/proc/${task.hostPid}/exe`,
        flags: 0,
        role: 'executable',
      });
      const words = auxvWords(task.readProcBytes('auxv'));
      mm.mm_saved_auxv = words.slice(0, CRIU_WORDS);
      mm.crts_saved_auxv = words.length > CRIU_WORDS ? words : [];
    };
  },

  plan(images: TaskImages, plan: TaskPlan, context: RestoreContext): void {
    const mm = images.mm as MmEntry;
    const what = impossible(mm);
    if (what !== undefined) throw badLayout(plan.pid, what, 'failed');
    const words = (mm.crts_saved_auxv ?? []).length > 0 ? mm.crts_saved_auxv : mm.mm_saved_auxv;
    // With an empty vector the kernel would leave the one of the stub in place.
    if (words.length === 0 || words.length > AUXV_WORDS_MAX)
      throw badLayout(
        plan.pid,
        `mm_saved_auxv has ${words.length} words, 1 to ${AUXV_WORDS_MAX} are possible`,
        'failed',
      );
    const path = context.files.pathOf(mm.exe_file_id);
    // The executable can be set when no mapping of the old one, the stub, is left: replace_mm_exe_file(), kernel/fork.c.
    plan.pass(
      {
        plugin: 'mm-layout',
        stage: 'memory',
        what: 'layout and executable of the address space',
        needs: ['vmas'],
        provides: ['mm'],
      },
      (program) => {
        const auxv = program.bytes(auxvBytes(words));
        const map = Buffer.alloc(prctlMmMap.size);
        ADDRESSES.forEach(([field], index) => {
          map.writeBigUInt64LE(mm[field], 8 * index);
        });
        map.writeUInt32LE(auxv.sizeBytes, prctlMmMap.offsets.auxv_size);
        const data = program.bytes(map);
        const exe = context.files.open(program, mm.exe_file_id);
        program.store(data, prctlMmMap.offsets.exe_fd, exe, 4);
        program.store(data, prctlMmMap.offsets.auxv, auxv, 8);
        program.call('prctl', [PR_SET_MM, PR_SET_MM_MAP, data, prctlMmMap.size, 0], {
          what: 'PR_SET_MM_MAP',
          fail: (errno) => layoutNotSet(plan.pid, path, errno),
        });
        program.call('close', [exe]);
      },
    );
  },
} satisfies TaskStateHandler;

/** The vector up to and with the pair of AT_NULL: what follows in /proc is the kernel's padding. */
function auxvWords(bytes: Buffer): bigint[] {
  const words: bigint[] = [];
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    words.push(bytes.readBigUInt64LE(at), bytes.readBigUInt64LE(at + 8));
    if (words.at(-2) === 0n) break;
  }
  return words;
}

function auxvBytes(words: readonly bigint[]): Buffer {
  const bytes = Buffer.alloc(words.length * 8);
  words.forEach((word, index) => {
    bytes.writeBigUInt64LE(word, 8 * index);
  });
  return bytes;
}
