/** Descriptors of a task: which description gets which numbers. */
import type { FdinfoEntry, FownEntry } from '@crts/image-io';
import type { Arg, FileRecord, Program, TaskPlan } from '@crts/plugin-api';
import { badImage } from './errors';
import type { FileOpener } from './file-planner';

const FD_CLOEXEC = 1;
const O_CLOEXEC = 0o2000000;
const F_SETSIG = 10;
const F_SETOWN_EX = 15;
const SIGNAL_MAX = 64;
const OWNER_TYPES = 2;

/**
 * Opens each description once, in the order of its lowest number, and hands it its numbers. Temporary descriptors take
 * the lowest free numbers and are gone when the pass ends, so a number in use is never one that is still to be given.
 */
export function planDescriptors(
  plan: TaskPlan,
  fdinfo: readonly FdinfoEntry[],
  files: ReadonlyMap<number, FileRecord>,
  opener: FileOpener,
): void {
  const byFile = new Map<number, FdinfoEntry[]>();
  for (const entry of fdinfo) byFile.set(entry.id, [...(byFile.get(entry.id) ?? []), entry]);
  for (const [id, [first, ...others]] of byFile) {
    const { handler } = opener.check(id);
    const numbers = [first!, ...others].map((entry) => entry.fd).join(', ');
    const what = `fd ${numbers}: ${opener.pathOf(id) ?? `file ${id}`}`;
    const owner = ownerOf(files.get(id)!, id);
    plan.pass(
      { plugin: handler.name, stage: 'resources', what, entry: `files.img id ${id}`, provides: [`fd:${first!.fd}`] },
      (program) => {
        const opened = opener.open(program, id);
        if (owner !== undefined) emitOwner(program, opened, owner);
        program.moveFd(opened, first!.fd, cloexec(first!), { what: `give it number ${first!.fd}` });
        for (const entry of others) {
          program.call('dup3', [first!.fd, entry.fd, cloexec(entry) ? O_CLOEXEC : 0], {
            what: `give it number ${entry.fd} too`,
          });
        }
      },
    );
  }
}

function cloexec(entry: FdinfoEntry): boolean {
  return (entry.flags & FD_CLOEXEC) !== 0;
}

function ownerOf(record: FileRecord, id: number): FownEntry | undefined {
  const fown = record.value.fown as FownEntry | undefined;
  if (fown === undefined || fown.pid === 0) return undefined;
  if (fown.signum > SIGNAL_MAX || fown.pid_type > OWNER_TYPES)
    throw badImage('CRTS_IMAGE_FIELD', 'files.img', `file ${id}: impossible owner`);
  return fown;
}

/** Signal and owner of SIGIO: man 2 fcntl, F_SETOWN_EX. */
function emitOwner(program: Program, fd: Arg, owner: FownEntry): void {
  if (owner.signum !== 0) program.call('fcntl', [fd, F_SETSIG, owner.signum]);
  const value = Buffer.alloc(8);
  value.writeInt32LE(owner.pid_type, 0);
  value.writeInt32LE(owner.pid, 4);
  program.call('fcntl', [fd, F_SETOWN_EX, program.bytes(value)]);
}
