import { CrtsError, type FdFacts } from '@crts/plugin-api';
import { fdKind } from './fd-kinds';

const refused = (code: string, pid: number | undefined, what: string, hint: string, more: object = {}): CrtsError =>
  new CrtsError({ code, kind: 'refused', pid, what, hint, stage: 'dump', ...more });

export function twoHandlers(what: string, first: string, second: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_PLUGIN_CONFLICT',
    kind: 'refused',
    what: `${first} and ${second} both claim ${what}`,
    hint: 'Remove one of the two plugins.',
  });
}

export function noPageStore(): CrtsError {
  return new CrtsError({
    code: 'CRTS_PLUGIN_MISSING',
    kind: 'refused',
    what: 'no plugin stores page contents',
    hint: 'Add @crts/mm-pagemap.',
  });
}

export function pluginFailed(name: string, cause: unknown): CrtsError {
  return new CrtsError({
    code: 'CRTS_PLUGIN_REGISTER',
    plugin: name,
    what: `the plugin cannot be registered: ${cause instanceof Error ? cause.message : String(cause)}`,
    hint: 'Report it to the author of the plugin.',
    cause,
  });
}

/** Third-party plugins may be written in JavaScript: what they give is looked at. */
export function noHandler(plugin: string, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_PLUGIN_SHAPE',
    kind: 'refused',
    plugin,
    what: `it registers ${what}`,
    hint: 'See docs/plugin-authors.md; the author of the plugin has to mend it.',
  });
}

export function pluginMistake(plugin: string, what: string, pid?: number, fd?: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_PLUGIN_MISTAKE',
    kind: 'bug',
    plugin,
    pid,
    fd,
    what,
    hint: 'This is a mistake in the plugin: report it to its author.',
  });
}

export function noSuchTask(pid: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_NO_TASK',
    kind: 'refused',
    pid,
    stage: 'dump',
    what: 'there is no such process',
    errno: 'ESRCH',
    hint: 'Check the pid given with -t.',
  });
}

/** Numbers of threads are in /proc too, but not in its listing. */
export function notMainThread(tid: number, pid: number): CrtsError {
  return refused('CRTS_NO_TASK', tid, `this is a thread of process ${pid}`, `Dump the process: -t ${pid}.`);
}

export function notOurs(
  pid: number,
  errno: string | undefined,
  tracer: string,
  call = 'ptrace(PTRACE_SEIZE)',
): CrtsError {
  const hint =
    tracer === '0'
      ? 'crts needs root (CAP_SYS_PTRACE and CAP_CHECKPOINT_RESTORE); in a container, also a seccomp profile that allows ptrace.'
      : `Process ${tracer} traces it (a debugger, strace?): detach that first.`;
  return refused('CRTS_SEIZE', pid, 'the task cannot be stopped', hint, { call, errno });
}

export function zombie(pid: number): CrtsError {
  return refused(
    'CRTS_ZOMBIE',
    pid,
    'the task is dead already (a zombie)',
    'Only its parent can do something about it.',
  );
}

export function kernelThread(pid: number): CrtsError {
  return refused('CRTS_KERNEL_THREAD', pid, 'this is a thread of the kernel', 'Only user programs can be dumped.');
}

export function deadMainThread(pid: number): CrtsError {
  return refused(
    'CRTS_MAIN_THREAD_DEAD',
    pid,
    'the main thread of the process has ended while others go on, which nobody can make again',
    'Dump it when the other threads have ended too.',
  );
}

export function ownTree(pid: number): CrtsError {
  return refused(
    'CRTS_OWN_TREE',
    pid,
    'crts itself is part of the tree',
    'Start crts from outside: from another shell, or as a process of its own (setsid, systemd-run).',
  );
}

export function cannotTrack(pid: number, errno: string | undefined): CrtsError {
  return refused(
    'CRTS_TRACK_MEM',
    pid,
    'the kernel does not keep track of what the task writes',
    'Tracking needs Linux 6.7 with CONFIG_USERFAULTFD and asynchronous write protection; dump without --track-mem.',
    { call: 'ioctl(UFFDIO_API, UFFD_FEATURE_WP_ASYNC)', errno },
  );
}

export function noParentSet(path: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_PARENT_SET',
    kind: 'refused',
    stage: 'dump',
    path,
    what: 'the image set that this one is to build on cannot be opened',
    errno,
    hint: 'The path of --prev-images-dir is meant from the images directory (-D), as with criu.',
  });
}

export function preDumped(): CrtsError {
  return new CrtsError({
    code: 'CRTS_PRE_DUMP',
    kind: 'refused',
    stage: 'restore',
    path: 'inventory.img',
    what: 'the images are those of a pre-dump, which has memory alone',
    hint: 'Restore the set that crts dump made with --prev-images-dir.',
  });
}

