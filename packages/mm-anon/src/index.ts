import { type Plugin, VMA_HANDLER } from '@crts/plugin-api';
import { anonymousHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/mm-anon',
  register: (container) => container.register(VMA_HANDLER, { useValue: anonymousHandler }),
};
