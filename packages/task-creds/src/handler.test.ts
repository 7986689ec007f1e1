import { ProgramBuilder } from '@crts/native-syscalls';
import type { FrozenThread, PassHead, Program, ThreadPlan } from '@crts/plugin-api';
import { credentialsHandler } from './handler';

const ALL = [0xffff_ffff, 0x1ff];
const CREDS = {
  uid: 1000,
  euid: 1001,
  suid: 1002,
  fsuid: 1003,
  gid: 2000,
  egid: 2001,
  sgid: 2002,
  fsgid: 2003,
  cap_inh: [0, 0],
  cap_prm: ALL,
  cap_eff: ALL,
  cap_bnd: ALL,
  cap_amb: [0, 0],
  secbits: 0,
  groups: [4, 24],
};

function compile(
  creds: object | undefined,
  isMain = true,
): { program: ProgramBuilder; text: string[]; heads: PassHead[] } {
  const program = new ProgramBuilder();
  const heads: PassHead[] = [];
  const pass = (head: PassHead, emit: (program: Program) => void) => {
    heads.push(head);
    emit(program);
  };
  const plan = { pid: 12, tid: 12, isMain, pass } as unknown as ThreadPlan;
  credentialsHandler.planThread({ thread_core: { creds } }, plan);
  return { program, text: program.text(), heads };
}

/** Where the first call that begins so stands. */
const place = (text: readonly string[], start: string) => {
  const index = text.findIndex((line) => line.startsWith(start));
  if (index < 0) throw new Error(`${start} is not in ${text.join('\n')}`);
  return index;
};

describe('dump', () => {
  function dumped(status: Record<string, string>) {
    const thread = { core: { thread_core: {} }, facts: { status: new Map(Object.entries(status)) } };
    const ENOKEY = -126n;
    const program = {
      cstring: (text: string) => text,
      call: (name: string) => ({
        value: name === 'prctl' ? 0x10n : ENOKEY,
      }),
    } as unknown as Program;
    credentialsHandler.dumpThread(program)(thread as unknown as FrozenThread);
    return (thread.core.thread_core as { creds?: object }).creds;
  }

  test('ids, groups, 64-bit masks in two words', () => {
    expect(
      dumped({
        Uid: '1000\t1001\t1002\t1003',
        Gid: '2000\t2001\t2002\t2003',
        Groups: '4 24 ',
        CapInh: '0000000100000002',
        CapPrm: '000001ffffffffff',
        CapEff: '000001ffffffffff',
        CapBnd: '000001ffffffffff',
        CapAmb: '0000000000000000',
        NoNewPrivs: '1',
      }),
    ).toEqual({ ...CREDS, cap_inh: [2, 1], secbits: 0x10, no_new_privs: 1 });
  });
});

test.each([
  [-1, /thread keyring/],
  [-2, /process keyring/],
])('a keyring of its own (%d) is refused', (id, what) => {
  const thread = { tid: 12, core: { thread_core: {} }, facts: { status: new Map() } };
  const program = {
    cstring: (text: string) => text,
    call: (_: string, args: readonly unknown[]) => ({ value: args[1] === id ? 4711n : -126n }),
  } as unknown as Program;
  const read = credentialsHandler.dumpThread(program);
  expect(() => read(thread as unknown as FrozenThread)).toThrow(
    expect.objectContaining({ code: 'CRTS_KEYRING', kind: 'refused', pid: 12, what: expect.stringMatching(what) }),
  );
});

describe('refuse', () => {
  const refusal = (read: () => string) =>
    credentialsHandler.refuseThread({ tid: 12, readProc: read } as unknown as FrozenThread);

  test.each(['unconfined\n', '', 'kernel\0'])('not under the label %j', (label) => {
    expect(refusal(() => label)).toBeUndefined();
  });

  test('under a label', () => {
    expect(refusal(() => 'docker-default (enforce)\n')).toMatchObject({ code: 'CRTS_LSM_LABEL', kind: 'refused' });
  });

  test('not on a kernel without labels', () => {
    const none = () => {
      throw new Error('EINVAL');
    };
    expect(refusal(none)).toBeUndefined();
  });
});

describe('plan', () => {
  test('groups and ids before the capabilities go, no_new_privs last', () => {
    const { text, heads } = compile({ ...CREDS, no_new_privs: 1 });
    expect(heads).toMatchObject([{ stage: 'credentials', needs: ['rlimits'], provides: ['creds'] }]);
    expect(text.map((line) => line.slice(0, line.indexOf('(')))).toEqual([
      'setgroups',
      'prctl',
      'setresgid',
      'setfsgid',
      'setresuid',
      'setfsuid',
      'capset',
      'prctl',
      'prctl',
      'capset',
      'prctl',
    ]);
    expect(text).toContain('setresuid(1000, 1001, 1002)');
    expect(text).toContain('setresgid(2000, 2001, 2002)');
    expect(text.at(-1)).toBe('prctl(38, 1, 0, 0, 0)');
  });

  test('a thread waits for its scheduling alone: limits are of the process', () => {
    expect(compile(CREDS, false).heads).toMatchObject([{ needs: ['scheduling'] }]);
  });

  test('an inheritable capability outside of the bounding set is set before the set shrinks', () => {
    const { text } = compile({ ...CREDS, cap_inh: [1, 0], cap_bnd: [0xffff_fffe, 0x1ff] });
    expect(place(text, 'capset')).toBeLessThan(place(text, 'prctl(24, 0'));
    expect(text.filter((line) => line.startsWith('prctl(24,'))).toHaveLength(1);
  });

  test('an ambient capability is raised before securebits that forbid it', () => {
    const { text } = compile({ ...CREDS, cap_inh: [1, 0], cap_amb: [1, 0], secbits: 64 });
    expect(place(text, 'capset')).toBeLessThan(place(text, 'prctl(47, 2, 0'));
    expect(place(text, 'prctl(47, 2, 0')).toBeLessThan(place(text, 'prctl(28, 64)'));
  });

  test('what crts has ambient does not stay', () => {
    expect(compile(CREDS).text).toContain('prctl(47, 4, 0, 0, 0)');
  });

  test('a missing capability is named', () => {
    const { program } = compile(CREDS);
    const capset = program.instructions.filter(({ name }) => name === 'capset').at(-1)!;
    expect(capset.options.fail!('EPERM', -1n)).toMatchObject({ code: 'CRTS_CREDENTIALS', errno: 'EPERM' });
  });

  test.each([
    [undefined, 'CRTS_IMAGE_FIELD'],
    [{ ...CREDS, groups: new Array(65537).fill(1) }, 'CRTS_IMAGE_FIELD'],
    [{ ...CREDS, lsm_profile: 'docker-default' }, 'CRTS_LSM_LABEL'],
  ])('an image that cannot be restored (%#)', (creds, code) => {
    expect(() => compile(creds)).toThrow(expect.objectContaining({ code }));
  });
});
