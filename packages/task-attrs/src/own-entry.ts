import type { CoreEntry, CrtsThreadEntry } from '@crts/image-io';

/** What CRIU has no field for. */
export function ownEntry(core: CoreEntry): CrtsThreadEntry {
  core.thread_core!.crts ??= {};
  return core.thread_core!.crts;
}
