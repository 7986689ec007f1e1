// node packages/image-io/tools/generate.mjs [--check]
// Turns proto/*.proto into src/generated/messages.ts: one line of text per message (read when it is first used, so
// that start-up pays nothing) and an interface per message. generated.test.ts fails when the file is out of date.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';

const protoDir = join(import.meta.dirname, '../../../proto');
const target = join(import.meta.dirname, '../src/generated/messages.ts');

const root = new protobuf.Root();
// Presentation options need no definition to be parsed; everything else lies flat in proto/.
root.resolvePath = (_origin, file) =>
  /show\.proto$|^google\//.test(file) ? null : join(protoDir, file.split('/').at(-1));
const files = readdirSync(protoDir)
  .filter((file) => file.endsWith('.proto') && file !== 'show.proto')
  .sort();
root.loadSync(files, { keepCase: true }).resolveAll();

const SCALARS = {
  uint32: 'number',
  int32: 'number',
  sint32: 'number',
  fixed32: 'number',
  sfixed32: 'number',
  uint64: 'bigint',
  int64: 'bigint',
  sint64: 'bigint',
  fixed64: 'bigint',
  sfixed64: 'bigint',
  bool: 'boolean',
  string: 'string',
  bytes: 'Uint8Array',
};
const pascal = (name) =>
  name
    .split('_')
    .filter(Boolean)
    .map((part) => part[0].toUpperCase() + part.slice(1))
    .join('');
const messages = [];
const enums = [];
(function walk(namespace) {
  for (const item of namespace.nestedArray) {
    if (item instanceof protobuf.Type) messages.push(item);
    if (item instanceof protobuf.Enum) enums.push(item);
    if (item.nestedArray) walk(item);
  }
})(root);
const byName = (a, b) => (a.name < b.name ? -1 : 1);
for (const list of [messages, enums]) {
  const names = list.map((item) => item.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice) throw new Error(`two definitions are named ${twice}`);
}
messages.sort(byName);
enums.sort(byName);

function tsType(field) {
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Enum) return 'number';
  return resolvedType ? pascal(resolvedType.name) : SCALARS[field.type];
}

// "number name type rule [show]", type being a scalar, !message or =enum; rule r(equired), o(ptional), *(repeated).
function fieldText(field) {
  const { resolvedType } = field;
  const type = resolvedType ? `${resolvedType instanceof protobuf.Enum ? '=' : '!'}${resolvedType.name}` : field.type;
  const rule = field.repeated ? '*' : field.required ? 'r' : 'o';
  const show = Object.entries(field.options ?? {})
    .filter(([key]) => key.startsWith('(crts.'))
    .map(([key, value]) => `${key.slice(6, -1)}${value === true ? '' : `=${value}`}`)
    .join(',');
  return `${field.id} ${field.name} ${type} ${rule}${show ? ` ${show}` : ''}`;
}

const lines = ['// Made by tools/generate.mjs from proto/*.proto.', '// biome-ignore-all lint: generated', ''];
lines.push('export const MESSAGE_TEXT: Readonly<Record<string, string>> = {');
for (const message of messages) {
  const fields = [...message.fieldsArray].sort((a, b) => a.id - b.id);
  lines.push(`  ${message.name}: '${fields.map(fieldText).join(';')}',`);
}
lines.push('};', '', 'export const ENUMS: Readonly<Record<string, Readonly<Record<string, number>>>> = {');
for (const item of enums) {
  lines.push(
    `  ${item.name}: { ${Object.entries(item.values)
      .map(([name, value]) => `'${name}': ${value}`)
      .join(', ')} },`,
  );
}
lines.push('};');
for (const message of messages) {
  lines.push('', `export type ${pascal(message.name)} = {`);
  for (const field of [...message.fieldsArray].sort((a, b) => a.id - b.id)) {
    const type = tsType(field);
    lines.push(
      field.repeated
        ? `  ${field.name}: ${type}[];`
        : field.required
          ? `  ${field.name}: ${type};`
          : `  ${field.name}?: ${type} | undefined;`,
    );
  }
  lines.push('};');
}
const text = `${lines.join('\n')}\n`;
if (process.argv.includes('--check')) process.exit(readFileSync(target, 'utf8') === text ? 0 : 1);
writeFileSync(target, text);
