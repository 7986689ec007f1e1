/** Bits of an inotify mask: include/uapi/linux/inotify.h. */
export const IN_ACCESS = 0x1;
export const IN_MODIFY = 0x2;
export const IN_ATTRIB = 0x4;
export const IN_ALL_EVENTS = 0xfff;
export const IN_DONT_FOLLOW = 0x0200_0000;
export const IN_EXCL_UNLINK = 0x0400_0000;
export const IN_ONESHOT = 0x8000_0000;
/** A bit of events, without meaning for a watch; with it no mask is empty, which inotify_add_watch(2) refuses. */
const IN_ISDIR = 0x4000_0000;
/** Links to descriptors of crts itself. */
export const OWN_LINKS = '/proc/self/fd/';
/** FS_EVENT_ON_CHILD, the kernel's own bit, which fdinfo showed before Linux 4.3. */
const ON_CHILD = 0x0800_0000;

/** What a watch is made of; the other bits of inotify_add_watch(2) say how it is added, and leave nothing behind. */
const KEPT = IN_ALL_EVENTS + IN_EXCL_UNLINK + IN_ONESHOT;

export function isMask(mask: number): boolean {
  return (mask & ~(KEPT | ON_CHILD)) === 0;
}

/**
 * The mask to add a watch with again. The very object is meant: a symbolic link that is watched is not followed; a link of
 * /proc, which stands for an object that has no name, is.
 */
export function maskToAdd(mask: number, path: string): number {
  const how = path.startsWith(OWN_LINKS) ? IN_ISDIR : IN_DONT_FOLLOW;
  return ((mask & KEPT) | how) >>> 0;
}
