export { agentBlob, stubPath } from './addon';
export { SyscallBatch } from './batch';
export { blockChecksums, CHECKSUM_BLOCK } from './checksum';
export {
  CONTROL_HEADER,
  type ControlMessage,
  type Credentials,
  controlMessages,
  controlRoom,
  credentialsIn,
  descriptorsIn,
} from './control-messages';
export { DescribedFd, descriptorNumbers, SortedFiles, visitDescriptors, visitPath } from './descriptors';
export { errnoName, SyscallError } from './errors';
export {
  closeFd,
  identifyPath,
  isTerminal,
  lateOpen,
  openAll,
  preadFull,
  preallocate,
  pwriteFull,
  readLinkBytes,
  readLinks,
  readMappings,
  readSmallFile,
  readSmallFiles,
} from './files';
export { deviceNumber, type HugePages, hugePagesOf } from './huge-pages';
export { INODE_FLAG, inodeFlags } from './inode-flags';
export { lendTogether, withLent } from './lent';
export {
  addressOf,
  hasAnonymousNames,
  mapShared,
  memfd,
  sharedAnonymousMemory,
  sharedMemoryDevice,
  unmapShared,
} from './memory';
export { PAGE_IS, type PageQuery, type PageRegion, pagemapScan } from './pagemap-scan';
export { POLL, poll } from './poll';
export {
  CLONE_PARENT,
  currentCpu,
  getAffinity,
  KCMP,
  kcmp,
  kcmpFile,
  pidfdGetfd,
  pidfdOpen,
  pidfdSendSignal,
  type SpawnRequest,
  setAffinity,
  spawn,
} from './process';
export {
  NT_PRSTATUS,
  NT_X86_XSTATE,
  PTRACE_EVENT_STOP,
  PTRACE_O_EXITKILL,
  PTRACE_O_SUSPEND_SECCOMP,
  PTRACE_O_TRACESYSGOOD,
  ptraceContinue,
  ptraceContinueToStop,
  ptraceDetach,
  ptraceGetRegset,
  ptraceGetRseq,
  ptraceGetSigmask,
  ptraceGetSyscallDispatch,
  ptraceInterrupt,
  ptracePeekSignals,
  ptraceSeccompFilters,
  ptraceSeize,
  ptraceSetOptions,
  ptraceSetRegset,
  ptraceSetSigmask,
  ptraceSetSyscallDispatch,
  ptraceSyscallStops,
  type RseqRegistration,
  type SeccompFilterCode,
  SIGINFO_SIZE,
} from './ptrace';
export { optimizeAsUsual, optimizeReluctantly } from './reluctance';
export * from './remote';
export {
  observingWaits,
  type ReceivedMessage,
  receiveAll,
  sendMessage,
  seqpacketPair,
  tellObserver,
} from './socket';
export { type Field, type FieldType, type Struct, struct } from './struct/struct';
export * from './struct/tables';
export { cPath, rawSyscall, syscall, syscallOn } from './syscall';
export { syscallNumber } from './syscall-numbers';
export {
  acceptConnection,
  decodeSocketAddress,
  limitReceiveSeconds,
  limitSendTime,
  receiveFull,
  type SocketAddress,
  sendFull,
  socketName,
  tcpConnect,
  tcpListen,
  tuneConnection,
} from './tcp';
export { ptraceThreadStates } from './thread-states';
export { streamPair, unixConnect, unixListen, unixPeerName } from './unix-stream';
export {
  UFFD_CREATE_FLAGS,
  UFFD_LAZY_FLAGS,
  type UffdCopied,
  type UffdEvent,
  uffdCopy,
  uffdEvents,
  uffdForgetMarks,
  uffdRegister,
  uffdRegisterMissing,
  uffdTellMissing,
  uffdTrackWrites,
  uffdWake,
  uffdZero,
} from './userfaultfd';
export { WNOHANG, waitPid, waitStatus } from './wait';
export { type XstateComponent, xstateComponents, xstateSize } from './xstate';
