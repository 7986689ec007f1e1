import { main } from './main';
import { print, tell } from './output';

jest.mock('./output', () => ({ ...jest.requireActual('./output'), print: jest.fn(), tell: jest.fn() }));

const host = { version: '1.2.3', importModule: () => Promise.reject(new Error('no import')) };
let out = '';
let err = '';
beforeEach(() => {
  out = '';
  err = '';
  jest.mocked(print).mockImplementation((text) => {
    out += text;
  });
  jest.mocked(tell).mockImplementation((text) => {
    err += text;
  });
});
afterEach(() => jest.restoreAllMocks());

const check = (...argv: string[]) => main(['check', ...argv], host);

test('a feature that needs no privilege and is old', async () => {
  expect(await check('--no-default-config', '-verbosity=0', '--feature', 'mnt_id')).toBe(0);
  expect(out).toBe('mnt_id is supported\n');
});

test('what crts does not carry is not supported, whatever the kernel can do', async () => {
  expect(await check('--feature', 'tun')).toBe(1);
  expect(out).toBe('');
  expect(err).toMatch(/^crts: tun is not supported: crts does not carry .*\[CRTS_CHECK\]\n$/);
});

test.each(['tunn', 'toString', ''])('"%s" is no feature', async (name) => {
  expect(await check('--feature', name)).toBe(1);
  expect(err).toContain('[CRTS_OPTION_VALUE]');
});

// criu check --feature list, CRIU 4.2.
const NAMES =
  'mnt_id mem_dirty_track aio_remap timerfd tun tun_ns userns fdinfo_lock seccomp_suspend seccomp_filters loginuid cgroupns autofs tcp_half_closed compat_cr uffd uffd-noncoop can_map_vdso sk_ns sk_unix_file net_diag_raw nsid link_nsid kcmp_epoll timens external_net_ns clone3_set_tid newifindex nftables has_ipt_legacy pidfd_store ns_pid apparmor_stacking network_lock_nftables sockopt_buf_lock memfd_hugetlb move_mount_set_group openat2 get_rseq_conf ipv6_freebind pagemap_scan timer_cr_ids overlayfs_maps breakpoints pagemap_scan_guard_pages';
test.each(NAMES.split(' '))('%s is known', async (name) => {
  const code = await check('--feature', name);
  expect(code === 0 ? out : err).toMatch(code === 0 ? / is supported\n/ : /\[CRTS_CHECK\]/);
});

test('everything: exit 1 while something of the list is not carried, with a line for each', async () => {
  expect(await check('--all')).toBe(1);
  expect(err).toContain('[CRTS_CHECK]');
});
