import { FD_HANDLER, type Plugin } from '@crts/plugin-api';
import { pidfdHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/fd-pidfd',
  register: (container) => container.register(FD_HANDLER, { useValue: pidfdHandler }),
};
