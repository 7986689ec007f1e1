import { FD_HANDLER, type Plugin, TASK_STATE_HANDLER } from '@crts/plugin-api';
import { controllingHandler } from './controlling';
import { terminalHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/fd-tty',
  register: (container) => {
    container.register(FD_HANDLER, { useValue: terminalHandler });
    container.register(TASK_STATE_HANDLER, { useValue: controllingHandler });
  },
};
