import { FD_HANDLER, type Plugin } from '@crts/plugin-api';
import { eventfdHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/fd-eventfd',
  register: (container) => container.register(FD_HANDLER, { useValue: eventfdHandler }),
};
