// Freezes all threads of a process and asks them as a dump does. As a program (argv: pid): again and again, to be killed.
const { closeSync, openSync, readFileSync, readdirSync, writeSync } = require('node:fs');

const EINTR_BY_STOP = true;

/** Stops every thread, those that are born meanwhile included. */
function freeze(native, pid) {
  const states = new Map();
  for (let seen = -1; seen !== states.size; ) {
    seen = states.size;
    for (const name of readdirSync(`/proc/${pid}/task`)) {
      const tid = Number(name);
      if (states.has(tid)) continue;
      native.ptraceSeize(tid, native.PTRACE_O_TRACESYSGOOD);
      native.ptraceInterrupt(tid);
      native.waitForEventStop(tid, native.waitPid(tid).status);
      const prstatus = native.ptraceGetRegset(tid, native.NT_PRSTATUS);
      native.undoStopInterruption(prstatus, !EINTR_BY_STOP);
      const xstate = native.ptraceGetRegset(tid, native.NT_X86_XSTATE);
      states.set(tid, { prstatus, xstate, sigmask: native.ptraceGetSigmask(tid) });
    }
  }
  return states;
}

function vmas(pid) {
  return readFileSync(`/proc/${pid}/maps`, 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const [, start, end, flags, inode, name] = /^(\w+)-(\w+) (\S+) \w+ \S+ (\d+)\s*(.*)$/.exec(line);
      return {
        start: BigInt(`0x${start}`),
        end: BigInt(`0x${end}`),
        write: flags[1] === 'w',
        exec: flags[2] === 'x',
        inode: BigInt(inode),
        name,
        vmFlags: new Set(),
      };
    });
}

/** Freezes, infects, gives `ask` the infection and the states of all threads by tid, cures and lets go. */
function examine(native, pid, ask) {
  const pidfd = native.pidfdOpen(pid);
  const mem = openSync(`/proc/${pid}/mem`, 'r+');
  const pagemap = openSync(`/proc/${pid}/pagemap`, 'r');
  let infection;
  let states = new Map();
  try {
    states = freeze(native, pid);
    const found = vmas(pid);
    const request = { pid, pidfd, mem, pagemap, thread: states.get(pid), vmas: found };
    infection = native.Infection.start({ ...request, gadgets: native.findGadgets(mem, found) });
    return ask(infection, states);
  } finally {
    infection?.cure();
    for (const tid of states.keys()) native.ptraceDetach(tid);
    closeSync(mem);
    closeSync(pagemap);
    native.closeFd(pidfd);
  }
}

/** Asks each thread but the main one who it is. */
function askAll(native, infection, pid, states) {
  const answers = [...states]
    .filter(([tid]) => tid !== pid)
    .map(([tid, state]) => {
      const program = new native.ProgramBuilder();
      const stack = program.out(24);
      const id = program.call('gettid', []);
      program.call('sigaltstack', [null, stack]);
      return { tid, state, program, id, stack };
    });
  infection.runThreads(answers);
  return answers;
}

module.exports = { askAll, examine };

if (require.main === module) {
  const native = require('../../dist');
  const pid = Number(process.argv[2]);
  writeSync(1, 'begin\n');
  for (;;) examine(native, pid, (infection, states) => askAll(native, infection, pid, states));
}
