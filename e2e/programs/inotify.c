/*
 * inotify instances: numbers with gaps and out of order, masks with flags, a symbolic link, a file with two names, tmpfs, renamed
 * targets, many instances; after the restore not one event of the restore's own doing, and the right events of ours.
 */
#include "check.h"
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define FAR_WD 70000

static char dir[2048], shm[64];

static const char *in(const char *name)
{
	static char paths[8][4096];
	static int next;
	char *path = paths[next++ & 7];

	snprintf(path, 4096, "%s/%s", dir, name);
	return path;
}

static int watch(int fd, const char *path, unsigned mask)
{
	int wd = inotify_add_watch(fd, path, mask);

	check(wd > 0, "watch %s: %m", path);
	return wd;
}

/* What fdinfo says, sorted by number: wd:mask. */
static void describe(int fd, char *text, size_t size)
{
	char line[1024], path[64];
	unsigned wds[64], masks[64];
	unsigned long inos[64];
	int count = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "r");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "inotify wd:%x ino:%lx sdev:%*x mask:%x", &wds[count], &inos[count], &masks[count]) == 3)
			count++;
	fclose(file);
	*text = 0;
	for (int i = 0; i < count; i++) {
		int least = 0;
		for (int j = 1; j < count; j++)
			if (wds[j] < wds[least])
				least = j;
		snprintf(text + strlen(text), size - strlen(text), "%x:%lx:%x ", wds[least], inos[least], masks[least]);
		wds[least] = ~0u;
	}
}

static int queued(int fd)
{
	int size = -1;

	ioctl(fd, FIONREAD, &size);
	return size;
}

/* Demands one event with this number, this mask and this name next in the queue. */
static void expect(int fd, int wd, unsigned mask, const char *name)
{
	char buffer[4096] __attribute__((aligned(8)));
	struct inotify_event *event = (void *)buffer;
	static char ahead[65536];
	static int left, owner = -1;
	static char *at;

	if (owner != fd || left <= 0) {
		left = read(fd, ahead, sizeof(ahead));
		at = ahead;
		owner = fd;
		if (left <= 0) {
			fail("no event 0x%x of %d: %m", mask, wd);
			return;
		}
	}
	memcpy(buffer, at, sizeof(*event) + ((struct inotify_event *)at)->len);
	at += sizeof(*event) + event->len;
	left -= sizeof(*event) + event->len;
	check(event->wd == wd && event->mask == mask && !strcmp(event->len ? event->name : "", name ? name : ""),
	      "event %d 0x%x %s instead of %d 0x%x %s", event->wd, event->mask, event->len ? event->name : "", wd, mask, name ? name : "");
}

