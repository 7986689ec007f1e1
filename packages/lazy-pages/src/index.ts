export type { Served } from './daemon';
export { type LazyRequest, serveLazily } from './serve';
export { LocalSupply, RemoteSupply, type Supply } from './supply';
