import { FD_HANDLER, type Plugin } from '@crts/plugin-api';
import { timerfdHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/fd-timerfd',
  register: (container) => container.register(FD_HANDLER, { useValue: timerfdHandler }),
};
