import { FD_HANDLER, type Plugin } from '@crts/plugin-api';
import { terminalHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/fd-tty',
  register: (container) => container.register(FD_HANDLER, { useValue: terminalHandler }),
};
