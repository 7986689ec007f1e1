import { type Plugin, TASK_STATE_HANDLER } from '@crts/plugin-api';
import { registersHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/task-regs',
  register: (container) => container.register(TASK_STATE_HANDLER, { useValue: registersHandler }),
};
