/** include/uapi/linux/fanotify.h. */
export const FAN_CLOEXEC = 0x1;
export const FAN_NONBLOCK = 0x2;
export const FAN_CLASS_CONTENT = 0x4;
export const FAN_CLASS_PRE_CONTENT = 0x8;
export const FAN_REPORT_MNT = 0x4000;

export const FAN_MARK_ADD = 0x1;
export const FAN_MARK_DONT_FOLLOW = 0x4;
export const FAN_MARK_MOUNT = 0x10;
export const FAN_MARK_IGNORED_MASK = 0x20;
export const FAN_MARK_IGNORED_SURV_MODIFY = 0x40;
export const FAN_MARK_FILESYSTEM = 0x100;
export const FAN_MARK_EVICTABLE = 0x200;
export const FAN_MARK_IGNORE = 0x400;
/** What fdinfo shows of a mark: fanotify_mark_user_flags(). */
export const MARK_STATE = FAN_MARK_IGNORED_SURV_MODIFY | FAN_MARK_EVICTABLE | FAN_MARK_IGNORE;

/** Of a directory: also what happens to those in it. */
export const FAN_EVENT_ON_CHILD = 0x0800_0000;

/** OPEN_PERM, ACCESS_PERM, OPEN_EXEC_PERM, PRE_ACCESS: whoever does it waits for the program's answer. */
export const PERMISSION_EVENTS = 0x0001_0000 | 0x0002_0000 | 0x0004_0000 | 0x0010_0000;
