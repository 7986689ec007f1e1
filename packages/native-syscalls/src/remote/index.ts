export { type AddressRange, findFreeArea } from './area';
export { type Completion, completeTasks, type FinalThread, letTasksRun, stopTask } from './completion';
export { encodeBatch, settleBatch } from './encoder';
export { findGadgets, findSyscall, type Gadgets, isSyscallAt, type SearchedText, verifyGadgets } from './gadgets';
export { Guest, type Host } from './guest';
export {
  ARENA_SIZE,
  Infection,
  type InfectionRequest,
  rehearseInfection,
} from './infection';
export type { Instruction, Origin } from './instruction';
export { cutRuns, PIECE_BYTES, type SharedTransfer } from './pieces';
export { type ForkChannel, ProgramBuilder, type Stretch } from './program-builder';
export { showInstruction } from './program-text';
export {
  getReg,
  restartAdjusted,
  setReg,
  USER_REGS_SIZE,
  type UserReg,
  undoStopInterruption,
  withRegs,
} from './registers';
export { RemoteTask, type Run, runTogether } from './remote-task';
export { nameRestartedCall } from './restarted-call';
export { type Change, type Model, type Recall, Sealer } from './sealed';
export { stepToCall, syscallStops, waitForEventStop } from './stops';
export {
  launchStub,
  type StubPlace,
  type StubRequest,
  type StubTask,
  StubYard,
  stubAreaSize,
  type UnbornStub,
  type YardLayout,
} from './stub';
export type { ThreadProgram, ThreadRun } from './threads';
