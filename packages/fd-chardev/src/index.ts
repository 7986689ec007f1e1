import { FD_HANDLER, type Plugin } from '@crts/plugin-api';
import { chardevHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/fd-chardev',
  register: (container) => container.register(FD_HANDLER, { useValue: chardevHandler }),
};
