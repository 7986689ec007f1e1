/** Control messages of level SOL_SOCKET: man 3 cmsg, man 7 unix. */

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const SCM_CREDENTIALS = 2;
/** struct cmsghdr: length with header, level, type; padded to eight. */
export const CONTROL_HEADER = 16;

export interface ControlMessage {
  readonly type: number;
  readonly data: Buffer;
}

/** Those of level SOL_SOCKET. */
export function controlMessages(control: Buffer): ControlMessage[] {
  const messages: ControlMessage[] = [];
  for (let at = 0; at + CONTROL_HEADER <= control.length; ) {
    const length = Number(control.readBigUInt64LE(at));
    if (length < CONTROL_HEADER || at + length > control.length) break;
    if (control.readInt32LE(at + 8) === SOL_SOCKET)
      messages.push({
        type: control.readInt32LE(at + 12),
        data: control.subarray(at + CONTROL_HEADER, at + length),
      });
    at += (length + 7) & ~7;
  }
  return messages;
}

/** What SCM_RIGHTS brought: descriptors of this process, the caller's to close. */
export function descriptorsIn(messages: readonly ControlMessage[]): number[] {
  const rights: number[] = [];
  for (const { type, data } of messages)
    if (type === SCM_RIGHTS) for (let at = 0; at + 4 <= data.length; at += 4) rights.push(data.readInt32LE(at));
  return rights;
}

export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export function credentialsIn(messages: readonly ControlMessage[]): Credentials | undefined {
  const found = messages.find(({ type, data }) => type === SCM_CREDENTIALS && data.length >= 12);
  if (found === undefined) return undefined;
  return { pid: found.data.readInt32LE(0), uid: found.data.readUInt32LE(4), gid: found.data.readUInt32LE(8) };
}

/** Header and room for `sizeBytes` of contents. */
export function controlRoom(type: number, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(CONTROL_HEADER + ((sizeBytes + 7) & ~7));
  bytes.writeBigUInt64LE(BigInt(CONTROL_HEADER + sizeBytes), 0);
  bytes.writeInt32LE(SOL_SOCKET, 8);
  bytes.writeInt32LE(type, 12);
  return bytes;
}
