import { type Plugin, TASK_STATE_HANDLER } from '@crts/plugin-api';
import { cgroupsHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/task-cgroups',
  register: (container) => container.register(TASK_STATE_HANDLER, { useValue: cgroupsHandler }),
};
