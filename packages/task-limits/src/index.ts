import { type Plugin, TASK_STATE_HANDLER } from '@crts/plugin-api';
import { limitsHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/task-limits',
  register: (container) => container.register(TASK_STATE_HANDLER, { useValue: limitsHandler }),
};
