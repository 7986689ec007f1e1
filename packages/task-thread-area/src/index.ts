import { type Plugin, TASK_STATE_HANDLER } from '@crts/plugin-api';
import { threadAreaHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/task-thread-area',
  register: (container) => container.register(TASK_STATE_HANDLER, { useValue: threadAreaHandler }),
};
