/** How crit spells values: tables of names, and the conversions of single fields. Facts of crit's JSON. */

export type Flags = readonly (readonly [name: string, bit: number])[];

/** In the order in which crit lists them. */
export const FLAGS: Readonly<Record<string, Flags>> = {
  'mmap.prot': [
    ['PROT_READ', 1],
    ['PROT_WRITE', 2],
    ['PROT_EXEC', 4],
  ],
  'mmap.flags': [
    ['MAP_SHARED', 1],
    ['MAP_PRIVATE', 2],
    ['MAP_DROPPABLE', 8],
    ['MAP_ANON', 0x20],
    ['MAP_GROWSDOWN', 0x100],
  ],
  'mmap.status': [
    ['VMA_AREA_REGULAR', 1],
    ['VMA_AREA_STACK', 2],
    ['VMA_AREA_VSYSCALL', 4],
    ['VMA_AREA_VDSO', 8],
    ['VMA_AREA_HEAP', 0x20],
    ['VMA_FILE_PRIVATE', 0x40],
    ['VMA_FILE_SHARED', 0x80],
    ['VMA_ANON_SHARED', 0x100],
    ['VMA_ANON_PRIVATE', 0x200],
    ['VMA_AREA_SYSVIPC', 0x400],
    ['VMA_AREA_SOCKET', 0x800],
    ['VMA_AREA_VVAR', 0x1000],
    ['VMA_AREA_AIORING', 0x2000],
    ['VMA_AREA_MEMFD', 0x4000],
    ['VMA_AREA_SHSTK', 0x8000],
    ['VMA_AREA_UPROBES', 0x20000],
    ['VMA_UNSUPP', 0x80000000],
  ],
  'rfile.flags': [
    ['O_WRONLY', 1],
    ['O_RDWR', 2],
    ['O_CREAT', 0o100],
    ['O_EXCL', 0o200],
    ['O_NOCTTY', 0o400],
    ['O_TRUNC', 0o1000],
    ['O_APPEND', 0o2000],
    ['O_NONBLOCK', 0o4000],
    ['O_DSYNC', 0o10000],
    ['FASYNC', 0o20000],
    ['O_DIRECT', 0o40000],
    ['O_LARGEFILE', 0o100000],
    ['O_DIRECTORY', 0o200000],
    ['O_NOFOLLOW', 0o400000],
    ['O_NOATIME', 0o1000000],
    ['O_CLOEXEC', 0o2000000],
  ],
  'pmap.flags': [
    ['PE_PARENT', 1],
    ['PE_LAZY', 2],
    ['PE_PRESENT', 4],
  ],
  'seals.flags': [
    ['F_SEAL_SEAL', 1],
    ['F_SEAL_SHRINK', 2],
    ['F_SEAL_GROW', 4],
    ['F_SEAL_WRITE', 8],
    ['F_SEAL_FUTURE_WRITE', 0x10],
  ],
};

/** Names of values by table and field name. */
export const DICTS: Readonly<Record<string, Readonly<Record<string, Readonly<Record<number, string>>>>>> = {
  gen: { task_state: { 1: 'Alive', 3: 'Zombie', 6: 'Stopped' } },
  sk: {
    family: { 1: 'UNIX', 2: 'INET', 10: 'INET6', 16: 'NETLINK', 17: 'PACKET' },
    type: { 1: 'STREAM', 2: 'DGRAM', 3: 'RAW', 5: 'SEQPACKET', 10: 'PACKET' },
    state: {
      1: 'ESTABLISHED',
      2: 'SYN_SENT',
      3: 'SYN_RECV',
      4: 'FIN_WAIT1',
      5: 'FIN_WAIT2',
      6: 'TIME_WAIT',
      7: 'CLOSE',
      8: 'CLOSE_WAIT',
      9: 'LAST_ACK',
      10: 'LISTEN',
    },
    proto: { 0: 'IP', 6: 'TCP', 17: 'UDP', 136: 'UDPLITE' },
  },
};

