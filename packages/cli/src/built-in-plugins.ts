import { plugin as fdChardev } from '@crts/fd-chardev';
import { plugin as fdEpoll } from '@crts/fd-epoll';
import { plugin as fdEventfd } from '@crts/fd-eventfd';
import { plugin as fdExternal } from '@crts/fd-external';
import { plugin as fdFanotify } from '@crts/fd-fanotify';
import { plugin as fdInotify } from '@crts/fd-inotify';
import { plugin as fdMemfd } from '@crts/fd-memfd';
import { plugin as fdPidfd } from '@crts/fd-pidfd';
import { plugin as fdPipe } from '@crts/fd-pipe';
import { plugin as fdRegular } from '@crts/fd-regular';
import { plugin as fdSignalfd } from '@crts/fd-signalfd';
import { plugin as fdTimerfd } from '@crts/fd-timerfd';
import { plugin as fdTty } from '@crts/fd-tty';
import { plugin as fdUnix } from '@crts/fd-unix';
import { plugin as fileLocks } from '@crts/file-locks';
import { plugin as mmAio } from '@crts/mm-aio';
import { plugin as mmAnon } from '@crts/mm-anon';
import { plugin as mmFile } from '@crts/mm-file';
import { plugin as mmLayout } from '@crts/mm-layout';
import { plugin as mmPagemap } from '@crts/mm-pagemap';
import { plugin as mmShmem } from '@crts/mm-shmem';
import { plugin as mmSysv } from '@crts/mm-sysv';
import { plugin as mmVdso } from '@crts/mm-vdso';
import type { Plugin } from '@crts/plugin-api';
import { plugin as remapGhost } from '@crts/remap-ghost';
import { plugin as remapProc } from '@crts/remap-proc';
import { plugin as taskAttrs } from '@crts/task-attrs';
import { plugin as taskCgroups } from '@crts/task-cgroups';
import { plugin as taskCreds } from '@crts/task-creds';
import { plugin as taskFs } from '@crts/task-fs';
import { plugin as taskLimits } from '@crts/task-limits';
import { plugin as taskRegs } from '@crts/task-regs';
import { plugin as taskSeccomp } from '@crts/task-seccomp';
import { plugin as taskSignals } from '@crts/task-signals';
import { plugin as taskThreadArea } from '@crts/task-thread-area';
import { plugin as taskTimers } from '@crts/task-timers';

export const builtInPlugins: readonly Plugin[] = [
  fdChardev,
  fdEpoll,
  fdEventfd,
  fdMemfd,
  fdPidfd,
  fdPipe,
  fdExternal,
  fdFanotify,
  fdInotify,
  fdRegular,
  fdSignalfd,
  fdTimerfd,
  fdTty,
  fdUnix,
  fileLocks,
  mmAio,
  mmAnon,
  mmFile,
  mmLayout,
  mmPagemap,
  mmShmem,
  mmSysv,
  mmVdso,
  remapGhost,
  remapProc,
  taskAttrs,
  taskCgroups,
  taskCreds,
  taskFs,
  taskLimits,
  taskRegs,
  taskSeccomp,
  taskSignals,
  taskThreadArea,
  taskTimers,
];
