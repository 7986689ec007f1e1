import { FD_HANDLER, type Plugin, TASK_STATE_HANDLER } from '@crts/plugin-api';
import { memfdHandler } from './handler';
import { sealing } from './sealing';

export const plugin: Plugin = {
  name: '@crts/fd-memfd',
  register: (container) => {
    container.register(FD_HANDLER, { useValue: memfdHandler });
    container.register(TASK_STATE_HANDLER, { useValue: sealing });
  },
};
