import { getReg, rseqCs, setReg } from '@crts/native-syscalls';

/** Where struct rseq has the address of the section that the thread is in, include/uapi/linux/rseq.h. */
const SECTION = 8n;

/**
 * A thread stopped inside an rseq critical section continues at the section's abort handler, as after any preemption:
 * rseq_ip_fixup(), kernel/rseq.c. Calls made by the agent would else clear the section behind its back.
 * @param prstatus the thread's registers, which are changed
 */
export function abortCriticalSection(
  rseq: bigint,
  prstatus: Buffer,
  read: (address: bigint, lengthBytes: number) => Buffer,
): void {
  const section = read(rseq + SECTION, 8).readBigUInt64LE(0);
  if (section === 0n) return;
  const cs = read(section, rseqCs.size);
  const start = rseqCs.get(cs, 'start_ip');
  const ip = getReg(prstatus, 'rip');
  if (ip - start >= 0n && ip - start < rseqCs.get(cs, 'post_commit_offset'))
    setReg(prstatus, 'rip', rseqCs.get(cs, 'abort_ip'));
}
