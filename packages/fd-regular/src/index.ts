import { FD_HANDLER, type Plugin } from '@crts/plugin-api';
import { regularHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/fd-regular',
  register: (container) => container.register(FD_HANDLER, { useValue: regularHandler }),
};
