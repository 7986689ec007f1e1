import type { FanotifyFileEntry } from '@crts/image-io';
import type { Arg, FdHandler, FdPlanContext, FileRecord, Program } from '@crts/plugin-api';
import { dumpGroup } from './dump';
import { FAN_NONBLOCK } from './flags';
import { checkGroup } from './image';
import { settleGroup } from './settle';

const O_NONBLOCK = 0o4000;
const F_SETFL = 4;

export const fanotifyHandler: FdHandler = {
  name: 'fd-fanotify',

  match: (fd) => (/^anon_inode:\[?fanotify\]?$/.test(fd.link) ? 10 : 0),

  dump: dumpGroup,

  owns: (record) => record.field === 'ffy',

  collect(record: FileRecord): void {
    checkGroup(record.value as FanotifyFileEntry);
  },

  plan(record: FileRecord, program: Program): Arg {
    const { flags, faflags, evflags } = record.value as FanotifyFileEntry;
    const fd = program.call('fanotify_init', [faflags, evflags], { what: 'make a fanotify group' });
    // The program may have changed its mind with fcntl(2); the group remembers how it was made.
    if (((flags & O_NONBLOCK) !== 0) !== ((faflags & FAN_NONBLOCK) !== 0))
      program.call('fcntl', [fd, F_SETFL, flags], { what: 'set its status flags' });
    return fd;
  },

  settle: (record: FileRecord, context: FdPlanContext) => settleGroup(record.value as FanotifyFileEntry, context),
};
