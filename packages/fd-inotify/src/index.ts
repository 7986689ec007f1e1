import { FD_HANDLER, type Plugin } from '@crts/plugin-api';
import { inotifyHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/fd-inotify',
  register: (container) => container.register(FD_HANDLER, { useValue: inotifyHandler }),
};
