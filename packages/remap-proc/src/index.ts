import { type Plugin, REMAP_HANDLER } from '@crts/plugin-api';
import { procHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/remap-proc',
  register: (container) => container.register(REMAP_HANDLER, { useValue: procHandler }),
};
