import type { Arg, Result } from '@crts/plugin-api';
import { DataSlot, type Instruction, LoadedSlot, OutputSlot } from './instruction';

const AT_FDCWD = -100;

/** An instruction as one readable line: `openat(AT_FDCWD, "/etc/passwd", 0x8000, 0)`. */
export function showInstruction(instruction: Instruction, numbers?: ReadonlyMap<Result, number>): string {
  const args = instruction.args.map((arg) => showArg(arg, numbers));
  if (instruction.storeAt !== undefined)
    args.unshift(`${showData(instruction.storeAt.data)}+${instruction.storeAt.offset}`);
  for (const fd of instruction.sendFds ?? [])
    args.push(typeof fd === 'number' ? `engine fd ${fd}` : 'descriptor of another task');
  const expect = instruction.options.expect ?? 'ok';
  return `${instruction.name}(${args.join(', ')})${expect === 'ok' ? '' : ` = ${expect}`}`;
}

function showArg(arg: Arg, numbers: ReadonlyMap<Result, number> | undefined): string {
  if (arg === null) return 'NULL';
  if (typeof arg === 'number') return arg === AT_FDCWD ? 'AT_FDCWD' : showNumber(BigInt(arg));
  if (typeof arg === 'bigint') return showNumber(arg);
  switch (arg.kind) {
    case 'result': {
      const index = numbers?.get(arg);
      return index === undefined ? '$' : `$${index}`;
    }
    case 'sum':
      return `${showArg(arg.result, numbers)}+0x${arg.offset.toString(16)}`;
    case 'loaded':
      return arg instanceof LoadedSlot ? `${showData(arg.data)}[${arg.offset}]` : '?';
    case 'pointer':
      return `${showData(arg.data)}+${arg.offset}`;
    default:
      return showData(arg);
  }
}

function showData(data: unknown): string {
  if (data instanceof OutputSlot) return `&out<${data.sizeBytes}>`;
  if (!(data instanceof DataSlot)) return '?';
  if (data.text !== undefined) return JSON.stringify(data.text);
  const bytes = data.content;
  return bytes !== undefined && bytes.length <= 32 ? `&<${bytes.toString('hex')}>` : `&<${data.sizeBytes} bytes>`;
}

/** Small numbers decimal, everything else hex: addresses and flags are read in hex. */
function showNumber(value: bigint): string {
  return value > -4096n && value < 4096n ? value.toString() : `0x${BigInt.asUintN(64, value).toString(16)}`;
}
