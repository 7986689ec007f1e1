/* inotify-proc GO: a watch in procfs, whose handles nobody opens; the name is nowhere but here. */
#include "check.h"
#include <sys/inotify.h>

int main(int argc, char **argv)
{
	const char *path = "/proc/sys/kernel/ostype";
	char buffer[4096] __attribute__((aligned(8)));
	struct inotify_event *event = (void *)buffer;
	int fd = inotify_init1(IN_NONBLOCK), wd = inotify_add_watch(fd, path, IN_OPEN);

	(void)argc;
	check(wd > 0, "watch: %m");
	ready();
	wait_for(argv[1]);
	check(read(fd, buffer, sizeof(buffer)) < 0 && errno == EAGAIN, "the restore is heard: %m");
	close(open(path, O_RDONLY));
	check(read(fd, buffer, sizeof(buffer)) > 0 && event->wd == wd && event->mask == IN_OPEN, "it is not watched: %m");
	return done();
}
