import type { RegFileEntry } from '@crts/image-io';
import { encodeName, type RemapPlanContext } from '@crts/plugin-api';
import { badLink } from './errors';

const PATH_MAX = 4096;

/** The name in a reg_file_entry. @throws CrtsError CRTS_IMAGE_REFERENCE */
export function nameOfRecord(id: number, context: Pick<RemapPlanContext, 'record'>): string {
  const record = context.record(id);
  if (record?.field !== 'reg') throw badLink(id, 'it is no file with a name');
  const { name } = record.value as RegFileEntry;
  if (!name.startsWith('/') || name.endsWith('/') || name.includes('\0') || encodeName(name).length >= PATH_MAX)
    throw badLink(id, `"${name}" is no absolute path of a file`);
  return name;
}

export function modeOfRecord(id: number, context: Pick<RemapPlanContext, 'record'>): number | undefined {
  return (context.record(id)?.value as RegFileEntry | undefined)?.mode;
}
