import type { ExternalResources, InheritedFds } from './external';

/** Options of the run that plugins may need, by CRIU's option name. */
/** Told of a transfer of memory that may take long. */
export interface TransferProgress {
  /** So much more is to come. */
  expect(bytes: bigint): void;
  add(bytes: bigint): void;
  end(): void;
}

export interface RunOptions {
  /** Somebody watches how memory is stored or read. */
  readonly progress?: TransferProgress | undefined;
  readonly shellJob: boolean;
  /** File locks are carried instead of refused. */
  readonly fileLocks: boolean;
  /** Dump: the kernel's area for probed instructions (uprobes) is left out instead of refused. */
  readonly allowUprobes?: boolean | undefined;
  /** Dump: unlinked files up to this size go into the images. */
  readonly ghostLimitBytes: bigint;
  /** Dump: pages that tasks have in common are stored once, which CRIU cannot read. */
  readonly sharePages?: boolean | undefined;
  /** Dump: files may get temporary names beside those that they lost. */
  readonly linkRemap?: boolean | undefined;
  /** Dump: what is left outside on purpose. */
  readonly external?: ExternalResources | undefined;
  /** Dump: unix sockets may lose a peer outside the tree. */
  readonly externalUnixSockets?: boolean | undefined;
  /** Restore: descriptors of crts for what only its caller has. */
  readonly inherit?: InheritedFds | undefined;
  /** Restore: crts leaves when the tree runs, so its root gets another parent. */
  readonly detached: boolean;
  /** How a file is recognised at restore, and what of it is kept for that at dump; `buildid` unless told. */
  readonly fileValidation?: 'filesize' | 'buildid' | undefined;
  /** Restore: permission bits of files may differ from those at the dump. */
  readonly skipFileRwxCheck?: boolean | undefined;
  /** A device may be opened by another name than the recorded one. */
  readonly evasiveDevices?: boolean | undefined;
  /** What becomes of events that nobody has read yet: `drop` unless told. */
  readonly inotifyEvents?: 'fail' | 'drop' | 'provoke' | undefined;
  /** Cgroups of tasks: left alone (`ignore`), or recorded and joined again where they exist (`soft`) or must exist (`none`); `soft` unless told. */
  readonly manageCgroups?: 'ignore' | 'none' | 'soft' | undefined;
  /** Dump: a watched object is searched for by inode also where its file handle opens. */
  readonly forceIrmap?: boolean | undefined;
  /** Dump: where to search first. */
  readonly irmapScanPaths?: readonly string[] | undefined;
}
