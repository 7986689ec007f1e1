// Writes src/arch/x86_64/{syscall-numbers,errno-names}.ts from the kernel's uapi headers: node tools/generate-numbers.mjs
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const out = join(import.meta.dirname, '../src/arch/x86_64');
function defines(header, pattern) {
  const text = execFileSync('cc', ['-E', '-dM', '-include', header, '-xc', '/dev/null'], { encoding: 'utf8' });
  return [...text.matchAll(pattern)].map(([, name, value]) => [name, Number(value)]).sort((a, b) => a[1] - b[1]);
}
const calls = defines('asm/unistd_64.h', /^#define __NR_(\w+) (\d+)$/gm);
// Numbers are the same on every architecture from 424 on; Debian 12's headers are older than the kernel here.
for (const [name, nr] of [
  ['map_shadow_stack', 453],
  ['statmount', 457],
  ['listmount', 458],
  ['mseal', 462],
]) {
  if (!calls.some(([known]) => known === name)) calls.push([name, nr]);
}
writeFileSync(
  join(out, 'syscall-numbers.ts'),
  `// Made by tools/generate-numbers.mjs from <asm/unistd_64.h>.\nexport const SYSCALL_NUMBERS: Readonly<Record<string, number>> = {\n${calls.map(([name, nr]) => `  ${name}: ${nr},`).join('\n')}\n};\n`,
);
const errnos = defines('linux/errno.h', /^#define (E[A-Z0-9]+) (\d+)$/gm).filter(([name]) => name !== 'EWOULDBLOCK');
errnos.push(['ERESTARTSYS', 512], ['ERESTARTNOINTR', 513], ['ERESTARTNOHAND', 514], ['ERESTART_RESTARTBLOCK', 516]);
writeFileSync(
  join(out, 'errno-names.ts'),
  `// Made by tools/generate-numbers.mjs from <linux/errno.h>; 512 and up are of include/linux/errno.h, seen by tracers only.\nexport const ERRNO_NAMES: Readonly<Record<number, string>> = {\n${errnos.map(([name, nr]) => `  ${nr}: '${name}',`).join('\n')}\n};\n`,
);
