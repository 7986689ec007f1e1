import type { PipeEntry } from '@crts/image-io';
import type { Arg, FdDumpContext, FdFacts, FdHandler, FdPlanContext, FileRecord } from '@crts/plugin-api';
import { noteEnd } from './dump';
import { badEntry, notHandedBack } from './errors';
import { checkPipe, pipeData } from './image';
import { inheritKey, openInherited } from './inherited';
import { makePipe } from './plan';

const FD_TYPE_PIPE = 2;
const S_IFMT = 0o170000;
const S_IFIFO = 0o010000;

export const pipeHandler: FdHandler = {
  name: 'fd-pipe',
  external: ['pipe'],

  match: (fd) => ((fd.mode & S_IFMT) === S_IFIFO && fd.link.startsWith('pipe:[') ? 10 : 0),

  dump(fd: FdFacts, context: FdDumpContext): FileRecord {
    const value: PipeEntry = {
      id: context.id,
      pipe_id: Number(fd.ino),
      flags: fd.flags,
      fown: context.fown as PipeEntry['fown'],
      crts_uid: fd.uid,
      crts_gid: fd.gid,
      crts_mode: fd.mode,
    };
    noteEnd(fd, value, context);
    return { type: FD_TYPE_PIPE, field: 'pipe', value };
  },

  owns: (record) => record.field === 'pipe',

  collect(record: FileRecord, context: FdPlanContext): void {
    const entry = record.value as PipeEntry;
    checkPipe(entry, pipeData(context));
    if (entry.crts_outside === true && context.options.inherit?.fdFor(inheritKey(entry.pipe_id)) === undefined)
      throw notHandedBack(entry);
  },

  group: (record) => `pipe:${(record.value as PipeEntry).pipe_id}`,

  planGroup(records, program, context): readonly Arg[] {
    const entries = records.map((record) => record.value as PipeEntry);
    const pipeId = entries[0]!.pipe_id;
    const inherited = context.options.inherit?.fdFor(inheritKey(pipeId));
    if (inherited === undefined) return makePipe(entries, program, pipeData(context), context.scratch);
    return entries.map(({ flags }) => openInherited(program, inherited, pipeId, flags));
  },

  /** Only what refers to a file, not to a descriptor, asks for one without its group: a working directory, a mapping. */
  plan(record: FileRecord): Arg {
    throw badEntry(`pipe_entry ${(record.value as PipeEntry).id}: a pipe in the place of a file`);
  },
};
