/** Handles of overlayfs, which name a file of a layer: struct ovl_fb, fs/overlayfs/overlayfs.h. */
import type { FileHandle } from './handle';

/** OVL_FILEID_V1. */
const TYPE = 0xf8;
const MAGIC_AT = 4;
const MAGIC = 0xfb;
const TYPE_AT = 7;
/** Three bytes of padding, five of head, the layer's UUID. */
const HANDLE_AT = 24;

/** The handle of the file in its layer; undefined where the handle is none of overlayfs. */
export function layerHandle({ type, bytes }: FileHandle): FileHandle | undefined {
  if (type !== TYPE || bytes.length <= HANDLE_AT || bytes[MAGIC_AT] !== MAGIC) return undefined;
  return { type: bytes[TYPE_AT]!, bytes: bytes.subarray(HANDLE_AT) };
}
