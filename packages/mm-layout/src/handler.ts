import type { MmEntry } from '@crts/image-io';
import { prctlMmMap } from '@crts/native-syscalls';
import {
  CrtsError,
  type FrozenTask,
  type Program,
  type RestoreContext,
  type TaskImages,
  type TaskPlan,
  type TaskStateHandler,
} from '@crts/plugin-api';

const PR_SET_MM = 35;
const PR_SET_MM_MAP = 14;
/** AT_VECTOR_SIZE is 2 * (24 + 2 + 1) words at most on x86; PR_SET_MM_MAP refuses more than mm->saved_auxv holds. */
const AUXV_WORDS_MAX = 64;
/** CRIU refuses images with more; newer kernels have more. */
const CRIU_WORDS = 44;

/** Fields of prctl_mm_map in order, with the fields of /proc/PID/stat they come from; brk has none there. */
const ADDRESSES = [
  ['mm_start_code', 'startcode'],
  ['mm_end_code', 'endcode'],
  ['mm_start_data', 'start_data'],
  ['mm_end_data', 'end_data'],
  ['mm_start_brk', 'start_brk'],
  ['mm_brk', undefined],
  ['mm_start_stack', 'startstack'],
  ['mm_arg_start', 'arg_start'],
  ['mm_arg_end', 'arg_end'],
  ['mm_env_start', 'env_start'],
  ['mm_env_end', 'env_end'],
] as const;

export const layoutHandler: TaskStateHandler = {
  name: 'mm-layout',

  dump(task: FrozenTask, program: Program) {
    // brk(2) with an impossible address changes nothing and returns the present end.
    const brk = program.call('brk', [0], { expect: 'any' });
    return () => {
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
    const words = (mm.crts_saved_auxv ?? []).length > 0 ? mm.crts_saved_auxv : mm.mm_saved_auxv;
    if (words.length > AUXV_WORDS_MAX) {
      throw new CrtsError({
        code: 'CRTS_IMAGE_FIELD',
        plugin: 'mm-layout',
        what: `mm_entry.mm_saved_auxv: ${words.length} words, ${AUXV_WORDS_MAX} are possible`,
      });
    }
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
        program.call('prctl', [PR_SET_MM, PR_SET_MM_MAP, data, prctlMmMap.size, 0], { what: 'PR_SET_MM_MAP' });
        program.call('close', [exe]);
      },
    );
  },
};

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
