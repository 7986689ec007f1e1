/**
 * File names are bytes for the kernel. As text they are UTF-8; a byte that is no UTF-8 is kept as a lone surrogate
 * U+DC80..U+DCFF, as Python does (PEP 383), and becomes that byte again.
 */
export function encodeName(text: string): Buffer {
  if (!/[\udc80-\udcff]/.test(text)) return Buffer.from(text, 'utf8');
  const parts: Buffer[] = [];
  let plain = '';
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code < 0xdc80 || code > 0xdcff) {
      plain += character;
      continue;
    }
    parts.push(Buffer.from(plain, 'utf8'), Buffer.from([code - 0xdc00]));
    plain = '';
  }
  parts.push(Buffer.from(plain, 'utf8'));
  return Buffer.concat(parts);
}

export function decodeName(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  if (!text.includes('�')) return text;
  let out = '';
  for (let at = 0; at < bytes.length; ) {
    const size = sequenceLength(bytes, at);
    out += size === 0 ? String.fromCharCode(0xdc00 + bytes[at]!) : bytes.toString('utf8', at, at + size);
    at += size || 1;
  }
  return out;
}

/** Length of the valid UTF-8 sequence at `at`, 0 when there is none. */
function sequenceLength(bytes: Buffer, at: number): number {
  const lead = bytes[at]!;
  const size =
    lead < 0x80
      ? 1
      : lead >= 0xc2 && lead < 0xe0
        ? 2
        : lead >= 0xe0 && lead < 0xf0
          ? 3
          : lead >= 0xf0 && lead < 0xf5
            ? 4
            : 0;
  if (size === 0 || at + size > bytes.length) return 0;
  const piece = bytes.subarray(at, at + size);
  return Buffer.from(piece.toString('utf8'), 'utf8').equals(piece) ? size : 0;
}
