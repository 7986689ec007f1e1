import { FD_HANDLER, type Plugin } from '@crts/plugin-api';
import { fifoHandler } from './fifo';
import { pipeHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/fd-pipe',
  register(container) {
    container.register(FD_HANDLER, { useValue: pipeHandler });
    container.register(FD_HANDLER, { useValue: fifoHandler });
  },
};
