export * from './dump';
export * from './requests';
export * from './restore';
