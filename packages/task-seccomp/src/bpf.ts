/** Classic BPF as seccomp has it: struct sock_filter, include/uapi/linux/filter.h. Pure. */

/** sizeof(struct sock_filter): code, jt, jf, k. */
export const INSTRUCTION_BYTES = 8;
/** BPF_MAXINSNS. */
export const INSTRUCTIONS_MAX = 4096;
/** BPF_RET | BPF_K. */
const RETURN_CONSTANT = 0x06;
/** SECCOMP_RET_ACTION_FULL and SECCOMP_RET_USER_NOTIF, include/uapi/linux/seccomp.h. */
const ACTION = 0xffff_0000;
const USER_NOTIF = 0x7fc0_0000;

/**
 * Whether a filter may ask its listener. That it has one is shown to nobody, but a filter without this answer never uses it.
 * A filter that computes its answer (BPF_RET | BPF_A) is not seen through.
 */
export function asksSupervisor(filter: Buffer): boolean {
  for (let at = 0; at + INSTRUCTION_BYTES <= filter.length; at += INSTRUCTION_BYTES)
    if (filter.readUInt16LE(at) === RETURN_CONSTANT && (filter.readUInt32LE(at + 4) & ACTION) >>> 0 === USER_NOTIF)
      return true;
  return false;
}
