// node tools/tidy/errors-doc.mjs: codes that docs/errors.md lacks, as rows to complete, and codes that nobody throws any more.
import codes from './error-codes.js';

const thrown = codes.thrownCodes();
const documented = codes.documentedCodes();
const missing = [...thrown].filter(([code]) => !documented.has(code));
const stale = [...documented.keys()].filter((code) => !thrown.has(code));
for (const [code, file] of missing.sort()) console.log(`| \`${code}\` | KIND | MEANING, see ${file} |`);
for (const code of stale) console.log(`nobody throws ${code}`);
process.exitCode = missing.length + stale.length > 0 ? 1 : 0;
