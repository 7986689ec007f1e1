import type { CrtsPipePacket, PipeDataEntry, PipeEntry } from '@crts/image-io';
import type { FdPlanContext, ImageItem } from '@crts/plugin-api';
import { O_ACCMODE, PAGE, reads } from './constants';
import { badEntry } from './errors';

/** Contents of one pipe, as the images have them. */
export interface PipeData {
  readonly value: PipeDataEntry;
  readonly bytes: Buffer;
}

/** The kernel takes sizes up to 2^31 only: round_pipe_size(), fs/pipe.c. */
const SIZE_MAX = 2 ** 31;
const MODE_MAX = 0o7777;
const S_IFIFO = 0o010000;

const known = new WeakMap<readonly ImageItem[], ReadonlyMap<number, PipeData>>();

/** Contents by the number of their pipe; the first entry counts, as with CRIU. */
export function pipeData(context: FdPlanContext, kind = 'pipes-data'): ReadonlyMap<number, PipeData> {
  const items = context.items(kind);
  const data = known.get(items) ?? new Map<number, PipeData>();
  if (!known.has(items)) {
    known.set(items, data);
    for (const item of [...items].reverse()) {
      const value = item.value as unknown as PipeDataEntry;
      (data as Map<number, PipeData>).set(value.pipe_id, { value, bytes: item.extra ?? Buffer.alloc(0) });
    }
  }
  return data;
}

export function checkPipe(entry: PipeEntry, data: ReadonlyMap<number, PipeData>): void {
  const { id, flags, crts_mode } = entry;
  if ((flags & O_ACCMODE) === O_ACCMODE) throw badEntry(`pipe_entry ${id}: impossible access mode`);
  if (crts_mode !== undefined && (crts_mode & ~(S_IFIFO | MODE_MAX)) !== 0)
    throw badEntry(`pipe_entry ${id}: mode 0${crts_mode.toString(8)}`);
  const found = data.get(entry.pipe_id);
  if (found !== undefined && reads(flags)) checkData(found);
}

export function checkData({ value, bytes }: PipeData, path = 'pipes-data.img'): void {
  const { pipe_id, size, crts_packets } = value;
  if (size !== undefined && (size < PAGE || size > SIZE_MAX)) throw badEntry(`pipe ${pipe_id}: size ${size}`, path);
  if (size !== undefined && bytes.length > size)
    throw badEntry(`pipe ${pipe_id}: ${bytes.length} bytes in a pipe of ${size}`, path);
  let end = 0;
  for (const { offset, length } of crts_packets as CrtsPipePacket[]) {
    if (offset < end || length < 1 || length > PAGE || offset + length > bytes.length)
      throw badEntry(`pipe ${pipe_id}: packet of ${length} bytes at ${offset}`, path);
    end = offset + length;
  }
}
