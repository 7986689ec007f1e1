import type { CoreEntry } from '@crts/image-io';
import { rlimit } from '@crts/native-syscalls';
import {
  at,
  type CallOptions,
  CrtsError,
  type FrozenTask,
  type Program,
  type TaskImages,
  type TaskPlan,
  type TaskStateHandler,
} from '@crts/plugin-api';

/** RLIM_NLIMITS and the names by number, include/uapi/asm-generic/resource.h. */
const LIMITS = [
  'RLIMIT_CPU',
  'RLIMIT_FSIZE',
  'RLIMIT_DATA',
  'RLIMIT_STACK',
  'RLIMIT_CORE',
  'RLIMIT_RSS',
  'RLIMIT_NPROC',
  'RLIMIT_NOFILE',
  'RLIMIT_MEMLOCK',
  'RLIMIT_AS',
  'RLIMIT_LOCKS',
  'RLIMIT_SIGPENDING',
  'RLIMIT_MSGQUEUE',
  'RLIMIT_NICE',
  'RLIMIT_RTPRIO',
  'RLIMIT_RTTIME',
] as const;

/** include/uapi/asm-generic/resource.h. */
const RLIM_INFINITY = 2n ** 64n - 1n;
/** Most are. */
const UNLIMITED = Object.freeze({ cur: RLIM_INFINITY, max: RLIM_INFINITY });

export const limitsHandler = {
  name: 'task-limits',

  dump(task: FrozenTask, program: Program) {
    // From inside: prlimit(2) on another user's task needs CAP_SYS_RESOURCE (check_prlimit_permission(), kernel/sys.c).
    const { size } = rlimit;
    const limits = program.out(LIMITS.length * size);
    LIMITS.forEach((_, resource) => {
      program.call('prlimit64', [0, resource, null, at(limits, resource * size)]);
    });
    return () => {
      const table = limits.read();
      const rlimits = LIMITS.map((_, resource) => {
        const cur = rlimit.get(table, 'rlim_cur', resource * size);
        const max = rlimit.get(table, 'rlim_max', resource * size);
        return cur === RLIM_INFINITY && max === RLIM_INFINITY ? UNLIMITED : { cur, max };
      });
      (task.images.core as CoreEntry).tc!.rlimits = { rlimits };
    };
  },

  plan(images: TaskImages, plan: TaskPlan): void {
    const rlimits = (images.core as CoreEntry).tc?.rlimits?.rlimits ?? [];
    if (rlimits.length > LIMITS.length) {
      throw new CrtsError({
        code: 'CRTS_IMAGE_FIELD',
        plugin: 'task-limits',
        what: `core_entry.tc.rlimits: ${rlimits.length} limits, ${LIMITS.length} exist`,
      });
    }
    // Late, so that the limits do not stand in the way of the restore itself; before the credentials go.
    plan.pass(
      { plugin: 'task-limits', stage: 'credentials', what: 'set the resource limits', provides: ['rlimits'] },
      (program) => {
        const { bytes, calls } = prepared(rlimits);
        const table = program.bytes(bytes);
        calls.forEach((options, resource) => {
          program.call('prlimit64', [0, resource, at(table, resource * rlimit.size), null], options);
        });
      },
    );
  },
} satisfies TaskStateHandler;

type Limits = readonly { readonly cur: bigint; readonly max: bigint }[];

interface Prepared {
  readonly bytes: Buffer;
  readonly calls: readonly CallOptions[];
}

/** Tasks with equal images have the same ones. */
const known = new WeakMap<Limits, Prepared>();

function prepared(rlimits: Limits): Prepared {
  const found = known.get(rlimits) ?? {
    bytes: Buffer.concat(rlimits.map(limitBytes)),
    calls: rlimits.map(({ cur, max }, resource) => ({
      fail: (errno: string | undefined) => cannotSet(LIMITS[resource]!, cur, max, errno),
    })),
  };
  known.set(rlimits, found);
  return found;
}

function limitBytes({ cur, max }: { readonly cur: bigint; readonly max: bigint }): Buffer {
  return rlimit.encode({ rlim_cur: cur, rlim_max: max });
}

function cannotSet(name: string, cur: bigint, max: bigint, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_RLIMIT_RAISE',
    what: `${name} cannot be set to soft ${cur}, hard ${max}`,
    call: 'prlimit64',
    errno,
    hint: 'Raising a hard limit needs CAP_SYS_RESOURCE: start crts with at least this hard limit (ulimit -H).',
  });
}
