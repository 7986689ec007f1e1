/** Image sets as a broken disk, a bad copy or somebody with bad intentions would leave them. */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { bufferSource, detectKind, encodeImage, type ImageItem, type ImageKind, readItems } from '@crts/image-io';

type Random = () => number;
type Tree = Record<string, unknown> | unknown[];

export class Damage {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Damages a set once or twice. @param others sets to take files from @returns what was done */
  apply(set: string, others: readonly string[]): string {
    const count = this.#below(3) === 0 ? 2 : 1;
    return Array.from({ length: count }, () => this.#once(set, others)).join('; ');
  }

  #once(set: string, others: readonly string[]): string {
    const names = readdirSync(set).filter((name) => name.endsWith('.img'));
    const name = this.#pick(names);
    if (name === undefined) return 'nothing is left';
    // Three of four as somebody who knows the format.
    if (this.#below(4) > 0 && !name.startsWith('pages-')) return this.#field(set, name);
    return `${name}: ${this.#file(set, name, names, others)}`;
  }

  #file(set: string, name: string, names: readonly string[], others: readonly string[]): string {
    const path = join(set, name);
    const bytes = readFileSync(path);
    const at = this.#below(Math.max(1, bytes.length));
    switch (this.#below(11)) {
      case 0:
        rmSync(path);
        return 'removed';
      case 1:
        truncateSync(path, at);
        return `cut to ${at} bytes`;
      case 2: {
        const count = 1 + this.#below(8);
        for (let one = 0; one < count && bytes.length > 0; one++)
          bytes[this.#below(bytes.length)]! ^= 1 << this.#below(8);
        writeFileSync(path, bytes);
        return `${count} bits flipped`;
      }
      case 3: {
        const piece = bytes.subarray(at, at + this.#below(64));
        const to = this.#below(Math.max(1, bytes.length));
        writeFileSync(path, Buffer.concat([bytes.subarray(0, to), piece, bytes.subarray(to)]));
        return `${piece.length} bytes of ${at} again at ${to}`;
      }
      case 4: {
        const other = this.#pick(names)!;
        copyFileSync(join(set, other), path);
        return `is ${other}`;
      }
      case 5: {
        const from = this.#pick(others);
        const other =
          from === undefined ? undefined : this.#pick(readdirSync(from).filter((one) => one.endsWith('.img')));
        if (from === undefined || other === undefined) return 'no other set';
        const twin =
          this.#below(2) === 0 ? (readdirSync(from).find((one) => kindOf(one) === kindOf(name)) ?? other) : other;
        copyFileSync(join(from, twin), path);
        return `is ${twin} of ${from}`;
      }
      case 6: {
        const other = this.#pick(names)!;
        if (other === name) return 'swapped with itself';
        renameSync(path, `${path}.part`);
        renameSync(join(set, other), path);
        renameSync(`${path}.part`, join(set, other));
        return `swapped with ${other}`;
      }
      case 7:
        writeFileSync(path, Buffer.concat([bytes, Buffer.alloc(4, 0xff), Buffer.alloc(this.#below(64))]));
        return 'an entry of four gigabytes at the end';
      case 8:
        rmSync(path);
        if (this.#below(2) === 0) mkdirSync(path);
        else execFileSync('mkfifo', [path]);
        return 'is a directory or a FIFO';
      case 9:
        rmSync(path);
        symlinkSync(this.#pick(['/dev/zero', '/etc/passwd', name, '/dev/stdin'])!, path);
        return 'is a link';
      default:
        truncateSync(path, 2 ** 40);
        return 'has a terabyte of nothing';
    }
  }

  /** Changes entries and fields, and writes the image as crts would. */
  #field(set: string, name: string): string {
    const path = join(set, name);
    let kind: ImageKind;
    let items: ImageItem[];
    try {
      const source = bufferSource(readFileSync(path));
      kind = detectKind(source, name);
      items = structuredClone([...readItems(source, kind, name)]).map(({ value, extra }) => ({
        value: buffers(value) as ImageItem['value'],
        extra: extra === undefined ? undefined : Buffer.from(extra),
      }));
    } catch {
      return `${name}: damaged already`;
    }
    const index = this.#below(items.length);
    const item = items[index];
    if (item === undefined) return `${name}: empty`;
    const done = this.#entry(items, index) ?? this.#leaf(item.value as unknown as Tree, name);
    try {
      writeFileSync(path, encodeImage(kind, items));
    } catch (error) {
      return `${name}: not encoded (${(error as Error).message})`;
    }
    return `${name}[${index}]: ${done}`;
  }

  #entry(items: ImageItem[], index: number): string | undefined {
    switch (this.#below(16)) {
      case 0:
        items.splice(index, 1);
        return 'removed';
      case 1:
        items.splice(index, 0, items[index]!);
        return 'twice';
      case 2: {
        const other = this.#below(items.length);
        [items[index], items[other]] = [items[other]!, items[index]!];
        return `swapped with ${other}`;
      }
      case 3:
        if (items.length > 2000) return undefined;
        for (let round = 0; round < 10; round++) items.push(items[index]!);
        return 'eleven times';
      default:
        return undefined;
    }
  }

  #leaf(tree: Tree, path: string): string {
    const leaves: { readonly holder: Tree; readonly key: string | number; readonly name: string }[] = [];
    const walk = (holder: Tree, prefix: string): void => {
      for (const [key, value] of Object.entries(holder)) {
        const name = `${prefix}.${key}`;
        leaves.push({ holder, key, name });
        if (typeof value === 'object' && value !== null && !Buffer.isBuffer(value)) walk(value as Tree, name);
      }
    };
    walk(tree, path);
    const leaf = this.#pick(leaves);
    if (leaf === undefined) return 'no fields';
    const holder = leaf.holder as Record<string | number, unknown>;
    const before = holder[leaf.key];
    const now = this.#other(
      before,
      leaves.map((one) => (one.holder as Record<string | number, unknown>)[one.key]),
    );
    if (now === undefined && Array.isArray(leaf.holder)) leaf.holder.splice(Number(leaf.key), 1);
    else if (now === undefined) delete holder[leaf.key];
    else holder[leaf.key] = now;
    return `${leaf.name}: ${show(before)} is ${show(now)}`;
  }

  #other(value: unknown, all: readonly unknown[]): unknown {
    const same = all.filter((one) => typeof one === typeof value && !Array.isArray(one));
    if (this.#below(6) === 0) return this.#below(6) === 0 ? undefined : this.#pick(same);
    switch (typeof value) {
      case 'number':
        return this.#pick([
          0,
          1,
          -1,
          value + 1,
          value - 1,
          value * 2,
          0x7fffffff,
          0xffffffff,
          value ^ (1 << this.#below(31)),
          this.#below(70000),
        ]);
      case 'bigint':
        return this.#pick([
          0n,
          1n,
          value + 1n,
          value - 1n,
          value + 4096n,
          value - 4096n,
          1n << 63n,
          (1n << 64n) - 1n,
          (1n << 64n) - 4096n,
          0x7fff_ffff_f000n,
          value ^ (1n << BigInt(this.#below(63))),
        ]);
      case 'boolean':
        return !value;
      case 'string':
        return this.#pick([
          '',
          '/',
          '.',
          '..',
          '../../../../etc/passwd',
          `${value}/../..`,
          `${value}\0x`,
          'x'.repeat(5000),
          '/dev/zero',
          '/proc/self/mem',
          'relative',
          '/proc/1/root',
          `/${value}`,
          `${value}/`,
          '/dev/tty',
          '/etc/shadow',
        ]);
      default:
        break;
    }
    if (Buffer.isBuffer(value)) {
      const copy = Buffer.from(value);
      if (copy.length > 0) copy[this.#below(copy.length)]! ^= 1 << this.#below(8);
      return this.#pick([
        copy,
        Buffer.alloc(0),
        copy.subarray(1),
        Buffer.concat([copy, copy]),
        Buffer.alloc(copy.length),
        Buffer.alloc(copy.length, 0xff),
      ]);
    }
    if (Array.isArray(value)) {
      const [first] = value;
      return this.#pick([
        [],
        [...value, ...value],
        value.slice(1),
        value.toReversed(),
        first === undefined ? [] : Array(500).fill(first),
      ]);
    }
    return undefined;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[this.#below(list.length)];
  }
}

/** structuredClone() makes plain arrays of bytes of them. */
function buffers(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (Array.isArray(value)) return value.map(buffers);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, buffers(one)]));
}

function kindOf(name: string): string {
  return name.replace(/[-\d].*/, '');
}

function show(value: unknown): string {
  if (Buffer.isBuffer(value)) return `${value.length} bytes ${value.subarray(0, 8).toString('hex')}`;
  const text =
    JSON.stringify(value, (_key, one) => (typeof one === 'bigint' ? `0x${one.toString(16)}` : one)) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
