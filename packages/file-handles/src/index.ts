export { Finder, type FinderOptions, type Found, type WatchedObject } from './finder';
export {
  type FileHandle,
  HANDLE_BYTES_MAX,
  handleEntry,
  handleOf,
  parseFileHandle,
  pathArgument,
} from './handle';
export { type Mount, parseMountinfo } from './mounts';
export {
  type GhostLookup,
  ghostLookup,
  type RecordedObject,
  reachTarget,
  resolveTarget,
  type Target,
  withFinder,
} from './resolve';