export function deduplicated(): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGES_DEDUPLICATED',
    kind: 'refused',
    stage: 'restore',
    path: 'crts-deduplicated',
    what: 'pages were taken out of these images, by dedup for a later set or by a restore with --auto-dedup',
    hint: 'Restore the set that builds on this one.',
  });
}

export function escaping(pid: number, passes: number): CrtsError {
  return refused(
    'CRTS_ESCAPING',
    pid,
    `new processes appeared in each of ${passes} passes over the tree`,
    'Put the tree into a cgroup and give that with --freeze-cgroup.',
  );
}

/** @param waitedFor a thread that has not stopped, and its state */
export function notFrozenInTime(
  root: number,
  seconds: number,
  waitedFor: { readonly tid: number; readonly state: string } | undefined,
): CrtsError {
  const who = waitedFor === undefined ? '' : `: thread ${waitedFor.tid} goes on (state ${waitedFor.state})`;
  return new CrtsError({
    code: 'CRTS_TIMEOUT',
    pid: root,
    stage: 'dump',
    what: `the tree could not be stopped in ${seconds} s${who}`,
    hint:
      waitedFor?.state === 'D'
        ? 'It waits for something that nothing interrupts, as a file system that hangs: try again later, or with more --timeout.'
        : 'Try again, or with more --timeout.',
  });
}

export function foreignExternal(kind: string, id: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_EXTERNAL_KIND',
    kind: 'refused',
    what: `--external ${kind}[${id}]: no plugin leaves resources of type "${kind}" outside`,
    hint: 'Install the plugin for it (--plugin), or leave the option out if the program does not have such a resource.',
  });
}

export function foreignSession(pid: number, sid: number): CrtsError {
  return refused(
    'CRTS_SESSION',
    pid,
    `the leader of its session (${sid}) is not part of the dump`,
    'Start the program with setsid, or pass --shell-job to dump and restore it as a job of your shell.',
  );
}

/** A directory sends signals only for F_NOTIFY, which makes the caller the owner: fcntl_dirnotify(), fs/notify/dnotify/dnotify.c. */
export function directoryNotify(pid: number, fd: number, path: string): CrtsError {
  return refused(
    'CRTS_DNOTIFY',
    pid,
    'the directory has an owner for signals: the program asked to be told of changes (F_NOTIFY), and the kernel does not say of which',
    'Dump when the program has closed it; inotify is carried.',
    { fd, path },
  );
}

export function noFreeNumbers(needed: number, limit: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_FD_NUMBERS',
    stage: 'restore',
    what: `the images leave no ${needed} free numbers of descriptors in a row, which a restore needs (limit ${limit})`,
    hint: 'Run crts with a higher limit: ulimit -n.',
  });
}

export function numberBeyondLimit(number: number, limit: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_FD_NUMBERS',
    stage: 'restore',
    what: `the images have a descriptor with the number ${number}, and crts itself may have none above ${limit - 1}`,
    hint: 'Run crts with a higher limit: ulimit -n.',
  });
}

export function ownerGone(owner: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_FD_OWNER',
    what: `process ${owner}, which is to get the signals of a descriptor, is not there`,
    call: 'fcntl(F_SETOWN_EX)',
    errno,
    hint: 'It was not dumped with the tree. Dump it too, or dump when the program has set another owner.',
  });
}

export function noFdHandler(
  facts: Pick<FdFacts, 'pid' | 'fd' | 'link' | 'mode' | 'rdev'> & Partial<FdFacts>,
): CrtsError {
  const { name, plugin } = fdKind(facts);
  const hint =
    plugin === undefined
      ? (wayWithout(name) ??
        'Dump when the program has closed it, or add a plugin that carries it with --plugin (docs/plugin-authors.md).')
      : `@crts/${plugin} carries it: add it with --plugin.`;
  return refused('CRTS_FD_KIND', facts.pid, `no plugin carries this kind of descriptor (${name})`, hint, {
    fd: facts.fd < 0 ? undefined : facts.fd,
    path: facts.link,
  });
}

/** How programs that people dump get along without a thing that no checkpoint carries, where they can. */
function wayWithout(name: string): string | undefined {
  return name.includes('io_uring')
    ? 'Start the program without io_uring: by its own option (mariadbd has --innodb-use-native-aio=0), or with sysctl kernel.io_uring_disabled=2.'
    : undefined;
}

