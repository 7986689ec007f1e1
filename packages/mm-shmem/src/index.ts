import { type Plugin, VMA_HANDLER } from '@crts/plugin-api';
import { sharedHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/mm-shmem',
  register: (container) => container.register(VMA_HANDLER, { useValue: sharedHandler }),
};
