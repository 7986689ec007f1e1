import { getReg, setReg, USER_REGS_SIZE, type UserReg, type XstateComponent } from '@crts/native-syscalls';
import type { FrozenThread, ThreadPlan, ThreadState } from '@crts/plugin-api';
import { registersHandler } from './handler';
import { fpregsFromXstate, xstateFromFpregs } from './xsave';

const USER = { cs: 0x33n, ss: 0x2bn, rip: 0x40_1000n, rsp: 0x7fff_0000_0000n, eflags: 0x246n, orig_rax: -1n };

function registers(changes: Partial<Record<UserReg, bigint>> = {}): Buffer {
  const regs = Buffer.alloc(USER_REGS_SIZE);
  for (const [name, value] of Object.entries({ ...USER, ...changes })) setReg(regs, name as UserReg, value);
  return regs;
}

/** An area with x87 and SSE, and the components that `bits` name in use. */
function area(bits = 0b11n): Buffer {
  const xstate = Buffer.alloc(2696);
  xstate.writeUInt32LE(0x1f80, 24);
  xstate.writeBigUInt64LE(bits, 512);
  return xstate;
}

function thread(prstatus: Buffer, xstate = area(), status: Record<string, string> = {}) {
  const core = {} as { thread_info?: { gpregs: Record<string, bigint>; tls: object[] } };
  const facts = { status: new Map(Object.entries(status)) };
  return { tid: 12, state: { prstatus, xstate }, facts, core } as unknown as FrozenThread & { core: typeof core };
}

function dumped(changes: Partial<Record<UserReg, bigint>>) {
  const frozen = thread(registers(changes));
  registersHandler.dumpThread()(frozen);
  return frozen.core.thread_info!;
}

function restored(info: object | undefined): ThreadState {
  let final: Partial<ThreadState> = {};
  const finalThread = (state: Partial<ThreadState>) => {
    final = state;
  };
  registersHandler.planThread({ thread_info: info }, { pid: 12, tid: 12, finalThread } as unknown as ThreadPlan);
  return final as ThreadState;
}

describe('refuse', () => {
  const refusal = (frozen: FrozenThread) => registersHandler.refuseThread(frozen);

  test('not a 64-bit program', () => {
    expect(refusal(thread(registers()))).toBeUndefined();
  });

  test.each([
    ['a 32-bit program', thread(registers({ cs: 0x23n })), 'CRTS_COMPAT_TASK'],
    ['a shadow stack', thread(registers(), area(), { x86_Thread_features: 'shstk wrss' }), 'CRTS_SHADOW_STACK'],
    ['state without a name', thread(registers(), area(0b11n | (1n << 19n))), 'CRTS_XSTATE_UNKNOWN'],
    ['a stack pointer that is none', thread(registers({ rsp: 0xffff_8880_0000_1000n })), 'CRTS_REGISTER_ADDRESS'],
    ['a gs base of the kernel', thread(registers({ gs_base: 0xffff_8880_0000_1000n })), 'CRTS_REGISTER_ADDRESS'],
  ])('%s', (_, frozen, code) => {
    expect(refusal(frozen)).toMatchObject({ code, kind: 'refused', pid: 12 });
  });
});

describe('an interrupted call', () => {
  // ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK.
  test.each([512n, 513n, 514n, 516n])('is made again: -%d', (code) => {
    const { gpregs } = dumped({ rax: -code, orig_rax: 230n, rip: 0x40_1002n });
    expect(gpregs).toMatchObject({ ax: 230n, ip: 0x40_1000n });
  });

  test('is not made again when it had ended', () => {
    expect(dumped({ rax: -4n, orig_rax: 230n, rip: 0x40_1002n }).gpregs).toMatchObject({ ip: 0x40_1002n });
  });

  test('is no call at all: a program that computes with such a number', () => {
    const { gpregs } = dumped({ rax: -512n, orig_rax: -1n });
    expect(gpregs).toMatchObject({ ax: BigInt.asUintN(64, -512n), ip: USER.rip });
  });
});

describe('restore', () => {
  test('every register comes back, with nothing for the kernel to restart', () => {
    const values = registers({ r15: 15n, rbx: 3n, fs_base: 0x7000n, gs_base: 0x8000n, rax: 7n });
    const frozen = thread(values);
    registersHandler.dumpThread()(frozen);
    const { prstatus } = restored(frozen.core.thread_info);
    expect(prstatus).toEqual(values);
    expect(getReg(prstatus, 'orig_rax')).toBe(BigInt.asUintN(64, -1n));
  });

  test('privileged flags are taken away', () => {
    const info = dumped({});
    info.gpregs.flags = 0x3000n | 0x2_0000n | 1n; // IOPL 3, VM, CF
    expect(getReg(restored(info).prstatus, 'eflags')).toBe(0x203n);
  });

  test.each([
    ['ip', 1n << 63n, 'rip'],
    ['sp', 0x7fff_ffff_f000n, 'rsp'],
    ['fs_base', 1n << 47n, 'fs_base'],
    ['gs_base', 1n << 47n, 'gs_base'],
    ['cs', 0x10n, 'cs'],
    ['mode', 2, 'mode'],
  ])('an image with %s %p', (field, value, name) => {
    const info = dumped({});
    (info.gpregs as Record<string, unknown>)[field] = value;
    expect(() => restored(info)).toThrow(
      expect.objectContaining({ code: 'CRTS_IMAGE_FIELD', what: expect.stringContaining(name) }),
    );
  });

  test('an image of another architecture', () => {
    expect(() => restored(undefined)).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }));
  });
});