export function noVmaHandler(pid: number, range: string, name: string, why: string | undefined): CrtsError {
  return refused(
    'CRTS_VMA_KIND',
    pid,
    `no plugin carries the mapping ${range} (${[name, why].filter((part) => part).join(', ') || 'without a name'})`,
    wayWithout(name) ?? 'Dump when the program has unmapped it, or add a plugin for it with --plugin.',
  );
}

export function badImage(code: 'CRTS_IMAGE_FIELD' | 'CRTS_IMAGE_REFERENCE', path: string, what: string): CrtsError {
  return new CrtsError({
    code,
    stage: 'restore',
    path,
    what,
    hint: 'The image set is damaged, or mixed from several dumps.',
  });
}

export function otherFormat(version: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_VERSION',
    kind: 'refused',
    stage: 'restore',
    path: 'inventory.img',
    what: `image version ${version}`,
    hint: 'crts reads version 2, which CRIU writes since 2.0.',
  });
}

export function noPluginForImage(what: string, plugin = 'NAME'): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_PLUGIN',
    kind: 'refused',
    stage: 'restore',
    what: `no plugin restores ${what}`,
    hint: `Pass the plugin that dumped it: --plugin ${plugin}${plugin === 'NAME' ? '' : ` (npm install ${plugin})`}.`,
  });
}

export function pidTaken(pid: number, holder: string, remedy = `Stop process ${pid}`): CrtsError {
  return new CrtsError({
    code: 'CRTS_PID_TAKEN',
    stage: 'restore',
    pid,
    what: `the pid is in use by ${holder}`,
    call: 'clone3(set_tid)',
    errno: 'EEXIST',
    hint: `${remedy}, or restore in a new pid namespace.`,
  });
}

export function cannotFork(pid: number, errno: string | undefined, call: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_FORK',
    stage: 'restore',
    pid,
    what: 'the process cannot be made',
    call,
    errno,
    hint: 'Choosing a pid needs CAP_CHECKPOINT_RESTORE; EINVAL: the pid is above kernel.pid_max.',
  });
}

/** A tree that no sequence of fork, setsid, setpgid and exit makes: a damaged image, or a job of a shell without --shell-job. */
export function treeShape(
  pid: number,
  what: string,
  hint = 'The image set is damaged: the kernel makes no such tree.',
) {
  return new CrtsError({ code: 'CRTS_TREE_SHAPE', kind: 'refused', stage: 'restore', pid, what, hint });
}

export function forkPlanWrong(pid: number, what: string, cause?: unknown): CrtsError {
  return new CrtsError({
    code: 'CRTS_FORK_PLAN',
    kind: 'bug',
    stage: 'restore',
    pid,
    what: `the plan of forks is wrong: ${what}${cause instanceof Error ? `: ${cause.message}` : ''}`,
    hint: 'Report it with pstree.img of this image set.',
    cause,
  });
}

export function planUnmet(pass: string, need: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_PLAN_UNMET',
    kind: 'bug',
    stage: 'restore',
    what: `"${pass}" needs ${need}, which no pass of its or an earlier stage provides`,
    hint: 'A plugin is missing, or has a mistake: report it to its author.',
  });
}

export function planCycle(path: readonly string[]): CrtsError {
  return new CrtsError({
    code: 'CRTS_PLAN_CYCLE',
    kind: 'bug',
    stage: 'restore',
    what: `passes need each other: ${path.join(' -> ')}`,
    hint: 'Report it to the authors of these plugins.',
  });
}

export function threadIncomplete(part: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_PLAN_THREAD',
    kind: 'bug',
    stage: 'restore',
    what: `no handler sets the final ${part} of the thread, or two do`,
    hint: 'A plugin is missing: task-regs and task-signals do.',
  });
}

export function noSyscallInstruction(): CrtsError {
  return new CrtsError({
    code: 'CRTS_NO_SYSCALL',
    kind: 'refused',
    stage: 'restore',
    what: 'the task has no executable memory with a syscall instruction',
    hint: 'It has no vdso: this image set cannot be restored by crts.',
  });
}

export function groupIncomplete(plugin: string, wanted: number, got: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_FD_GROUP',
    kind: 'bug',
    plugin,
    stage: 'restore',
    what: `the handler opened ${got} of ${wanted} descriptions that belong together`,
    hint: 'Report it to the author of the plugin.',
  });
}

export function seccompSuspension(tid: number, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_SECCOMP_SUSPEND',
    kind: 'refused',
    pid: tid,
    what: 'the seccomp filters of the thread cannot be suspended, and calls of the agent would meet them',
    call: 'ptrace(PTRACE_O_SUSPEND_SECCOMP)',
    errno,
    hint: 'It needs CAP_SYS_ADMIN, and that crts itself does not run under seccomp.',
  });
}
