import type { CoreEntry, SaEntry } from '@crts/image-io';
import { kernelSigaction, SIGINFO_SIZE, stackT } from '@crts/native-syscalls';
import {
  at,
  type FrozenTask,
  type FrozenThread,
  type ImageRecord,
  type Program,
  type RestoreContext,
  type TaskImages,
  type TaskPlan,
  type TaskStateHandler,
  type ThreadPlan,
} from '@crts/plugin-api';
import { badSignals } from './errors';

/** _NSIG, include/uapi/asm-generic/signal.h. */
const SIGNALS = 64;
const SIGKILL = 9;
const SIGSTOP = 19;
/** struct sigaction of the kernel is four 64-bit words: handler, flags, restorer, mask. */
const SIGACTION_WORDS = kernelSigaction.size / 8;
/** Bytes of a kernel sigset. */
const SIGSET = 8;
const SS_DISABLE = 2;
const SS_AUTODISARM = 0x8000_0000;
const PR_SET_PDEATHSIG = 1;
const PR_GET_PDEATHSIG = 2;

/** The format has an action for each signal but the two that cannot have one, ascending. */
const CARRIED = Array.from({ length: SIGNALS }, (_, index) => index + 1).filter(
  (signal) => signal !== SIGKILL && signal !== SIGSTOP,
);

export const signalsHandler = {
  name: 'task-signals',

  dump(task: FrozenTask, program: Program) {
    // One output for all: 62 of them would cost more than the calls.
    const { size } = kernelSigaction;
    const actions = program.out(CARRIED.length * size);
    CARRIED.forEach((signal, index) => {
      program.call('rt_sigaction', [signal, null, at(actions, index * size), SIGSET]);
    });
    return () => {
      const { tc } = task.images.core as CoreEntry;
      tc!.sigactions = saEntries(actions.read());
      tc!.blk_sigset = task.threads[0]!.state.sigmask;
      tc!.signals_s = { signals: task.pendingSignals().map((siginfo) => ({ siginfo })) };
    };
  },

  dumpThread(program: Program) {
    const stack = program.out(stackT.size);
    program.call('sigaltstack', [null, stack]);
    const parentDeath = program.out(4);
    program.call('prctl', [PR_GET_PDEATHSIG, parentDeath]);
    return (thread: FrozenThread) => {
      const own = (thread.core as CoreEntry).thread_core!;
      own.blk_sigset = thread.state.sigmask;
      own.signals_p = { signals: thread.pendingSignals().map((siginfo) => ({ siginfo })) };
      const sas = stack.read();
      // The agent is on no alternate stack, so SS_ONSTACK is never reported; where the thread is, its registers say.
      own.sas = {
        ss_sp: stackT.get(sas, 'ss_sp'),
        ss_size: stackT.get(sas, 'ss_size'),
        ss_flags: stackT.get(sas, 'ss_flags') >>> 0,
      };
      const signal = parentDeath.read().readInt32LE(0);
      if (signal !== 0) own.pdeath_sig = signal;
    };
  },

  plan(images: TaskImages, plan: TaskPlan): void {
    const { tc } = images.core as CoreEntry;
    if (tc === undefined) throw badSignals('core_entry.tc is missing');
    if (tc.sigactions.length !== CARRIED.length) {
      throw badSignals(`core_entry.tc.sigactions: ${tc.sigactions.length} actions where ${CARRIED.length} belong`);
    }
    const shared = (tc.signals_s?.signals ?? []).map((signal) => checkedSiginfo(signal.siginfo));
    // All signals are blocked until the last step, so what is queued here is delivered when the task runs again.
    // A task may send itself any siginfo: do_rt_sigqueueinfo(), kernel/signal.c.
    if (shared.length > 0)
      plan.pass(
        {
          plugin: 'task-signals',
          stage: 'sigchld',
          what: `queue ${shared.length} pending signals of the process`,
          needs: ['sigactions'],
        },
        (program) => {
          const pid = program.call('getpid', []);
          for (const info of shared) program.call('rt_sigqueueinfo', [pid, info.readInt32LE(0), program.bytes(info)]);
        },
      );
    plan.pass(
      {
        plugin: 'task-signals',
        stage: 'sigchld',
        what: 'set the signal actions',
        needs: ['vmas'],
        provides: ['sigactions'],
      },
      (program) => {
        tc.sigactions.forEach((action, index) => {
          if (isDefault(action)) return;
          const signal = CARRIED[index]!;
          program.call('rt_sigaction', [signal, program.bytes(actionBytes(action)), null, SIGSET], {
            what: `action of signal ${signal}`,
          });
        });
      },
    );
  },

  planThread(record: ImageRecord, plan: ThreadPlan, context: RestoreContext): void {
    const { tc, thread_core: thread } = record as CoreEntry;
    if (thread === undefined) throw badSignals('core_entry.thread_core is missing');
    const sigmask = thread.blk_sigset ?? tc?.blk_sigset;
    if (sigmask === undefined) throw badSignals('core_entry.thread_core.blk_sigset is missing');
    const own = (thread.signals_p?.signals ?? []).map((signal) => checkedSiginfo(signal.siginfo));
    if (own.length > 0)
      plan.pass(
        {
          plugin: 'task-signals',
          stage: 'sigchld',
          what: `queue ${own.length} pending signals of the thread`,
          needs: ['sigactions'],
        },
        (program) => {
          const pid = program.call('getpid', []);
          const tid = program.call('gettid', []);
          for (const info of own)
            program.call('rt_tgsigqueueinfo', [pid, tid, info.readInt32LE(0), program.bytes(info)]);
        },
      );
    const { sas } = thread;
    if (sas !== undefined && (sas.ss_flags & SS_DISABLE) === 0) {
      plan.pass(
        { plugin: 'task-signals', stage: 'sigchld', what: 'set the alternate signal stack', needs: ['vmas'] },
        (program) => {
          const stack = stackT.encode({
            ss_sp: sas.ss_sp,
            ss_flags: (sas.ss_flags & SS_AUTODISARM) | 0,
            ss_size: sas.ss_size,
          });
          program.call('sigaltstack', [program.bytes(stack), null]);
        },
      );
    }
    planParentDeath(thread.pdeath_sig, plan, context);
    plan.finalThread({ sigmask });
  },
} satisfies TaskStateHandler;

