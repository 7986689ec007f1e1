import type { CoreEntry, SaEntry } from '@crts/image-io';
import { kernelSigaction, SIGINFO_SIZE, stackT } from '@crts/native-syscalls';
import {
  at,
  type FrozenTask,
  type Program,
  type RestoreContext,
  type TaskImages,
  type TaskPlan,
  type TaskStateHandler,
} from '@crts/plugin-api';
import { badSignals } from './errors';

/** _NSIG, include/uapi/asm-generic/signal.h. */
const SIGNALS = 64;
const SIGKILL = 9;
const SIGSTOP = 19;
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

export const signalsHandler: TaskStateHandler = {
  name: 'task-signals',

  dump(task: FrozenTask, program: Program) {
    // One output for all: 62 of them would cost more than the calls.
    const { size } = kernelSigaction;
    const actions = program.out(CARRIED.length * size);
    CARRIED.forEach((signal, index) => {
      program.call('rt_sigaction', [signal, null, at(actions, index * size), SIGSET]);
    });
    const stack = program.out(stackT.size);
    program.call('sigaltstack', [null, stack]);
    const parentDeath = program.out(4);
    program.call('prctl', [PR_GET_PDEATHSIG, parentDeath]);
    return () => {
      const core = task.images.core as CoreEntry;
      const table = actions.read();
      core.tc!.sigactions = CARRIED.map((_, index) => saEntry(table.subarray(index * size, (index + 1) * size)));
      core.tc!.blk_sigset = task.thread.sigmask;
      const pending = task.pendingSignals();
      core.tc!.signals_s = { signals: pending.shared.map((siginfo) => ({ siginfo })) };
      core.thread_core!.blk_sigset = task.thread.sigmask;
      core.thread_core!.signals_p = { signals: pending.thread.map((siginfo) => ({ siginfo })) };
      const sas = stack.read();
      // The agent is on no alternate stack, so SS_ONSTACK is never reported; where the thread is, its registers say.
      core.thread_core!.sas = {
        ss_sp: stackT.get(sas, 'ss_sp'),
        ss_size: stackT.get(sas, 'ss_size'),
        ss_flags: stackT.get(sas, 'ss_flags') >>> 0,
      };
      const signal = parentDeath.read().readInt32LE(0);
      if (signal !== 0) core.thread_core!.pdeath_sig = signal;
    };
  },

  plan(images: TaskImages, plan: TaskPlan, context: RestoreContext): void {
    const core = images.core as CoreEntry;
    const { tc, thread_core: thread } = core;
    if (tc === undefined || thread === undefined) throw badSignals('core_entry.tc or thread_core is missing');
    if (tc.sigactions.length !== CARRIED.length) {
      throw badSignals(`core_entry.tc.sigactions: ${tc.sigactions.length} actions where ${CARRIED.length} belong`);
    }
    const shared = (tc.signals_s?.signals ?? []).map((signal) => checkedSiginfo(signal.siginfo));
    const own = (thread.signals_p?.signals ?? []).map((signal) => checkedSiginfo(signal.siginfo));
    if (shared.length + own.length > 0) {
      // All signals are blocked until the last step, so what is queued here is delivered when the task runs again.
      // A task may send itself any siginfo: do_rt_sigqueueinfo(), kernel/signal.c.
      plan.pass(
        {
          plugin: 'task-signals',
          stage: 'sigchld',
          what: `queue ${shared.length + own.length} pending signals`,
          needs: ['sigactions'],
        },
        (program) => {
          const pid = program.call('getpid', []);
          const tid = program.call('gettid', []);
          for (const info of shared) program.call('rt_sigqueueinfo', [pid, info.readInt32LE(0), program.bytes(info)]);
          for (const info of own)
            program.call('rt_tgsigqueueinfo', [pid, tid, info.readInt32LE(0), program.bytes(info)]);
        },
      );
    }
    plan.pass(
      {
        plugin: 'task-signals',
        stage: 'sigchld',
        what: 'set the signal actions',
        needs: ['vmas'],
        provides: ['sigactions'],
      },
      (program) => {
        CARRIED.forEach((signal, index) => {
          program.call('rt_sigaction', [signal, program.bytes(actionBytes(tc.sigactions[index]!)), null, SIGSET], {
            what: `action of signal ${signal}`,
          });
        });
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
    if (thread.pdeath_sig !== undefined && context.options.detached) {
      // The signal is sent when the parent dies, and the parent now is crts, which is about to leave.
      context.log.warn(
        { pid: plan.pid },
        `the parent death signal (${thread.pdeath_sig}) is lost in a detached restore`,
      );
    } else if (thread.pdeath_sig !== undefined) {
      const signal = thread.pdeath_sig;
      // Changing credentials clears it: commit_creds(), kernel/cred.c.
      plan.pass({ plugin: 'task-signals', stage: 'resume', what: `parent death signal ${signal}` }, (program) => {
        program.call('prctl', [PR_SET_PDEATHSIG, signal]);
      });
    }
    plan.finalThread({ sigmask: thread.blk_sigset ?? tc.blk_sigset });
  },
};

function saEntry(action: Buffer): SaEntry {
  return {
    sigaction: kernelSigaction.get(action, 'sa_handler'),
    flags: kernelSigaction.get(action, 'sa_flags'),
    restorer: kernelSigaction.get(action, 'sa_restorer'),
    mask: kernelSigaction.get(action, 'sa_mask'),
  };
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
