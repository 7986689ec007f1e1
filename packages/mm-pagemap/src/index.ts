import { PAGE_STORE, type Plugin } from '@crts/plugin-api';
import { pageStore } from './store';

export const plugin: Plugin = {
  name: '@crts/mm-pagemap',
  register: (container) => container.register(PAGE_STORE, { useValue: pageStore }),
};
