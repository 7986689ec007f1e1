/** The controlling terminal of a session whose leader is in the dump: only where --inherit-fd hands one back. */
import type { TtyInfoEntry } from '@crts/image-io';
import type { ImageRecord, Program, TaskPlan, TaskStateHandler } from '@crts/plugin-api';
import { notControlling } from './errors';
import { externalKey, handedBack } from './external';
import { TTY_TYPE } from './kinds';

const TIOCSCTTY = 0x540e;
const TIOCSPGRP = 0x5410;

export const controllingHandler: TaskStateHandler = {
  name: 'fd-tty',

  plan(_images, plan, { items, options }) {
    const infos = items('tty-info').map(({ value }) => value as ImageRecord & TtyInfoEntry);
    const info = infos.find((one) => one.sid === plan.pid && one.type !== TTY_TYPE.controlling);
    if (info === undefined) return;
    const source = handedBack(info, info.type === TTY_TYPE.external, options);
    if (source !== undefined) planControlling(plan, info, source);
  },
};

/** Children get it by fork(2): __proc_set_tty(), drivers/tty/tty_jobctrl.c, gives it to the leader alone. */
function planControlling(plan: TaskPlan, info: TtyInfoEntry, source: number): void {
  const key = externalKey(info);
  const withTerminal = (program: Program, use: (fd: ReturnType<Program['receiveFd']>) => void) => {
    const fd = program.receiveFd(source, { what: `take ${key}, by descriptor ${source} of the caller` });
    use(fd);
    program.call('close', [fd]);
  };
  plan.leading({ plugin: 'fd-tty', what: `${key}: the controlling terminal` }, (program) =>
    withTerminal(program, (fd) =>
      program.call('ioctl', [fd, TIOCSCTTY, 0], {
        what: 'make it the controlling terminal',
        fail: (errno) => notControlling(key, source, errno),
      }),
    ),
  );
  if (info.pgrp === 0) return;
  plan.pass({ plugin: 'fd-tty', stage: 'sigchld', what: `${key}: the foreground process group` }, (program) =>
    withTerminal(program, (fd) => {
      const group = Buffer.alloc(4);
      group.writeInt32LE(info.pgrp);
      // A group whose members have all ended stays in the foreground, and cannot be put there again.
      program.call('ioctl', [fd, TIOCSPGRP, program.bytes(group)], { what: `group ${info.pgrp}`, expect: 'any' });
    }),
  );
}
