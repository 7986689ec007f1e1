import { type Plugin, TASK_STATE_HANDLER } from '@crts/plugin-api';
import { layoutHandler } from './handler';
import { locksAndSeals } from './locks-and-seals';
import { memoryPolicies } from './memory-policies';
import { protectionKeys } from './protection-keys';

export const plugin: Plugin = {
  name: '@crts/mm-layout',
  register: (container) => {
    container.register(TASK_STATE_HANDLER, { useValue: layoutHandler });
    container.register(TASK_STATE_HANDLER, { useValue: protectionKeys() });
    container.register(TASK_STATE_HANDLER, { useValue: locksAndSeals });
    container.register(TASK_STATE_HANDLER, { useValue: memoryPolicies });
  },
};