function planParentDeath(signal: number | undefined, plan: ThreadPlan, context: RestoreContext): void {
  if (signal === undefined) return;
  if (context.options.detached && plan.isRoot) {
    // The signal is sent when the parent dies, and the parent now is crts, which is about to leave.
    context.log.warn({ pid: plan.pid }, `the parent death signal (${signal}) is lost in a detached restore`);
    return;
  }
  // Changing credentials clears it: commit_creds(), kernel/cred.c.
  plan.pass({ plugin: 'task-signals', stage: 'resume', what: `parent death signal ${signal}` }, (program) => {
    program.call('prctl', [PR_SET_PDEATHSIG, signal]);
  });
}

/** That of nearly all signals. */
const DEFAULT_ACTION: SaEntry = Object.freeze({ sigaction: 0n, flags: 0n, restorer: 0n, mask: 0n });

let last: { readonly bytes: Buffer; readonly entries: SaEntry[] } | undefined;

/** Processes of a tree have mostly those of the one before. */
function saEntries(bytes: Buffer): SaEntry[] {
  if (last === undefined || !last.bytes.equals(bytes)) {
    const copy = Buffer.from(bytes);
    const table = new BigUint64Array(Uint8Array.from(copy).buffer);
    const entries = CARRIED.map((_, index) => saEntry(table, index));
    last = { bytes: copy, entries: Object.freeze(entries) as SaEntry[] };
  }
  return last.entries;
}

function saEntry(actions: BigUint64Array, index: number): SaEntry {
  const word = index * SIGACTION_WORDS;
  if (actions[word] === 0n && actions[word + 1] === 0n && actions[word + 2] === 0n && actions[word + 3] === 0n)
    return DEFAULT_ACTION;
  return {
    sigaction: actions[word]!,
    flags: actions[word + 1]!,
    restorer: actions[word + 2]!,
    mask: actions[word + 3]!,
  };
}

/** Restored tasks are born with all actions like that: CrtsSpawnChild(), native/addon/spawn.cc. */
function isDefault({ sigaction, flags, restorer, mask }: SaEntry): boolean {
  return sigaction === 0n && flags === 0n && restorer === 0n && mask === 0n;
}

function actionBytes(entry: SaEntry): Buffer {
  return kernelSigaction.encode({
    sa_handler: entry.sigaction,
    sa_flags: entry.flags,
    sa_restorer: entry.restorer,
    sa_mask: entry.mask,
  });
}

/** A queued signal of the images: one siginfo_t of a signal that can be queued. */
function checkedSiginfo(siginfo: Uint8Array): Buffer {
  const info = Buffer.from(siginfo);
  if (info.length !== SIGINFO_SIZE) throw badSignals(`a siginfo of ${info.length} bytes, ${SIGINFO_SIZE} belong`);
  const signal = info.readInt32LE(0);
  if (!CARRIED.includes(signal)) throw badSignals(`a pending signal ${signal}`);
  return info;
}
