import { FD_HANDLER, type Plugin } from '@crts/plugin-api';
import { deviceHandler } from './device';
import { socketHandler } from './socket';

export const plugin: Plugin = {
  name: '@crts/fd-external',
  register: (container) => {
    container.register(FD_HANDLER, { useValue: socketHandler });
    container.register(FD_HANDLER, { useValue: deviceHandler });
  },
};
