import type { CoreEntry, UserX86FpregsEntry, UserX86RegsEntry } from '@crts/image-io';
import {
  getReg,
  restartAdjusted,
  setReg,
  USER_REGS_SIZE,
  type UserReg,
  xstateComponents,
  xstateSize,
} from '@crts/native-syscalls';
import type { CrtsError, FrozenThread, ImageRecord, TaskStateHandler, ThreadPlan } from '@crts/plugin-api';
import { badRegisters, compatTask, oddAddress, shadowStack, tilesNotAllowed, xstateInUse } from './errors';
import { componentNames, fpregsFromXstate, hasTiles, unheldComponents, xstateFromFpregs } from './xsave';

/** user_x86_regs_entry has the kernel's names without the `r`; both lists are in its order. */
const REGISTERS: readonly (readonly [keyof UserX86RegsEntry, UserReg])[] = [
  ['r15', 'r15'],
  ['r14', 'r14'],
  ['r13', 'r13'],
  ['r12', 'r12'],
  ['bp', 'rbp'],
  ['bx', 'rbx'],
  ['r11', 'r11'],
  ['r10', 'r10'],
  ['r9', 'r9'],
  ['r8', 'r8'],
  ['ax', 'rax'],
  ['cx', 'rcx'],
  ['dx', 'rdx'],
  ['si', 'rsi'],
  ['di', 'rdi'],
  ['orig_ax', 'orig_rax'],
  ['ip', 'rip'],
  ['cs', 'cs'],
  ['flags', 'eflags'],
  ['sp', 'rsp'],
  ['ss', 'ss'],
  ['fs_base', 'fs_base'],
  ['gs_base', 'gs_base'],
  ['ds', 'ds'],
  ['es', 'es'],
  ['fs', 'fs'],
  ['gs', 'gs'],
];

/** user_x86_regs_mode. */
const NATIVE = 1;
/** Selectors of 64-bit user code and data: arch/x86/include/asm/segment.h. */
const USER_CS = 0x33n;
/** Slots of the GDT that set_thread_area(2) fills; 64-bit programs leave them empty. */
const TLS_SLOTS = [12, 13, 14];
/** Registers that hold addresses, which ptrace(2) or a restore accept in the lower canonical half only. */
const ADDRESSES = ['rip', 'rsp', 'fs_base', 'gs_base'] as const;
const USER_END = 0x7fff_ffff_f000n;

export const registersHandler = {
  name: 'task-regs',

  refuseThread({ tid, state, facts }: FrozenThread): CrtsError | undefined {
    if (getReg(state.prstatus, 'cs') !== USER_CS) return compatTask(tid);
    for (const register of ADDRESSES) {
      const value = getReg(state.prstatus, register);
      if (value >= USER_END) return oddAddress(tid, register, value);
    }
    if (/shstk/.test(facts.status.get('x86_Thread_features') ?? '')) return shadowStack(tid);
    const unheld = unheldComponents(state.xstate);
    return unheld === 0n ? undefined : xstateInUse(tid, componentNames(unheld));
  },

  dumpThread() {
    return (thread: FrozenThread) => {
      const core = thread.core as CoreEntry;
      const regs = restartAdjusted(thread.state.prstatus);
      const gpregs = { mode: NATIVE } as UserX86RegsEntry;
      for (const [field, register] of REGISTERS) (gpregs as Record<string, unknown>)[field] = getReg(regs, register);
      core.thread_info = {
        ...core.thread_info,
        clear_tid_addr: core.thread_info?.clear_tid_addr ?? 0n,
        gpregs,
        fpregs: fpregsOf(thread.state.xstate),
        tls: TLS_SLOTS.map(emptySlot),
      };
    };
  },

  planThread(core: ImageRecord, plan: ThreadPlan): void {
    const info = (core as CoreEntry).thread_info;
    if (info === undefined) throw badRegisters('', 'missing: the images are not of an x86-64 task');
    if (hasTiles(info.fpregs)) planTiles(plan);
    plan.finalThread({ prstatus: prstatusOf(info.gpregs), xstate: xstateOf(info.fpregs) });
  },
} satisfies TaskStateHandler;

