import { type Plugin, TASK_STATE_HANDLER } from '@crts/plugin-api';
import { timersHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/task-timers',
  register: (container) => container.register(TASK_STATE_HANDLER, { useValue: timersHandler }),
};
