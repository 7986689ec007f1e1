import { type Plugin, TASK_STATE_HANDLER, VMA_HANDLER } from '@crts/plugin-api';
import { contexts } from './contexts';
import { ringHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/mm-aio',
  register: (container) => {
    container.register(VMA_HANDLER, { useValue: ringHandler });
    container.register(TASK_STATE_HANDLER, { useValue: contexts });
  },
};
