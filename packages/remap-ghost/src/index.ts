import { type Plugin, REMAP_HANDLER } from '@crts/plugin-api';
import { ghostHandler } from './ghost';
import { linkedHandler } from './linked';

export const plugin: Plugin = {
  name: '@crts/remap-ghost',
  register: (container) => {
    container.register(REMAP_HANDLER, { useValue: ghostHandler });
    container.register(REMAP_HANDLER, { useValue: linkedHandler });
  },
};
