import 'reflect-metadata';
import {
  type ExternalResources,
  FD_HANDLER,
  type FdHandler,
  type Logger,
  PAGE_STORE,
  type PageStore,
  type Plugin,
  REMAP_HANDLER,
  type RemapHandler,
  TASK_STATE_HANDLER,
  type TaskStateHandler,
  VMA_HANDLER,
  type VmaHandler,
} from '@crts/plugin-api';
import { type DependencyContainer, container as root } from 'tsyringe';
import { foreignExternal, noHandler, noPageStore, pluginFailed, twoHandlers } from './errors';

/** The handlers of one run, by contract. */
export interface Registry {
  readonly fd: readonly FdHandler[];
  readonly vma: readonly VmaHandler[];
  readonly taskState: readonly TaskStateHandler[];
  readonly remaps: readonly RemapHandler[];
  readonly pages: PageStore;
}

/** Registers the plugins in a container of this run's own and takes out what they registered. */
export function buildRegistry(plugins: readonly Plugin[]): Registry {
  const container = root.createChildContainer();
  for (const plugin of plugins) {
    try {
      plugin.register(container);
    } catch (error) {
      throw pluginFailed(plugin.name, error);
    }
  }
  const [pages, second] = all<PageStore>(container, PAGE_STORE);
  if (pages === undefined) throw noPageStore();
  if (second !== undefined) throw twoHandlers('page contents', pages.name, second.name);
  return {
    fd: all(container, FD_HANDLER, 'match', 'dump', 'owns', 'plan'),
    vma: all(container, VMA_HANDLER, 'match', 'dump', 'owns', 'plan'),
    taskState: all(container, TASK_STATE_HANDLER),
    remaps: all(container, REMAP_HANDLER, 'match', 'dump', 'owns', 'plan'),
    pages,
  };
}

/** The one that the plugins bring, for servers of pages. */
export function pageStoreOf(plugins: readonly Plugin[]): PageStore {
  return buildRegistry(plugins).pages;
}

function all<T extends { readonly name: string }>(
  container: DependencyContainer,
  token: symbol,
  ...methods: (keyof T & string)[]
): T[] {
  // resolveAll throws when nothing is registered.
  const handlers = container.isRegistered(token) ? container.resolveAll<T>(token) : [];
  for (const handler of handlers) {
    if (typeof handler?.name !== 'string') throw noHandler(String(token.description), 'a handler without a name');
    const lacking = methods.find((method) => typeof handler[method] !== 'function');
    if (lacking !== undefined) throw noHandler(handler.name, `a handler without ${lacking}()`);
  }
  return handlers;
}

/**
 * Types of CRIU for what a tree in the namespaces of crts does not have: mounts of its own, devices of a network of its own. CRIU
 * heeds none of them there either, and whoever drives it passes them always.
 */
const OF_NAMESPACES = ['mnt', 'net', 'netdev', 'veth', 'macvlan', 'pid'] as const;

/** A type that nobody heeds would be taken for heeded. */
export function checkExternal(registry: Registry, external: ExternalResources | undefined): void {
  const heeded = new Set<string>([...OF_NAMESPACES, ...registry.fd.flatMap((handler) => handler.external ?? [])]);
  const foreign = external?.all.find(({ kind }) => !heeded.has(kind));
  if (foreign !== undefined) throw foreignExternal(foreign.kind, foreign.id);
}

/** What was left outside, or handed back, and nobody asked for: a mistyped number looks like this. */
export function reportUnused(unused: readonly string[] | undefined, log: Logger, option: UnusedOption): void {
  for (const key of unused ?? [])
    log.warn({ code: UNUSED[option].code, key }, `${option} ${key}: ${UNUSED[option].text}`);
}

type UnusedOption = '--external' | '--inherit-fd';

const UNUSED = {
  '--external': {
    code: 'CRTS_EXTERNAL_UNUSED',
    text: 'the program has no such resource; see /proc/PID/fd and /proc/PID/fdinfo for its numbers',
  },
  '--inherit-fd': {
    code: 'CRTS_INHERIT_UNUSED',
    text: 'the images have no such resource, so the descriptor is not used; crts restore --dry-run --explain shows their names',
  },
} as const;

/** The handler with the best score; undefined when none fits, an error when two fit equally well. */
export function bestHandler<T extends { readonly name: string }>(
  handlers: readonly T[],
  score: (handler: T) => number,
  what: () => string,
): T | undefined {
  let best: T | undefined;
  let bestScore = 0;
  let rival: T | undefined;
  for (const handler of handlers) {
    const points = score(handler);
    if (points > bestScore) [best, bestScore, rival] = [handler, points, undefined];
    else if (points === bestScore && points > 0) rival = handler;
  }
  if (best !== undefined && rival !== undefined) throw twoHandlers(what(), best.name, rival.name);
  return best;
}
