import { type Plugin, TASK_STATE_HANDLER } from '@crts/plugin-api';
import { seccompHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/task-seccomp',
  register: (container) => container.register(TASK_STATE_HANDLER, { useValue: seccompHandler }),
};
