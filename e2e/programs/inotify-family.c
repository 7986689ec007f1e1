/* An instance that parent and child share, and one that the child has alone; both wait in a poll. */
#include "check.h"
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
	char sub[4096], path[8192], buffer[4096] __attribute__((aligned(8)));
	int ends[2], status, byte;

	(void)argc;
	snprintf(sub, sizeof(sub), "%s/sub", argv[2]);
	mkdir(sub, 0755);
	int shared = inotify_init1(IN_NONBLOCK);
	int wd = inotify_add_watch(shared, sub, IN_CREATE);
	check(pipe(ends) == 0, "pipe: %m");
	int child = fork();
	if (child == 0) {
		int own = inotify_init();
		int own_wd = inotify_add_watch(own, sub, IN_DELETE | IN_ONESHOT);
		struct pollfd polled = { .fd = own, .events = POLLIN };
		check(write(ends[1], "x", 1) == 1, "write: %m");
		check(poll(&polled, 1, -1) == 1, "poll: %m");
		struct inotify_event *event = (void *)buffer;
		check(read(own, buffer, sizeof(buffer)) > 0 && event->wd == own_wd && event->mask == IN_DELETE, "the child's own watch");
		check(read(shared, buffer, sizeof(buffer)) > 0 && event->wd == wd && event->mask == IN_CREATE, "the shared watch");
		fflush(stdout);
		_exit(failures);
	}
	check(read(ends[0], &byte, 1) == 1, "read: %m");
	ready();
	wait_for(argv[1]);

	check(read(shared, buffer, sizeof(buffer)) == -1 && errno == EAGAIN, "the restore is heard");
	snprintf(path, sizeof(path), "%s/new", sub);
	close(open(path, O_CREAT | O_WRONLY, 0644));
	unlink(path);
	waitpid(child, &status, 0);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ends with 0x%x", status);
	check(read(shared, buffer, sizeof(buffer)) == -1 && errno == EAGAIN, "the instance is not shared any more");
	return done();
}