int main(int argc, char **argv)
{
	char before[4096], after[4096];
	/* A dump that lets the program go on has read this file. */
	const char *exe = argc > 3 ? "/proc/self/exe" : "/etc/hostname";

	snprintf(dir, sizeof(dir), "%s", argv[2]);
	snprintf(shm, sizeof(shm), "/dev/shm/crts-inotify-%d", getpid());
	mkdir(shm, 0755);
	mkdir(in("sub"), 0755);
	mkdir(in("odd \xff name"), 0755);
	close(open(in("file"), O_CREAT | O_RDWR, 0644));
	close(open(in("old"), O_CREAT | O_RDWR, 0644));
	close(open(in("once"), O_CREAT | O_RDWR, 0644));
	check(link(in("file"), in("second")) == 0 && symlink("sub", in("link")) == 0, "links: %m");

	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), blocking = inotify_init();
	int empty = dup3(inotify_init1(0), 200, O_CLOEXEC);
	/* Out of order and with gaps: the number is told as a restorer does. */
	check(ioctl(fd, _IOW('I', 0, int), FAR_WD) == 0, "SETNEXTWD: %m");
	int far = watch(fd, in("sub"), IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONLYDIR);
	ioctl(fd, _IOW('I', 0, int), 1);
	int file = watch(fd, in("file"), IN_MODIFY | IN_OPEN);
	int gap = watch(fd, in("."), IN_CREATE);
	int old = watch(fd, in("old"), IN_ATTRIB | IN_MOVE_SELF);
	int once = watch(fd, in("once"), IN_OPEN | IN_ONESHOT);
	int symlink_wd = watch(fd, in("link"), IN_ATTRIB | IN_DONT_FOLLOW | IN_DELETE_SELF);
	int tmpfs = watch(fd, shm, IN_CREATE | IN_DELETE);
	int odd = watch(fd, in("odd \xff name"), IN_CREATE | IN_ISDIR);
	int nothing = watch(fd, "/", IN_ONLYDIR);
	check(watch(fd, in("second"), IN_MODIFY | IN_OPEN | IN_MASK_ADD) == file, "one inode has two numbers");
	check(inotify_rm_watch(fd, gap) == 0, "remove: %m");
	/* The program's own binary is opened and mapped by the restore. */
	int self = watch(fd, exe, IN_ALL_EVENTS);
	int own = watch(blocking, exe, IN_OPEN | IN_CLOSE | IN_ACCESS);
	check(rename(in("old"), in("new")) == 0, "rename: %m");
	char drain[4096];
	while (read(fd, drain, sizeof(drain)) > 0)
		;
	check(far == FAR_WD && file == 1, "numbers: %d %d", far, file);
	describe(fd, before, sizeof(before));
	ready();
	wait_for(argv[1]);

	check(queued(fd) == 0 && queued(blocking) == 0 && queued(empty) == 0, "the restore is heard: %d %d %d bytes", queued(fd), queued(blocking), queued(empty));
	describe(fd, after, sizeof(after));
	check(!strcmp(before, after), "watches were %s and are %s", before, after);
	check(fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) == FD_CLOEXEC, "flags of the first");
	check(!(fcntl(blocking, F_GETFL) & O_NONBLOCK) && fcntl(blocking, F_GETFD) == 0, "flags of the second");
	check(fcntl(empty, F_GETFD) == FD_CLOEXEC, "flags of the third");

	int open_file = open(in("second"), O_WRONLY);
	check(write(open_file, "x", 1) == 1, "write: %m");
	expect(fd, file, IN_OPEN, NULL);
	expect(fd, file, IN_MODIFY, NULL);
	close(open(in("sub/a"), O_CREAT | O_WRONLY, 0644));
	expect(fd, far, IN_CREATE, "a");
	expect(fd, far, IN_OPEN, "a");
	expect(fd, far, IN_CLOSE_WRITE, "a");
	/* IN_EXCL_UNLINK: nothing of a child without a name. */
	int child = open(in("sub/a"), O_WRONLY);
	unlink(in("sub/a"));
	check(write(child, "x", 1) == 1, "write: %m");
	close(child);
	expect(fd, far, IN_OPEN, "a");
	expect(fd, far, IN_DELETE, "a");
	close(open(in("once"), O_RDONLY));
	expect(fd, once, IN_OPEN, NULL);
	expect(fd, once, IN_IGNORED, NULL);
	close(open(in("once"), O_RDONLY));
	check(chmod(in("new"), 0600) == 0, "chmod: %m");
	expect(fd, old, IN_ATTRIB, NULL);
	check(unlink(in("link")) == 0, "unlink: %m");
	expect(fd, symlink_wd, IN_ATTRIB, NULL);
	expect(fd, symlink_wd, IN_DELETE_SELF, NULL);
	expect(fd, symlink_wd, IN_IGNORED, NULL);
	char path[128];
	snprintf(path, sizeof(path), "%s/x", shm);
	close(open(path, O_CREAT | O_WRONLY, 0644));
	unlink(path);
	expect(fd, tmpfs, IN_CREATE, "x");
	expect(fd, tmpfs, IN_DELETE, "x");
	close(open(in("odd \xff name/y"), O_CREAT | O_WRONLY, 0644));
	expect(fd, odd, IN_CREATE, "y");
	check(queued(fd) == 0, "more events than expected");
	/* No number of a watch that lives or lived is given again. */
	int next = watch(fd, in("."), IN_CREATE);
	check(next == self + 1, "the next number is %d", next);
	close(open(exe, O_RDONLY));
	expect(fd, self, IN_OPEN, NULL);
	expect(fd, self, IN_CLOSE_NOWRITE, NULL);
	expect(blocking, own, IN_OPEN, NULL);
	expect(blocking, own, IN_CLOSE_NOWRITE, NULL);
	check(nothing > 0 && rmdir(shm) == 0, "clean up: %m");
	return done();
}
