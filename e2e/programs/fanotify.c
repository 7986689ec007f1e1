/* fanotify groups: flags, marks on an inode, a mount and a file system, masks to ignore; nothing heard of the restore. argv[3]: without the file system mark. */
#include "check.h"
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#ifndef FAN_MARK_IGNORE
#define FAN_MARK_IGNORE 0x400
#endif
#ifndef FAN_REPORT_DFID_NAME
#define FAN_REPORT_DFID_NAME 0xc00
#endif
#ifndef FAN_REPORT_TARGET_FID
#define FAN_REPORT_TARGET_FID 0x1000
#endif

static char dir[2048];

static const char *in(const char *name)
{
	static char paths[8][4096];
	static int next;
	char *path = paths[next++ & 7];

	snprintf(path, 4096, "%s/%s", dir, name);
	return path;
}

static void mark(int fd, unsigned flags, unsigned long mask, const char *path)
{
	check(fanotify_mark(fd, FAN_MARK_ADD | flags, mask, AT_FDCWD, path) == 0, "mark %s: %m", path);
}

static void describe(int fd, char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	int info = open(path, O_RDONLY);
	ssize_t length = read(info, text, size - 1);
	text[length > 0 ? length : 0] = 0;
	close(info);
}

static int queued(int fd)
{
	int size = -1;

	ioctl(fd, FIONREAD, &size);
	return size;
}

/* The masks of all events that are there, or-ed. */
static unsigned long events(int fd, int flags)
{
	char buffer[8192] __attribute__((aligned(8)));
	ssize_t length = read(fd, buffer, sizeof(buffer));
	struct fanotify_event_metadata *event = (void *)buffer;
	unsigned long mask = 0;

	for (; length > 0 && FAN_EVENT_OK(event, length); event = FAN_EVENT_NEXT(event, length)) {
		mask |= event->mask;
		if (event->fd >= 0) {
			check((fcntl(event->fd, F_GETFL) & flags) == flags, "event flags are lost");
			close(event->fd);
		}
	}
	return mask;
}

int main(int argc, char **argv)
{
	char before[4][8192], after[4][8192];
	int only = argc > 3;

	snprintf(dir, sizeof(dir), "%s", argv[2]);
	mkdir(in("sub"), 0755);
	mkdir(in("mount"), 0755);
	close(open(in("file"), O_CREAT | O_RDWR, 0644));
	close(open(in("quiet"), O_CREAT | O_RDWR, 0644));
	int plain = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY | O_LARGEFILE | O_NOATIME);
	int names = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_REPORT_DFID_NAME | FAN_UNLIMITED_MARKS, 0);
	int content = fanotify_init(FAN_CLASS_CONTENT | FAN_UNLIMITED_QUEUE, O_RDWR);
	/* Takes no FAN_EVENT_ON_CHILD for a file, and shows it. */
	int targets = only ? dup(names) : fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_REPORT_DFID_NAME | FAN_REPORT_FID | FAN_REPORT_TARGET_FID, 0);
	check(plain >= 0 && names >= 0 && content >= 0 && targets >= 0, "fanotify_init: %m");
	/* CRIU makes groups with the flag that they have now. */
	if (!only)
		fcntl(content, F_SETFL, O_NONBLOCK);
	mark(plain, 0, FAN_MODIFY | FAN_OPEN | FAN_EVENT_ON_CHILD | FAN_ONDIR, in("."));
	mark(plain, FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_MODIFY | FAN_OPEN, in("quiet"));
	mark(plain, 0, FAN_CLOSE_WRITE, in("file"));
	mark(plain, FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_OPEN, in("file"));
	mark(names, 0, FAN_CREATE | FAN_DELETE | FAN_ONDIR, in("sub"));
	if (!only) {
		mark(content, FAN_MARK_MOUNT, FAN_CLOSE_NOWRITE, "/dev/shm");
		mark(content, FAN_MARK_FILESYSTEM, FAN_CLOSE_WRITE, "/dev/shm");
		mark(content, FAN_MARK_IGNORE | FAN_MARK_IGNORED_SURV_MODIFY, FAN_CLOSE_WRITE, in("quiet"));
	}
	if (!only)
		mark(targets, 0, FAN_MODIFY, in("file"));
	int all[] = { plain, names, content, targets };
	for (int i = 0; i < 4; i++)
		describe(all[i], before[i], sizeof(before[i]));
	ready();
	wait_for(argv[1]);

	/* The go file is looked for with access(2), which no event tells. */
	for (int i = 0; i < 4; i++) {
		describe(all[i], after[i], sizeof(after[i]));
		check(!strcmp(before[i], after[i]), "group %d was\n%sand is\n%s", i, before[i], after[i]);
	}
	check(queued(names) == 0 && queued(targets) == 0, "the restore is heard");
	/* In /dev/shm others may be at work; in the directory the harness is: take what is there. */
	events(plain, O_NOATIME);
	if (!only)
		events(content, O_RDWR);
	int fd = open(in("quiet"), O_WRONLY);
	check(write(fd, "x", 1) == 1, "write: %m");
	check(events(plain, O_NOATIME) == 0, "the ignored mask is lost");
	close(fd);
	fd = open(in("file"), O_WRONLY);
	check(events(plain, O_NOATIME) == 0, "the ignored open is heard");
	check(write(fd, "x", 1) == 1, "write: %m");
	check(events(plain, O_NOATIME) == FAN_MODIFY, "no FAN_MODIFY");
	check(only || events(targets, 0) == FAN_MODIFY, "no FAN_MODIFY with the target");
	close(fd);
	check(events(plain, O_NOATIME) == FAN_CLOSE_WRITE, "no FAN_CLOSE_WRITE");
	mkdir(in("sub/d"), 0755);
	check(events(names, 0) == (FAN_CREATE | FAN_ONDIR), "no FAN_CREATE");
	rmdir(in("sub/d"));
	check(events(names, 0) == (FAN_DELETE | FAN_ONDIR), "no FAN_DELETE");
	if (!only) {
		char path[64];
		snprintf(path, sizeof(path), "/dev/shm/crts-fanotify-%d", getpid());
		close(open(path, O_CREAT | O_WRONLY, 0644));
		check(events(content, O_RDWR) & FAN_CLOSE_WRITE, "no event of the file system");
		close(open(path, O_RDONLY));
		check(events(content, O_RDWR) & FAN_CLOSE_NOWRITE, "no event of the mount");
		unlink(path);
	}
	return done();
}
