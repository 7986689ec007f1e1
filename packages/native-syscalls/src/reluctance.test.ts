import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** In a Node of its own: what a function was optimised by is known only with --allow-natives-syntax. */
function isOptimised(call: string): boolean {
  const source = `
    const { optimizeReluctantly, optimizeAsUsual } = require(${JSON.stringify(join(__dirname, '../dist'))});
    ${call};
    function sum(n) { let s = 0; for (let i = 0; i < n; i++) s += i; return s; }
    for (let i = 0; i < 80; i++) sum(100);
    const until = Date.now() + 200;
    while (Date.now() < until) ;
    sum(1);
    console.log((%GetOptimizationStatus(sum) & 16) !== 0);`;
  return execFileSync(process.execPath, ['--allow-natives-syntax', '-e', source], { encoding: 'utf8' }) === 'true\n';
}

test('V8 optimises what is run often, or what is run very often', () => {
  expect(isOptimised('optimizeReluctantly(); optimizeAsUsual()')).toBe(true);
  expect(isOptimised('optimizeReluctantly()')).toBe(false);
});