export function showFlags(value: number, flags: Flags): string {
  const names = flags.filter(([, bit]) => (value & bit) !== 0).map(([name]) => name);
  const rest = flags.reduce((left, [, bit]) => (left & ~bit) >>> 0, value);
  if (rest !== 0) names.push(`0x${rest.toString(16)}`);
  return names.join(' | ');
}

/** The number behind names joined with `|`; undefined when a word is neither name nor number. */
export function readFlags(text: string, flags: Flags): number | undefined {
  if (text.trim() === '') return 0;
  let value = 0;
  for (const word of text.split('|').map((part) => part.trim())) {
    const bit = flags.find(([name]) => name === word)?.[1] ?? (word === 'VMA_AREA_NONE' ? 0 : Number(word));
    if (!Number.isInteger(bit)) return undefined;
    value = (value | bit) >>> 0;
  }
  return value;
}

/** Base64 in lines of 76 characters, each with a newline, as Python's encodebytes makes it. */
export function showBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('base64')
    .replace(/.{1,76}/g, '$&\n');
}

/** Quoted-printable of a socket name, as Python's quopri makes it. */
export function showUnixName(bytes: Uint8Array): string {
  const out: string[] = [];
  let line = '';
  for (const [index, byte] of bytes.entries()) {
    const last = index === bytes.length - 1;
    const plain = (byte > 32 && byte < 127 && byte !== 61) || ((byte === 32 || byte === 9) && !last);
    const piece = plain ? String.fromCharCode(byte) : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    if (line.length + piece.length > 75) {
      out.push(`${line}=\n`);
      line = '';
    }
    line += piece;
  }
  return out.join('') + line;
}

export function readUnixName(text: string): Buffer {
  const parts = text.replace(/=\n/g, '').split(/(=[0-9A-Fa-f]{2})/);
  return Buffer.concat(
    parts.map((part) =>
      /^=[0-9A-Fa-f]{2}$/.test(part) ? Buffer.from(part.slice(1), 'hex') : Buffer.from(part, 'latin1'),
    ),
  );
}

/** A device number: the kernel's encoding (20 minor bits), or that of makedev(3). */
export function showDevice(value: number, old: boolean): string {
  return old
    ? `${(value >>> 8) & 0xfff}:${(value & 0xff) | ((value >>> 12) & 0xfff00)}`
    : `${value >>> 20}:${value & 0xfffff}`;
}

export function readDevice(text: string, old: boolean): number | undefined {
  const match = /^(\d+):(\d+)$/.exec(text);
  if (match === null) return undefined;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return old ? ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0 : ((major << 20) | minor) >>> 0;
}

/** An address of one or four 32-bit words in network order. */
export function showAddress(words: readonly number[]): string {
  const bytes = Buffer.alloc(4 * words.length);
  words.forEach((word, index) => {
    bytes.writeUInt32LE(word, 4 * index);
  });
  if (words.length === 1) return [...bytes].join('.');
  const groups = Array.from({ length: bytes.length / 2 }, (_, index) =>
    bytes.readUInt16BE(2 * index).toString(16),
  ).join(':');
  return groups
    .replace(/\b(0(:0)+)\b(?!.*\b0:\1\b)/, (run) => (run.includes(':') ? ':' : run))
    .replace(/^:(?!:)|(?<!:):$/g, '::')
    .replace(/:{3,}/g, '::');
}

export function readAddress(text: string): number[] | undefined {
  if (/^\d+(\.\d+){3}$/.test(text)) return [Buffer.from(text.split('.').map(Number)).readUInt32LE(0)];
  const [head = '', tail, third] = text.split('::');
  if (third !== undefined) return undefined;
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array.from({ length: Math.max(0, zeros) }, () => '0'), ...right];
  if (groups.length !== 8 || groups.some((group) => !/^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  const bytes = Buffer.alloc(16);
  groups.forEach((group, index) => {
    bytes.writeUInt16BE(Number.parseInt(group, 16), 2 * index);
  });
  return [0, 4, 8, 12].map((at) => bytes.readUInt32LE(at));
}
