import fc from 'fast-check';
import { CrtsError } from './errors';
import { decodeName, encodeName } from './names';

// One run is like the other: what a new seed finds belongs into a named test.
fc.configureGlobal({ seed: 20261126 });

test('any bytes survive as a name', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => Buffer.from(bytes).equals(encodeName(decodeName(Buffer.from(bytes))))),
  );
});

test('UTF-8 stays what it is', () => {
  expect(decodeName(Buffer.from('grün €'))).toBe('grün €');
  expect(decodeName(Buffer.from([0x61, 0xff]))).toBe('a\udcff');
});

test('an error is one line with subject, call, errno and code; facts from further up do not replace its own', () => {
  const error = new CrtsError({
    code: 'CRTS_X',
    what: 'it failed',
    pid: 4,
    fd: 5,
    path: '/p',
    call: 'open("/p")',
    errno: 'ENOENT',
    hint: 'Look.',
  });
  expect(error.message).toBe('pid 4 fd 5 (/p): it failed: open("/p"): ENOENT [CRTS_X]');
  const more = error.with({ plugin: 'fd-x', pid: 99 });
  expect(more.message).toBe('fd-x: pid 4 fd 5 (/p): it failed: open("/p"): ENOENT [CRTS_X]');
  expect(more.hint).toBe('Look.');
});
