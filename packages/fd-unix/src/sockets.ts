/** Numbers of <sys/socket.h>, <linux/net.h>, <net/tcp_states.h> and of CRIU's format. */
export const AF_UNIX = 1;
export const SOL_SOCKET = 1;

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_SEQPACKET = 5;

/** States as SOCK_DIAG tells them and as the format has them. */
export const STATE = { ESTABLISHED: 1, CLOSE: 7, LISTEN: 10 } as const;

/** Bits of sk_shutdown, include/net/sock.h; the numbers of `sk_shutdown` in the format. */
export const SHUTDOWN = { READ: 1, WRITE: 2 } as const;

/** `fd_types` of the format: UNIXSK. */
export const FD_TYPE_UNIXSK = 5;
/** `uflags` of the format: a socket outside the dumped tree, known by name alone. */
export const USK_EXTERN = 1;

export const SCM_RIGHTS = 1;
export const SCM_CREDENTIALS = 2;
export const SCM_PIDFD = 4;

/** sizeof(sun_path): include/uapi/linux/un.h. */
export const UNIX_PATH_MAX = 108;

const TYPES: Readonly<Record<number, string>> = {
  1: 'stream',
  2: 'datagram',
  3: 'raw',
  4: 'RDM',
  5: 'seqpacket',
  10: 'packet',
};

export function typeName(type: number): string {
  return TYPES[type] ?? `type ${type}`;
}

const FAMILIES: Readonly<Record<number, string>> = {
  1: 'UNIX',
  2: 'IPv4',
  10: 'IPv6',
  16: 'netlink',
  17: 'packet',
  29: 'CAN',
  31: 'Bluetooth',
  38: 'crypto',
  40: 'vsock',
  44: 'XDP',
  45: 'MCTP',
};

export function familyName(family: number): string {
  return FAMILIES[family] ?? `family ${family}`;
}
