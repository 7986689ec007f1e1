import { type Plugin, VMA_HANDLER } from '@crts/plugin-api';
import { sysvHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/mm-sysv',
  register: (container) => container.register(VMA_HANDLER, { useValue: sysvHandler }),
};
