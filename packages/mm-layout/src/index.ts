import { type Plugin, TASK_STATE_HANDLER } from '@crts/plugin-api';
import { layoutHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/mm-layout',
  register: (container) => container.register(TASK_STATE_HANDLER, { useValue: layoutHandler }),
};
