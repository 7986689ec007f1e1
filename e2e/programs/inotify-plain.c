/* Watches as CRIU carries them too: a directory, a file, a gap in the numbers, a file without a name. */
#include "check.h"
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static char buffer[65536] __attribute__((aligned(8)));

/* or-ed masks of what a watch has to tell */
static unsigned told(int fd, int wd)
{
	ssize_t length = read(fd, buffer, sizeof(buffer));
	unsigned mask = 0;

	for (char *at = buffer; at < buffer + length; at += sizeof(struct inotify_event) + ((struct inotify_event *)at)->len)
		if (((struct inotify_event *)at)->wd == wd)
			mask |= ((struct inotify_event *)at)->mask;
	return mask;
}

int main(int argc, char **argv)
{
	char sub[4096], file[4096], path[8192];

	(void)argc;
	snprintf(sub, sizeof(sub), "%s/sub", argv[2]);
	snprintf(file, sizeof(file), "%s/file", argv[2]);
	mkdir(sub, 0755);
	close(open(file, O_CREAT | O_RDWR, 0644));
	int fd = inotify_init1(IN_NONBLOCK);
	inotify_rm_watch(fd, inotify_add_watch(fd, file, IN_ALL_EVENTS));
	int directory = inotify_add_watch(fd, sub, IN_ALL_EVENTS);
	inotify_rm_watch(fd, inotify_add_watch(fd, argv[2], IN_ALL_EVENTS));
	int own = inotify_add_watch(fd, file, IN_MODIFY | IN_CLOSE_WRITE);
	check(directory == 2 && own == 4, "numbers %d %d", directory, own);
	told(fd, 0);
	ready();
	wait_for(argv[1]);

	int size = -1;
	check(ioctl(fd, FIONREAD, &size) == 0 && size == 0, "%d bytes of events", size);
	snprintf(path, sizeof(path), "%s/new", sub);
	close(open(path, O_CREAT | O_WRONLY, 0644));
	check(told(fd, directory) == (IN_CREATE | IN_OPEN | IN_CLOSE_WRITE), "the directory is not watched");
	int out = open(file, O_WRONLY);
	check(write(out, "x", 1) == 1, "write: %m");
	close(out);
	check(told(fd, own) == (IN_MODIFY | IN_CLOSE_WRITE), "the file is not watched");
	return done();
}
