import { FD_HANDLER, type Plugin } from '@crts/plugin-api';
import { unixHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/fd-unix',
  register: (container) => container.register(FD_HANDLER, { useValue: unixHandler }),
};
