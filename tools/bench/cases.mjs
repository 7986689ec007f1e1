// What can be measured: the name of a case says what its program holds.
import { readFileSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';

/** Mebibytes: 1GiB; by how many processes they are held: 1GiBx8; where the images are: 1GiB@tmpfs; restored lazily: 1GiB~. */
const MEMORY = /^(\d+)(MiB|GiB)(?:x(\d+))?(@tmpfs)?(~)?$/;
/** Of a parent, and how many children share it with that parent: 1GiB/20. */
const SHARED = /^(\d+)(MiB|GiB)\/(\d+)$/;
const COUNT = /^(\d+)(processes|threads|fds|watches)$/;

const SIZES = ['64MiB', '256MiB', '1GiB', '4GiB', '8GiB'];

export const GROUPS = {
  memory: SIZES.flatMap((size) => [
    ...['', '@tmpfs'].flatMap((place) => [`${size}${place}`, `${size}x8${place}`]),
    `${size}~`,
  ]),
  lazy: SIZES.map((size) => `${size}~`),
  sharing: ['256MiB/8', '1GiB/20'],
  trees: ['1processes', '10processes', '100processes', '1000processes'],
  threads: ['1threads', '10threads', '100threads', '1000threads'],
  fds: ['10fds', '1000fds', '10000fds', '100000fds'],
  watches: ['10000watches'],
};
/** What is run without names on the command line. */
export const USUAL = ['trivial', '256MiB', '1GiB'];

/**
 * `command` makes the program: a C program beside this file, and its arguments behind the ready file. `where` is the
 * directory of the images.
 */
export function caseOf(name, directory) {
  const small = { directory, rounds: 7, mebibytes: 0 };
  if (name === 'trivial') return { ...small, rounds: 15, command: ['program', '0'] };
  const memory = MEMORY.exec(name);
  if (memory !== null) {
    const [, size, unit, processes = '1', tmpfs, lazy] = memory;
    const mebibytes = Number(size) * (unit === 'GiB' ? 1024 : 1);
    return {
      mebibytes,
      rounds: mebibytes > 2048 ? 3 : mebibytes > 512 ? 5 : 7,
      directory: tmpfs === undefined ? directory : '/dev/shm',
      isTmpfs: tmpfs !== undefined,
      isLazy: lazy !== undefined,
      command: ['program', String(mebibytes), processes, ...(lazy === undefined ? [] : ['1', 'watched'])],
    };
  }
  const shared = SHARED.exec(name);
  if (shared !== null) {
    const [, size, unit, children] = shared;
    const mebibytes = Number(size) * (unit === 'GiB' ? 1024 : 1);
    const processes = Number(children) + 1;
    // The images have the memory of each process.
    const command = ['program', String(mebibytes), String(processes), '1', 'shared'];
    // The program has it once, and what the children wrote: one page in a hundred.
    const programMib = Math.ceil(mebibytes * (1 + (processes - 1) / 100));
    return { ...small, rounds: 5, mebibytes: mebibytes * processes, programMib, isShared: true, command };
  }
  const [, count, kind] = COUNT.exec(name) ?? [];
  if (kind === 'processes') return { ...small, command: ['program', '0', count] };
  if (kind === 'threads') return { ...small, command: ['program', '0', '1', count] };
  if (kind === 'fds') return { ...small, rounds: 5, command: ['descriptors', count] };
  if (kind === 'watches') return { ...small, rounds: 5, command: ['watches', 'SCRATCH', count] };
  throw new Error(
    `no case ${name}: trivial, ${Object.values(GROUPS).flat().join(', ')}; groups ${Object.keys(GROUPS)}`,
  );
}

/** Where images go by default. */
export const defaultDirectory = tmpdir();

/**
 * Why there is no room for a case: the program and its images when they are in memory, and twice the memory of the program otherwise,
 * so that the page cache has room for the images too. A tree that shares its memory is small beside its images, of which the disk must have room
 * for those of one peer at a time: that they are read from there is part of both peers' restores.
 */
export function noRoomFor({ mebibytes, programMib, directory }) {
  const availableKib = Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]);
  const neededMib = (programMib === undefined ? 2 * mebibytes : 2 * programMib) + 1024;
  if (programMib !== undefined) {
    const { bavail, bsize } = statfsSync(directory);
    const freeMib = Math.floor((bavail * bsize) / 2 ** 20);
    if (freeMib < mebibytes + 1024) return `it needs ${mebibytes + 1024} MiB of disk, and ${freeMib} MiB are free`;
  }
  if (mebibytes === 0 || availableKib / 1024 > neededMib) return undefined;
  return `it needs ${neededMib} MiB, and ${Math.floor(availableKib / 1024)} MiB are available`;
}
