import { type Plugin, TASK_STATE_HANDLER } from '@crts/plugin-api';
import { credentialsHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/task-creds',
  register: (container) => container.register(TASK_STATE_HANDLER, { useValue: credentialsHandler }),
};
