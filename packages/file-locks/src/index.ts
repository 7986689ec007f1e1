import { type Plugin, TASK_STATE_HANDLER } from '@crts/plugin-api';
import { locksHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/file-locks',
  register: (container) => container.register(TASK_STATE_HANDLER, { useValue: locksHandler }),
};
