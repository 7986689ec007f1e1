import { type Plugin, VMA_HANDLER } from '@crts/plugin-api';
import { fileHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/mm-file',
  register: (container) => container.register(VMA_HANDLER, { useValue: fileHandler }),
};
