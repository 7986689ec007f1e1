import type { FifoEntry, RegFileEntry } from '@crts/image-io';
import {
  type Arg,
  externalFileName,
  type FdDumpContext,
  type FdFacts,
  type FdHandler,
  type FdPlanContext,
  type FileRecord,
  type Program,
} from '@crts/plugin-api';
import { O_PATH, reads } from './constants';
import { badEntry } from './errors';
import { noteFifo } from './fifo-dump';
import { type Fifo, openFifo, openFifos } from './fifo-plan';
import { checkData, pipeData } from './image';

const FD_TYPE_REG = 1;
const FD_TYPE_FIFO = 3;
const S_IFMT = 0o170000;
const S_IFIFO = 0o010000;
const DATA = 'fifo-data';

/** FIFOs: a pipe behind a name. The format has two entries for one description: the pipe, and the file that leads to it. */
export const fifoHandler: FdHandler = {
  name: 'fd-fifo',
  external: ['file'],

  match: (fd) => ((fd.mode & S_IFMT) === S_IFIFO && fd.link.startsWith('/') && (fd.flags & O_PATH) === 0 ? 20 : 0),

  dump(fd: FdFacts, context: FdDumpContext): FileRecord {
    const external = externalFileName(fd, context.options);
    const regf_id = context.addRecord((id) => {
      const value: RegFileEntry = {
        id,
        flags: fd.flags,
        pos: 0n,
        fown: context.fown as RegFileEntry['fown'],
        name: external ?? context.nameOf(fd, id),
        mode: fd.mode,
        build_id: [],
      };
      return { type: FD_TYPE_REG, field: 'reg', value: external === undefined ? value : { ...value, ext: true } };
    });
    const value: FifoEntry = { id: context.id, pipe_id: 0, regf_id };
    noteFifo(fd, value, context);
    return { type: FD_TYPE_FIFO, field: 'fifo', value };
  },

  owns(record: FileRecord): boolean {
    if (record.field === 'fifo') return true;
    const { mode = 0, flags = 0 } = record.value as Partial<RegFileEntry>;
    return record.field === 'reg' && (mode & S_IFMT) === S_IFIFO && (flags & O_PATH) === 0;
  },

  collect(record: FileRecord, context: FdPlanContext): void {
    if (record.field === 'reg') return;
    const { id, regf_id, pipe_id } = record.value as FifoEntry;
    if (regf_id === undefined) throw badEntry(`fifo_entry ${id}: no file that leads to it`);
    const { flags } = fileOf(record.value as FifoEntry, context);
    const found = pipeData(context, DATA).get(pipe_id);
    if (found !== undefined && reads(flags)) checkData(found, 'fifo-data.img');
  },

  group: (record) => (record.field === 'fifo' ? `fifo:${(record.value as FifoEntry).pipe_id}` : undefined),

  planGroup(records, program, context): readonly Arg[] {
    if (records[0]!.field === 'reg')
      return records.map((record) => openFifo(program, record.value as RegFileEntry, context));
    const fifos = records.map((record): Fifo => {
      const entry = record.value as FifoEntry;
      return { entry, file: fileOf(entry, context) };
    });
    return openFifos(fifos, pipeData(context, DATA).get(fifos[0]!.entry.pipe_id), program, context);
  },

  plan: (record: FileRecord, program: Program, context: FdPlanContext): Arg =>
    openFifo(
      program,
      record.field === 'reg' ? (record.value as RegFileEntry) : fileOf(record.value as FifoEntry, context),
      context,
    ),
};

function fileOf({ id, regf_id }: FifoEntry, context: FdPlanContext): RegFileEntry {
  const record = context.files.record(regf_id!);
  if (record.field !== 'reg') throw badEntry(`fifo_entry ${id}: file ${regf_id} is no file with a name`);
  return record.value as RegFileEntry;
}
