import { FD_HANDLER, type Plugin } from '@crts/plugin-api';
import { signalfdHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/fd-signalfd',
  register: (container) => container.register(FD_HANDLER, { useValue: signalfdHandler }),
};
