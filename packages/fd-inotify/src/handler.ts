import type { InotifyFileEntry } from '@crts/image-io';
import type { Arg, FdHandler, FdPlanContext, FileRecord, Program } from '@crts/plugin-api';
import { dumpInstance } from './dump';
import { checkInstance } from './image';
import { settleInstance } from './settle';

const O_NONBLOCK = 0o4000;

export const inotifyHandler: FdHandler = {
  name: 'fd-inotify',

  // "anon_inode:inotify" as the kernel calls it; some versions put brackets around it, as around other kinds.
  match: (fd) => (/^anon_inode:\[?inotify\]?$/.test(fd.link) ? 10 : 0),

  dump: dumpInstance,

  owns: (record) => record.field === 'ify',

  collect(record: FileRecord): void {
    checkInstance(record.value as InotifyFileEntry);
  },

  /** Without watches yet: files are opened and closed until the program runs, and it must not hear of that. */
  plan(record: FileRecord, program: Program): Arg {
    const { flags } = record.value as InotifyFileEntry;
    return program.call('inotify_init1', [flags & O_NONBLOCK], { what: 'make an inotify instance' });
  },

  settle: (record: FileRecord, context: FdPlanContext) => settleInstance(record.value as InotifyFileEntry, context),
};
