import { type Plugin, VMA_HANDLER } from '@crts/plugin-api';
import { vdsoHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/mm-vdso',
  register: (container) => container.register(VMA_HANDLER, { useValue: vdsoHandler }),
};
