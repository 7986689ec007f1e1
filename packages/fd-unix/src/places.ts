/** Where a task is while it binds or connects a name, and the way back. */
import { dirname, normalize } from 'node:path';
import { type Arg, encodeName, type Program } from '@crts/plugin-api';
import { isPath, pathText } from './name';

const AT_FDCWD = -100;
const AT_REMOVEDIR = 0x200;
const O_PATH = 0o10000000;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;

export interface Place {
  readonly name: Buffer;
  /** Where a relative name counts from. */
  readonly directory?: string | undefined;
  readonly ghost?: Arg | undefined;
}

/**
 * Names that lead nowhere any more (or to another file) are bound in a file system of their own, which nobody else sees and which is gone
 * with the last socket in it: the task's root is there meanwhile. Relative names count from where they did.
 */
export class Places {
  #program: Program;
  #ghosts: Arg[] = [];
  #root: Arg | undefined;
  #directory: Arg | undefined;

  constructor(program: Program) {
    this.#program = program;
  }

  /** Runs `emit` where `name` leads to the file of the socket. */
  at(socket: Place, emit: () => void): void {
    if (!isPath(socket.name) || (socket.ghost === undefined && socket.directory === undefined)) {
      emit();
      return;
    }
    this.#remember();
    if (socket.ghost !== undefined) {
      this.#program.call('fchdir', [socket.ghost]);
      this.#program.call('chroot', [this.#program.cstring('.')]);
    }
    if (socket.directory !== undefined)
      this.#program.call('chdir', [this.#program.cstring(socket.directory)], { what: `go to ${socket.directory}` });
    emit();
    if (socket.ghost !== undefined) {
      this.#program.call('fchdir', [this.#root!]);
      this.#program.call('chroot', [this.#program.cstring('.')]);
    }
    this.#program.call('fchdir', [this.#directory!]);
  }

  /** A file system with the directories of one name and nothing else. */
  ghost(name: Buffer, directory: string | undefined): Arg {
    const program = this.#program;
    const context = program.call('fsopen', [program.cstring('tmpfs'), FSOPEN_CLOEXEC]);
    program.call('fsconfig', [context, FSCONFIG_CMD_CREATE, null, null, 0]);
    const mount = program.call('fsmount', [context, FSMOUNT_CLOEXEC, 0], { what: 'a place for a name that is gone' });
    program.call('close', [context]);
    this.#ghosts.push(mount);
    for (const one of directoriesOf(pathText(name), directory))
      program.call('mkdirat', [mount, program.cstring(one), 0o755]);
    return mount;
  }

  /**
   * Binds where the name leads to nothing and moves the file to `path`, over what is there: the name was not the file's any more. `emit`
   * runs in a directory of that file system that is the root meanwhile.
   */
  moved(name: Buffer, path: string, mark: number, emit: () => void): void {
    const program = this.#program;
    const text = pathText(name);
    const ups = text.split('/').filter((part) => part === '..').length;
    const base = `/${Array(ups).fill('d').join('/')}`;
    const own = `${dirname(path)}/.crts-${mark}`;
    const directories = directoriesOf(text, base);
    program.call('mkdir', [program.cstring(own), 0o700], { what: `a place beside ${path}` });
    const ghost = program.call('openat', [AT_FDCWD, program.cstring(own), O_PATH, 0]);
    for (const one of directories) program.call('mkdirat', [ghost, program.cstring(one), 0o755]);
    this.at({ name, directory: text.startsWith('/') ? undefined : base, ghost }, emit);
    const full = normalize(`${text.startsWith('/') ? '' : base}/${text}`);
    program.call('rename', [program.cstring(`${own}${full}`), program.cstring(path)], { what: `move it to ${path}` });
    for (const one of directories.reverse()) program.call('unlinkat', [ghost, program.cstring(one), AT_REMOVEDIR]);
    program.call('rmdir', [program.cstring(own)]);
    program.call('close', [ghost]);
  }

  moveTo(program: Program): void {
    this.#program = program;
  }

  /** Numbers that stay from one pass to another are high: `keep` moves a descriptor there. */
  keep(keep: (fd: Arg) => Arg): void {
    this.#ghosts = this.#ghosts.map(keep);
    this.#root &&= keep(this.#root);
    this.#directory &&= keep(this.#directory);
  }

  close(): void {
    for (const fd of [...this.#ghosts, this.#root, this.#directory])
      if (fd !== undefined) this.#program.call('close', [fd]);
  }

  #remember(): void {
    const open = (path: string) => this.#program.call('openat', [AT_FDCWD, this.#program.cstring(path), O_PATH, 0]);
    this.#root ??= open('/');
    this.#directory ??= open('.');
  }
}

/** Directories, parents first, in which a name is looked up, relative to the root. */
export function directoriesOf(name: string, directory = '/'): string[] {
  const made: string[] = [];
  const stack: string[] = [];
  const parts = [...(name.startsWith('/') ? [] : directory.split('/')), ...name.split('/').slice(0, -1)];
  for (const part of parts) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      stack.pop();
      continue;
    }
    stack.push(part);
    const path = stack.join('/');
    if (!made.includes(path)) made.push(path);
  }
  return made.filter((path) => encodeName(path).length > 0);
}