describe('extended state', () => {
  const CPU: ReadonlyMap<number, XstateComponent> = new Map([
    [2, { offset: 576, sizeBytes: 256 }],
    [9, { offset: 2688, sizeBytes: 8 }],
  ] as unknown as [number, XstateComponent][]);
  const AVX = 0b111n;

  function full(): Buffer {
    const xstate = area(AVX | (1n << 9n));
    for (let at = 32; at < 416; at++) xstate[at] = at & 0xff;
    for (let at = 576; at < 832; at++) xstate[at] = (at * 7) & 0xff;
    xstate.writeUInt32LE(0x5555_5554, 2688);
    return xstate;
  }

  test('there and back to the same bytes', () => {
    expect(xstateFromFpregs(fpregsFromXstate(full(), CPU), CPU, 2696)).toEqual(full());
  });

  test('a component that this CPU lacks is named', () => {
    const entry = fpregsFromXstate(full(), CPU);
    expect(() => xstateFromFpregs(entry, new Map(), 576)).toThrow(
      expect.objectContaining({ code: 'CRTS_CPU_XSTATE', what: expect.stringContaining('AVX') }),
    );
  });

  test('a bit that no field belongs to', () => {
    const entry = fpregsFromXstate(full(), CPU);
    entry.xsave!.xstate_bv |= 1n << 18n;
    expect(() => xstateFromFpregs(entry, CPU, 2696)).toThrow(
      expect.objectContaining({ code: 'CRTS_CPU_XSTATE', what: expect.stringContaining('AMX tile data') }),
    );
  });

  describe('AMX tiles', () => {
    const AMX: ReadonlyMap<number, XstateComponent> = new Map([
      ...CPU,
      [17, { index: 17, offset: 2752, sizeBytes: 64 }],
      [18, { index: 18, offset: 2816, sizeBytes: 8192 }],
    ]);
    const SIZE = 2816 + 8192;
    function tiles(): Buffer {
      const xstate = Buffer.alloc(SIZE);
      full().copy(xstate);
      xstate.writeBigUInt64LE(xstate.readBigUInt64LE(512) | (3n << 17n), 512);
      xstate.fill(7, 2752);
      return xstate;
    }

    test('there and back, in fields that CRIU does not read', () => {
      const entry = fpregsFromXstate(tiles(), AMX);
      expect(entry.xsave!.xstate_bv >> 17n).toBe(0n);
      expect([entry.xsave!.crts_tile_config!.length, entry.xsave!.crts_tile_data!.length]).toEqual([64, 8192]);
      expect(xstateFromFpregs(entry, AMX, SIZE)).toEqual(tiles());
    });

    test('a CPU without them is told by name', () => {
      const entry = fpregsFromXstate(tiles(), AMX);
      expect(() => xstateFromFpregs(entry, CPU, 2696)).toThrow(
        expect.objectContaining({ code: 'CRTS_CPU_XSTATE', what: expect.stringContaining('AMX tile') }),
      );
    });

    test('tiles of another size are refused', () => {
      const entry = fpregsFromXstate(tiles(), AMX);
      entry.xsave!.crts_tile_data = Buffer.alloc(8191);
      expect(() => xstateFromFpregs(entry, AMX, SIZE)).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }));
    });
  });

  test('an image of a CPU without xsave', () => {
    const { xsave: _, ...legacy } = fpregsFromXstate(full(), CPU);
    expect(xstateFromFpregs(legacy, CPU, 2696).readBigUInt64LE(512)).toBe(0b11n);
  });

  test.each([
    ['a control word of 17 bits', { cwd: 0x1_0000 }],
    ['too few x87 words', { st_space: [] }],
    ['too many SSE words', { xmm_space: new Array(65).fill(0) }],
  ])('an image with %s', (_, change) => {
    expect(() => xstateFromFpregs({ ...fpregsFromXstate(full(), CPU), ...change }, CPU, 2696)).toThrow(
      expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }),
    );
  });

  test('an image with too few AVX words', () => {
    const entry = fpregsFromXstate(full(), CPU);
    entry.xsave!.ymmh_space.pop();
    expect(() => xstateFromFpregs(entry, CPU, 2696)).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }));
  });
});
