declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]?: Name };

/** Number of a task in the dumped tree's pid namespace: what images hold (CRIU: virt). */
export type Pid = Brand<number, 'Pid'>;
/** Number of the same task as the engine sees it (CRIU: real). */
export type HostPid = Brand<number, 'HostPid'>;
/** Number in a descriptor table. */
export type Fd = Brand<number, 'Fd'>;
/** Identity of a mount in mountinfo and fdinfo. */
export type MntId = Brand<number, 'MntId'>;
/** Address in a task. */
export type Addr = Brand<bigint, 'Addr'>;
/** Id of a file description in an image set: `file_entry.id`. */
export type FileId = Brand<number, 'FileId'>;
