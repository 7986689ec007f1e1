/** Mounts as /proc/PID/mountinfo lists them (man 5 proc_pid_mountinfo). */
import { decodeName } from '@crts/plugin-api';

export interface Mount {
  readonly id: number;
  /** Device of the file system as the kernel keeps it inside: major << 20 | minor. */
  readonly device: number;
  readonly point: string;
  readonly fsType: string;
  /** Directories whose files an overlay shows, the upper one first. */
  readonly layers: readonly string[];
}

const MINOR_BITS = 20;
const LINE = /^(\d+) \d+ (\d+):(\d+) \S+ (\S+) .*? - (\S+) \S+ (\S*)$/;

export function parseMountinfo(bytes: Buffer): Mount[] {
  return decodeName(bytes)
    .split('\n')
    .flatMap((line) => {
      const [, id, major, minor, point, fsType, options] = LINE.exec(line) ?? [];
      if (id === undefined) return [];
      return [
        {
          id: Number(id),
          device: ((Number(major) << MINOR_BITS) | Number(minor)) >>> 0,
          point: unescapeOctal(point!),
          fsType: fsType!,
          layers: fsType === 'overlay' ? layersOf(options!) : [],
        },
      ];
    });
}

/** `upperdir=`, and `lowerdir=A:B` or one `lowerdir+=` for each: Documentation/filesystems/overlayfs.rst. */
function layersOf(options: string): string[] {
  const layers: string[] = [];
  for (const [, name, text] of options.matchAll(/(?:^|,)(upperdir|lowerdir\+?|datadir\+?)=([^,]*)/g)) {
    // Commas and backslashes of names are octal; a colon of a name has a backslash in front.
    const value = unescapeOctal(text!);
    const names = name === 'lowerdir' ? value.split(/(?<!\\):+/) : [value];
    const plain = names.filter((one) => one !== '').map((one) => one.replace(/\\(.)/g, '$1'));
    if (name === 'upperdir') layers.unshift(...plain);
    else layers.push(...plain);
  }
  return layers;
}

/** Spaces, tabs, newlines and backslashes: mangle(), fs/proc_namespace.c. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
