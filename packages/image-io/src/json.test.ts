import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bufferSource, detectKind, encodeImage, readItems } from './image-file';
import { imageFromJson, imageToJson, parseJson, stringifyJson } from './json';
import { readAddress, readUnixName, showAddress, showUnixName } from './json-show';

const fixtures = join(__dirname, '../fixtures');
const recorded = readdirSync(fixtures, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .flatMap(({ name }) => readdirSync(join(fixtures, name)).map((file) => join(name, file)));

function load(path: string) {
  const bytes = readFileSync(join(fixtures, path));
  const source = bufferSource(bytes);
  const kind = detectKind(source, path.split('/').at(-1)!);
  return { bytes, kind, items: [...readItems(source, kind, path)] };
}

test.each(recorded)('%s survives JSON, plain and pretty', (path) => {
  const { bytes, kind, items } = load(path);
  for (const pretty of [false, true]) {
    const text = stringifyJson(imageToJson(kind, items, pretty));
    expect(encodeImage(kind, imageFromJson(kind, parseJson(text))).equals(bytes)).toBe(true);
  }
});

const crit = '/usr/bin/crit';
// Debian's crit is of CRIU 3.17: it knows no fields that came later.
const NEWER =
  /^(resources\/(files|fdinfo-2|memfd)|sleep\/(inventory|pagemap|core)|resources\/(inventory|pagemap|core|fs|mm))/;
const comparable = recorded.filter((path) => !NEWER.test(path) && !path.includes('stats-dump'));

(existsSync(crit) ? describe : describe.skip)("crit (needs Debian's criu package)", () => {
  test.each(comparable)('%s is the same JSON as crit prints', (path) => {
    const { kind, items } = load(path);
    for (const pretty of [false, true]) {
      const theirs = parseJson(
        execFileSync(
          '/usr/bin/python3',
          [crit, 'decode', '-i', join(fixtures, path), ...(pretty ? ['--pretty'] : [])],
          { encoding: 'utf8' },
        ),
      );
      // Through text: parseJson makes small integers numbers, images have bigint in 64-bit fields.
      expect(parseJson(stringifyJson(imageToJson(kind, items, pretty)))).toEqual(theirs);
    }
  });
});

test('addresses and socket names', () => {
  expect(showAddress([0x0100007f])).toBe('127.0.0.1');
  expect(readAddress('127.0.0.1')).toEqual([0x0100007f]);
  expect(showAddress([0, 0, 0, 0x01000000])).toBe('::1');
  expect(readAddress('::1')).toEqual([0, 0, 0, 0x01000000]);
  expect(readAddress('1::2::3')).toBeUndefined();
  const name = Buffer.from('\0abstract=name \xff', 'latin1');
  expect(readUnixName(showUnixName(name)).equals(name)).toBe(true);
});

test('wrong JSON names entry and field', () => {
  const { kind } = load('sleep/pagemap-6370.img');
  const refuse = (entry: Record<string, never>, text: RegExp) =>
    expect(() => imageFromJson(kind, { magic: 'PAGEMAP', entries: [{ pages_id: 1 }, entry] })).toThrow(text);
  refuse({ vadr: 1 } as never, /entry 1.*pagemap_entry\.vadr/);
  refuse({ flags: 'PE_NONE' } as never, /entry 1.*pagemap_entry\.flags.*PE_NONE/);
  expect(() => imageFromJson(kind, { magic: 'CORE', entries: [] })).toThrow(/CRTS_IMAGE_MAGIC/);
});
