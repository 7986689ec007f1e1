import { FD_HANDLER, type Plugin } from '@crts/plugin-api';
import { epollHandler } from './handler';

export const plugin: Plugin = {
  name: '@crts/fd-epoll',
  register: (container) => container.register(FD_HANDLER, { useValue: epollHandler }),
};
