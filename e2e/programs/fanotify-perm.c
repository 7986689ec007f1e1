/* A program that decides who may open a file (argv[3]: file), or any file of a mount (mount). */
#include "check.h"
#include <sys/fanotify.h>
#include <sys/wait.h>

static void decide(int fd, const char *path, int response, int wanted)
{
	int child = fork(), status;

	if (child == 0)
		_exit(open(path, O_RDONLY) >= 0 ? 0 : errno);
	struct fanotify_event_metadata event = { .fd = -1 };
	check(read(fd, &event, sizeof(event)) == sizeof(event) && event.mask == FAN_OPEN_PERM, "read: %m, mask 0x%llx", event.mask);
	struct fanotify_response answer = { event.fd, (unsigned)response };
	check(write(fd, &answer, sizeof(answer)) == sizeof(answer), "write: %m");
	close(event.fd);
	waitpid(child, &status, 0);
	check(WEXITSTATUS(status) == wanted, "the child ends with %d", WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
	char path[4096];

	(void)argc;
	snprintf(path, sizeof(path), "%s/guarded", argv[2]);
	close(open(path, O_RDWR | O_CREAT, 0644));
	int fd = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC, O_RDONLY);
	if (!strcmp(argv[3], "mount"))
		check(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN_PERM, AT_FDCWD, argv[4]) == 0, "mark: %m");
	else
		check(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, path) == 0, "mark: %m");
	ready();
	wait_for(argv[1]);

	if (!strcmp(argv[3], "file")) {
		decide(fd, path, FAN_ALLOW, 0);
		decide(fd, path, FAN_DENY, EPERM);
	}
	return done();
}
