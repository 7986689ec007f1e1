// Reads the numbers of a stats-dump image without the code under measurement. The layout is CRIU's: two magics, the size
// of one protobuf message, in it field 1 (dump) with varints: 1 freezing_time, 2 frozen_time, in microseconds.
import { readFileSync } from 'node:fs';

const SERVICE_MAGIC = 0x55105940;
const STATS_MAGIC = 0x57093306;

function* varints(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; shift < 53; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error('stats-dump: cut short');
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new Error('stats-dump: a number too long');
  };
  while (at < bytes.length) {
    const key = varint();
    if ((key & 7) === 0) yield [key >> 3, varint()];
    else if ((key & 7) === 2) {
      const size = varint();
      at += size;
      yield [key >> 3, bytes.subarray(at - size, at)];
    } else throw new Error(`stats-dump: wire type ${key & 7}`);
  }
}

export function frozenTimeUs(file) {
  const bytes = readFileSync(file);
  if (bytes.readUInt32LE(0) !== SERVICE_MAGIC || bytes.readUInt32LE(4) !== STATS_MAGIC)
    throw new Error(`${file} is not a stats image`);
  const entry = new Map(varints(bytes.subarray(12, 12 + bytes.readUInt32LE(8))));
  return new Map(varints(entry.get(1))).get(2);
}
