/** The numbers of native/include/protocol.h; protocol.test.ts compares the two. */

export const PROTOCOL = 8;

export const OP = {
  SYSCALL: 0,
  STORE: 1,
  MOVE_FD: 2,
  RECEIVE_FD: 3,
  PAGES_WRITE: 4,
  PAGES_READ: 5,
  FORK: 6,
  THREAD: 7,
  PAGES_UPDATE: 8,
  TILES: 9,
  PAGES_TOGETHER: 10,
} as const;

export const ARG = { IMMEDIATE: 0, ARENA: 1, RESULT: 2, LOAD32: 3, LOAD64: 4, SUM: 5 } as const;
/** Of a SUM: the index of the result has the lowest bits, what is added the others. */
export const SUM_BITS = 24;

/** Offset of a run of PAGES_UPDATE that is to be dropped. */
export const DROP = 2n ** 64n - 1n;
export const UPDATE_ROOM = 0x10000;

export const REQUEST = { RUN: 1, LEAVE: 2 } as const;
export const REPLY = { READY: 1, DONE: 2 } as const;

export const MARK_READY = 0x63727473aaaa0001n;
export const MARK_FAILED = 0x63727473aaaa0002n;

/** Most descriptors in one request: SCM_MAX_FD, include/net/scm.h. */
export const MAX_FDS = 253;

/** struct agent_instruction. */
export const INSTRUCTION = {
  size: 88,
  op: 0,
  kinds: 4,
  nr: 8,
  arg: 16,
  expectLow: 64,
  expectHigh: 72,
  result: 80,
} as const;

/** struct agent_run. */
export const RUN_SIZE = 24;

/** struct agent_request and struct agent_reply. */
export const REQUEST_SIZE = 24;
export const REPLY_SIZE = 16;

/** struct agent_boot. */
export const BOOT = {
  size: 72,
  area: 0,
  areaSize: 8,
  arena: 16,
  arenaSize: 24,
  spareFds: 32,
  socket: 40,
  leaveIp: 48,
  leaveStack: 56,
  leaveStackInside: 64,
} as const;

/** struct agent_place. */
export const PLACE = { size: 16, socket: 0, arena: 8 } as const;

/** Where a forked agent's boot block lies: this far before the end of its arena. */
export const FORK_BOOT = 128;

/** `syscall; ret` in the blob, agent/x86_64/entry.S. */
export const GADGET_OFFSET = 16n;

/** `mov $15, %eax; syscall` in the blob. */
export const RESTORER_OFFSET = 32n;

/** Where a further thread enters the blob. */
export const THREAD_ENTRY = 48n;

/** struct agent_thread. */
export const THREAD = {
  size: 88,
  mask: 0,
  stack: 8,
  ownStack: 16,
  frame: 24,
  restart: 32,
  ownMask: 40,
  round: 48,
  program: 56,
  programSize: 64,
  count: 72,
  done: 80,
} as const;

/** struct agent_round; a dump agent's lies ROUND_AT bytes before the end of the arena. */
export const ROUND = { size: 16, running: 0, finished: 4, gone: 8, inside: 12 } as const;
export const ROUND_AT = 64;
