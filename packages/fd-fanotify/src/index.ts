import { FD_HANDLER, type Plugin, TASK_STATE_HANDLER } from '@crts/plugin-api';
import { fanotifyHandler } from './handler';
import { permissionHandler } from './refuse';

export const plugin: Plugin = {
  name: '@crts/fd-fanotify',
  register: (container) => {
    container.register(FD_HANDLER, { useValue: fanotifyHandler });
    container.register(TASK_STATE_HANDLER, { useValue: permissionHandler });
  },
};
