// The error codes that the packages throw, and those that docs/errors.md tells of.

const { readdirSync, readFileSync } = require('node:fs');
const { join } = require('node:path');

const root = join(__dirname, '../..');
/** An environment variable, not a code. */
const OTHERS = new Set(['CRTS_NATIVE', 'CRTS_VERSION']);

/** Code -> the file that has it, relative to the repository. */
function thrownCodes() {
  const codes = new Map();
  for (const directory of readdirSync(join(root, 'packages'))) {
    const source = join('packages', directory, 'src');
    for (const file of readdirSync(join(root, source), { recursive: true })) {
      if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue;
      const text = readFileSync(join(root, source, file), 'utf8');
      // 'CRTS_X' in the source, [CRTS_X] where a message is put together by hand.
      for (const [, code] of text.matchAll(/['[](CRTS_[A-Z0-9_]+)['\]]/g))
        if (!OTHERS.has(code)) codes.set(code, join(source, file));
    }
  }
  return codes;
}

/** Code -> kind and meaning. */
function documentedCodes() {
  const text = readFileSync(join(root, 'docs/errors.md'), 'utf8');
  const rows = text.matchAll(/^\| *`(CRTS_[A-Z0-9_]+)` *\| *(\w+) *\| *(.*?) *\|$/gm);
  return new Map([...rows].map(([, code, kind, meaning]) => [code, { kind, meaning }]));
}

module.exports = { thrownCodes, documentedCodes };
