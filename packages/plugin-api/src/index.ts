export * from './brands';
export * from './errors';
export * from './facts';
export * from './handlers';
export * from './plan';
export * from './plugin';
export * from './program';
