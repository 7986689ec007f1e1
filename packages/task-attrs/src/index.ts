import { type Plugin, TASK_STATE_HANDLER } from '@crts/plugin-api';
import { attributesHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/task-attrs',
  register: (container) => container.register(TASK_STATE_HANDLER, { useValue: attributesHandler }),
};
