/** Control messages: man 3 cmsg. */
import { SCM_CREDENTIALS, SOL_SOCKET } from './sockets';

const HEADER = 16;

export interface ControlMessage {
  readonly type: number;
  readonly data: Buffer;
}

/** Those of level SOL_SOCKET. struct cmsghdr: length with header, level, type; padded to eight. */
export function controlMessages(control: Buffer): ControlMessage[] {
  const messages: ControlMessage[] = [];
  for (let at = 0; at + HEADER <= control.length; ) {
    const length = Number(control.readBigUInt64LE(at));
    if (length < HEADER || at + length > control.length) break;
    if (control.readInt32LE(at + 8) === SOL_SOCKET)
      messages.push({ type: control.readInt32LE(at + 12), data: control.subarray(at + HEADER, at + length) });
    at += (length + 7) & ~7;
  }
  return messages;
}

export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export function credentialsIn(control: Buffer): Credentials | undefined {
  const found = controlMessages(control).find(({ type, data }) => type === SCM_CREDENTIALS && data.length >= 12);
  if (found === undefined) return undefined;
  return { pid: found.data.readInt32LE(0), uid: found.data.readUInt32LE(4), gid: found.data.readUInt32LE(8) };
}

/** Header and room for `sizeBytes` of contents. */
export function controlRoom(type: number, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(HEADER + ((sizeBytes + 7) & ~7));
  bytes.writeBigUInt64LE(BigInt(HEADER + sizeBytes), 0);
  bytes.writeInt32LE(SOL_SOCKET, 8);
  bytes.writeInt32LE(type, 12);
  return bytes;
}

export const CONTROL_HEADER = HEADER;
