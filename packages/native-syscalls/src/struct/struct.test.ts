import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Field, type Struct, struct } from './struct';
import * as tables from './tables';

/** Size of a structure and offsets of its fields, as a C compiler prints them from the kernel's headers. */
function ask(table: Struct<Readonly<Record<string, Field>>>): Record<string, number> {
  const directory = mkdtempSync(join(tmpdir(), 'crts-struct-'));
  const fields = Object.keys(table.fields).filter((field) => !/^(padding|reserved\d|pad)$/.test(field));
  const lines = fields.map((field) => `printf("${field} %zu\\n", offsetof(${table.name}, ${field}));`);
  const source = [
    `#define _GNU_SOURCE`,
    ...table.header.split(' ').map((header) => `#include ${header}`),
    '#include <stddef.h>',
    'int printf(const char *, ...);',
    'int main(void) {',
    `printf("sizeof %zu\\n", sizeof(${table.name}));`,
    ...lines,
    'return 0; }',
  ];
  try {
    writeFileSync(join(directory, 'ask.c'), source.join('\n'));
    execFileSync('cc', [
      '-w',
      '-I',
      join(__dirname, '../../../../native/include'),
      '-o',
      join(directory, 'ask'),
      join(directory, 'ask.c'),
    ]);
    const text = execFileSync(join(directory, 'ask'), { encoding: 'utf8' });
    return Object.fromEntries(
      text
        .trim()
        .split('\n')
        .map((line) => line.split(' '))
        .map(([field, value]) => [field, Number(value)]),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test.each(Object.entries(tables))('%s has the layout of the C compiler', (_name, table) => {
  const asked = ask(table as Struct<Readonly<Record<string, Field>>>);
  const own: Record<string, number> = { sizeof: table.size };
  for (const field of Object.keys(asked))
    if (field !== 'sizeof') own[field] = (table.offsets as Record<string, number>)[field]!;
  expect(own).toEqual(asked);
});

test('a moved field is noticed', () => {
  const wrong = struct('struct timespec', '<time.h>', { tv_nsec: 'i64', tv_sec: 'i64' });
  expect(ask(wrong)).toEqual({ sizeof: 16, tv_sec: 0, tv_nsec: 8 });
  expect(wrong.offsets).toEqual({ tv_sec: 8, tv_nsec: 0 });
});

test('values that do not fit are refused, never rounded', () => {
  expect(tables.timespec.encode({ tv_sec: -1n, tv_nsec: 2n ** 63n - 1n }).toString('hex')).toBe(
    'ffffffffffffffffffffffffffffff7f',
  );
  expect(() => tables.timespec.encode({ tv_sec: 2n ** 63n })).toThrow(/out of range/);
  expect(() => tables.rlimit.encode({ rlim_cur: -1n })).toThrow(/out of range/);
  expect(() => tables.capHeader.encode({ version: 2 ** 32 })).toThrow(/out of range/);
});

test('fields are read and set where they lie', () => {
  const bytes = Buffer.alloc(200);
  tables.flock.set(bytes, 'l_len', 77n, 100);
  expect(tables.flock.get(bytes, 'l_len', 100)).toBe(77n);
  expect(bytes.readBigUInt64LE(100 + 16)).toBe(77n);
});
