/* Watches on a file and a directory that are deleted and open, and on the directory where they were: nothing of their return is heard. */
#include "check.h"
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static char buffer[65536] __attribute__((aligned(8)));

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
	char file[4096];

	(void)argc;
	snprintf(file, sizeof(file), "%s/file", argv[2]);
	int open_file = open(file, O_CREAT | O_RDWR, 0644);
	check(write(open_file, "contents", 8) == 8, "write: %m");
	int fd = inotify_init1(IN_NONBLOCK);
	int parent = inotify_add_watch(fd, argv[2], IN_ALL_EVENTS);
	int own = inotify_add_watch(fd, file, IN_ALL_EVENTS);
	unlink(file);
	while (read(fd, buffer, sizeof(buffer)) > 0)
		;
	/* The harness writes into this directory: only the file counts before the go. */
	ready();
	wait_for(argv[1]);

	ssize_t length = read(fd, buffer, sizeof(buffer));
	for (char *at = buffer; at < buffer + length; at += sizeof(struct inotify_event) + ((struct inotify_event *)at)->len) {
		struct inotify_event *event = (void *)at;
		check(event->wd == parent && event->len && (!strcmp(event->name, "output") || !strcmp(event->name, "go") || !strcmp(event->name, "images")),
		      "the restore is heard: %d 0x%x %s", event->wd, event->mask, event->len ? event->name : "");
	}
	check(pwrite(open_file, "x", 1, 0) == 1, "write: %m");
	check(told(fd, own) == IN_MODIFY, "the deleted file is not watched");
	close(open_file);
	unsigned last = told(fd, own);
	check((last & (IN_CLOSE_WRITE | IN_DELETE_SELF | IN_IGNORED)) == (IN_CLOSE_WRITE | IN_DELETE_SELF | IN_IGNORED), "its end is told as 0x%x", last);
	return done();
}
