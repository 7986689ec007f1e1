import { type Plugin, TASK_STATE_HANDLER } from '@crts/plugin-api';
import { signalsHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/task-signals',
  register: (container) => container.register(TASK_STATE_HANDLER, { useValue: signalsHandler }),
};
