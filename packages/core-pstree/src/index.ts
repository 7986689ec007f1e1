export { dedupImages } from './dedup';
export * from './dump';
export * from './pre-dump';
export * from './requests';
export * from './restore';