let dumped: { readonly xstate: Buffer; readonly entry: UserX86FpregsEntry } | undefined;

/** Threads that wait in the same place have mostly the same. */
function fpregsOf(xstate: Buffer): UserX86FpregsEntry {
  if (dumped === undefined || !dumped.xstate.equals(xstate))
    dumped = { xstate, entry: Object.freeze(fpregsFromXstate(xstate, xstateComponents())) };
  return dumped.entry;
}

let last: { readonly entry: UserX86FpregsEntry; readonly xstate: Buffer } | undefined;

/** Threads with equal images have one area of 11 kB among them. */
function xstateOf(entry: UserX86FpregsEntry): Buffer {
  if (last?.entry !== entry) last = { entry, xstate: xstateFromFpregs(entry, xstateComponents(), xstateSize()) };
  return last.xstate;
}

/** ARCH_REQ_XCOMP_PERM and its component: arch/x86/include/uapi/asm/prctl.h. */
const ARCH_REQ_XCOMP_PERM = 0x1023;
const TILE_DATA = 18;
/** Palette 1; tile 0 has 16 rows of 64 bytes (Intel SDM 1, 18.1). */
const TILE_CONFIG = Buffer.alloc(64);
TILE_CONFIG[0] = 1;
TILE_CONFIG.writeUInt16LE(64, 16);
TILE_CONFIG[48] = 16;

/** ptrace(2) sets tiles only of a thread that has used some: validate_user_xstate_header(), arch/x86/kernel/fpu/xstate.c. */
function planTiles(plan: ThreadPlan): void {
  plan.pass({ plugin: 'task-regs', stage: 'resume', what: 'room for AMX tiles' }, (program) => {
    program.call('arch_prctl', [ARCH_REQ_XCOMP_PERM, TILE_DATA], {
      what: 'allow AMX tiles',
      fail: (errno) => tilesNotAllowed(errno),
    });
    program.useTiles(program.bytes(TILE_CONFIG), { what: 'use a tile once' });
  });
}

/** user_desc of an unused slot, as get_thread_area(2) gives it. */
function emptySlot(entry_number: number) {
  return {
    entry_number,
    base_addr: 0,
    limit: 0,
    seg_32bit: false,
    contents_h: false,
    contents_l: false,
    read_exec_only: true,
    limit_in_pages: false,
    seg_not_present: true,
    usable: false,
  };
}

/** Flags that a program may set itself, plus the fixed bit 1 and IF: arch/x86/include/uapi/asm/processor-flags.h. */
const USER_FLAGS = 0x0024_4dd7n;
const FIXED_FLAGS = 0x202n;

function prstatusOf(entry: UserX86RegsEntry): Buffer {
  if (entry.mode !== undefined && entry.mode !== NATIVE)
    throw badRegisters('gpregs.mode', 'a 32-bit task, which crts does not restore');
  const words = new BigUint64Array(USER_REGS_SIZE / 8);
  for (let word = 0; word < REGISTERS.length; word++) words[word] = entry[REGISTERS[word]![0]] as bigint;
  const regs = Buffer.from(words.buffer);
  for (const register of ADDRESSES) {
    const value = getReg(regs, register);
    if (value >= USER_END) throw badRegisters(`gpregs.${register}`, `0x${value.toString(16)} is no user address`);
  }
  if (getReg(regs, 'cs') !== USER_CS)
    throw badRegisters('gpregs.cs', `0x${getReg(regs, 'cs').toString(16)} is no 64-bit code segment`);
  // A thread must not come back with privileged flags, nor in the middle of a restart decision of the kernel.
  setReg(regs, 'eflags', (getReg(regs, 'eflags') & USER_FLAGS) | FIXED_FLAGS);
  setReg(regs, 'orig_rax', -1n);
  return regs;
}
