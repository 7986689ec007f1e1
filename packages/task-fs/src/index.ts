import { type Plugin, TASK_STATE_HANDLER } from '@crts/plugin-api';
import { fsHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/task-fs',
  register: (container) => container.register(TASK_STATE_HANDLER, { useValue: fsHandler }),
};
