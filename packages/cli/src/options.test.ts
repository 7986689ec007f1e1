import { helpText, OPTIONS } from './options';

test('no two options share a long or a short name', () => {
  const names = OPTIONS.map((row) => row.name);
  expect(new Set(names).size).toBe(names.length);
  const shorts = OPTIONS.flatMap((row) => row.short ?? []);
  expect(new Set(shorts).size).toBe(shorts.length);
});

test('every supported option is in the help, no refused one is', () => {
  const text = helpText();
  for (const { name, actions } of OPTIONS) {
    if (name.length === 1) continue;
    expect({ name, shown: new RegExp(`--${name}[ [\n]`).test(text) }).toEqual({ name, shown: actions.length > 0 });
  }
});

test('a group and another meaning name supported options', () => {
  for (const { group, means, actions } of OPTIONS) {
    if (group !== undefined) expect(actions.length).toBeGreaterThan(0);
    if (means !== undefined) expect(OPTIONS.find(({ name }) => name === means)?.actions).toEqual(actions);
  }
});
