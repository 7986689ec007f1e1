export { dedupImages } from './dedup';
export * from './dump';
export * from './pre-dump';
export { pageStoreOf } from './registry';
export * from './requests';
export * from './restore';
