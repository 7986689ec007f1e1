/** The end of an instance's restore: watches, when nothing that crts does is left to be reported by them. */
import { type Finder, ghostLookup, reachTarget, resolveTarget, type Target, withFinder } from '@crts/file-handles';
import type { InotifyFileEntry, InotifyWdEntry } from '@crts/image-io';
import type { FdPlanContext, Settlement } from '@crts/plugin-api';
import { watchGone } from './errors';
import { inotifyKernel } from './kernel';
import { provokeOverflow, touch } from './provoke';
import { addWatches, type Watch } from './watches';

interface Planned {
  readonly entry: InotifyWdEntry;
  readonly target: Target;
}

export function settleInstance(value: InotifyFileEntry, context: FdPlanContext): Settlement | undefined {
  const { log, options } = context;
  const provoke = options.inotifyEvents === 'provoke' && (value.crts_queued_bytes ?? 0) > 0;
  if (value.wd.length === 0 && !provoke) return undefined;
  const planned = planWatches(value.wd, context);
  return {
    what: `${planned.length} watches${provoke ? ', and events for those that were queued' : ''}`,
    run: (local) => {
      const kernel = inotifyKernel(local);
      if (provoke) provokeOverflow(kernel, log);
      withFinder((finder) => {
        const watches = planned.map((one) => watchOf(one, finder));
        addWatches(kernel, watches);
        if (provoke) touch(watches, log);
      });
    },
  };
}

/** fdinfo, and so the image, has the newest watch first: they come back in the order in which they were added. */
function planWatches(entries: readonly InotifyWdEntry[], context: FdPlanContext): Planned[] {
  if (entries.length === 0) return [];
  const ghosts = ghostLookup(context);
  const ordered = [...entries].reverse();
  return withFinder((finder) =>
    ordered.map((entry) => {
      const { wd, s_dev, i_ino, f_handle } = entry;
      const { path } = f_handle;
      const target = resolveTarget({ device: s_dev, ino: i_ino, entry: f_handle }, finder, ghosts);
      if (target === undefined) throw watchGone(wd, path);
      if (target.kind === 'object' && path !== undefined)
        context.log.info({ wd, path }, 'inotify: what was watched has another name now');
      if (target.kind === 'path' && target.isReplaced)
        context.log.warn({ wd, path }, 'inotify: another object has the name of what was watched');
      return { entry, target };
    }),
  );
}

function watchOf({ entry, target }: Planned, finder: Finder): Watch {
  const { wd, f_handle, i_ino } = entry;
  return {
    wd,
    mask: entry.mask,
    name: f_handle.path ?? `inode ${i_ino}`,
    reach: (use) => {
      const result = reachTarget(target, finder, use);
      if (result === undefined) throw watchGone(wd, f_handle.path);
      return result;
    },
  };
}
