/** Bits of an inotify mask: include/uapi/linux/inotify.h. */
export const IN_ACCESS = 0x1;
export const IN_MODIFY = 0x2;
export const IN_ATTRIB = 0x4;
export const IN_ALL_EVENTS = 0xfff;
export const IN_DONT_FOLLOW = 0x0200_0000;
export const IN_EXCL_UNLINK = 0x0400_0000;
export const IN_ONESHOT = 0x8000_0000;
/** FS_EVENT_ON_CHILD, the kernel's own bit, which fdinfo showed before Linux 4.3. */
const ON_CHILD = 0x0800_0000;

/** What a watch is made of; the other bits of inotify_add_watch(2) say how it is added, and leave nothing behind. */
const KEPT = IN_ALL_EVENTS + IN_EXCL_UNLINK + IN_ONESHOT;

export function isMask(mask: number): boolean {
  return (mask & ~(KEPT | ON_CHILD)) === 0;
}

/** The mask to add a watch with again, by the very object: a symbolic link that is watched is not followed. */
export function maskToAdd(mask: number): number {
  return ((mask & KEPT) | IN_DONT_FOLLOW) >>> 0;
}
