import type { RestoreContext, TaskImages, TaskPlan, TaskStateHandler } from '@crts/plugin-api';
import { notSealed } from './errors';
import { checkedInode, heldInode, SEAL } from './inode';

const F_ADD_SEALS = 1033;

/**
 * Seals come when all contents and mappings are there: F_SEAL_WRITE forbids to fill, F_SEAL_FUTURE_WRITE to map for
 * writing what was mapped before it was set.
 */
export const sealing: TaskStateHandler = {
  name: 'fd-memfd',

  plan(_images: TaskImages, plan: TaskPlan, context: RestoreContext): void {
    for (const item of context.items('memfd')) {
      const inode = checkedInode(item);
      // One that is made without MFD_ALLOW_SEALING has this seal from the start.
      if (inode.seals === 0 || inode.seals === SEAL.seal) continue;
      if (!context.shared.first(`memfd:${inode.inode_id}:seals`)) continue;
      plan.pass({ plugin: 'fd-memfd', stage: 'sigchld', what: `seal /memfd:${inode.name}` }, (program) => {
        const fd = program.receiveFd(heldInode(context.shared, inode));
        program.call('fcntl', [fd, F_ADD_SEALS, inode.seals], {
          what: `seals 0x${inode.seals.toString(16)}`,
          fail: (errno) => notSealed(inode.name, inode.seals, errno),
        });
        program.call('close', [fd]);
      });
    }
  },
};
