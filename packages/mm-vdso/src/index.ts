import { type Plugin, TASK_STATE_HANDLER, VMA_HANDLER } from '@crts/plugin-api';
import { vdsoMapping } from './handler';
import { vdsoState } from './state';

export const plugin: Plugin = {
  name: '@crts/mm-vdso',
  register: (container) => {
    container.register(VMA_HANDLER, { useValue: vdsoMapping() });
    container.register(TASK_STATE_HANDLER, { useValue: vdsoState() });
  },
};
