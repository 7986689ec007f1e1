import type { AioRingEntry, MmEntry } from '@crts/image-io';
import type { FrozenTask, Program, TaskStateHandler } from '@crts/plugin-api';
import { notItsOwn } from './errors';
import { isRing, rangeOf } from './handler';
import { EVENT_BYTES, HEADER_BYTES, requestsOf } from './ring';

/** Contexts belong to the process: its rings are asked whether they have one. */
export const contexts: TaskStateHandler = {
  name: 'mm-aio',

  dump(task: FrozenTask, program: Program) {
    const asked = task.facts.vmas.filter(isRing).map((vma) => ({
      vma,
      // No event is taken; EINVAL where no context of the process is at this address.
      result: program.call('io_getevents', [vma.start, 0, 0, null, null], { expect: 'any' }),
    }));
    return () => {
      const aios: AioRingEntry[] = [];
      for (const { vma, result } of asked) {
        const length = Number(vma.end - vma.start);
        const nr = (length - HEADER_BYTES) / EVENT_BYTES;
        const isWhole = vma.offset === 0n && task.readMemory(vma.start + 4n, 4).readUInt32LE(0) === nr;
        if (result.value !== 0n || !isWhole) throw notItsOwn(task.pid, rangeOf(vma));
        aios.push({ id: vma.start, nr_req: requestsOf(nr), ring_len: length });
      }
      if (aios.length > 0) (task.images.mm as MmEntry).aios = aios;
    };
  },
};
