/*
 * execer GO self: begins itself anew all the time, by execve(2). execer GO children: has one child after the other begin itself anew, by
 * vfork(2) and execve(2).
 */
#include "check.h"
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

/* Only the first says that it is ready: the last of its arguments counts. */
static int again(char **argv)
{
	static char count[24];

	if (argv[3] == NULL)
		ready();
	if (access(argv[1], F_OK) == 0)
		return done();
	snprintf(count, sizeof(count), "%ld", argv[3] == NULL ? 1 : atol(argv[3]) + 1);
	execve("/proc/self/exe", (char *[]){ argv[0], argv[1], argv[2], count, NULL }, environ);
	fail("execve: %m");
	return done();
}

static int children(char **argv)
{
	char *command[] = { argv[0], argv[1], "child", NULL };

	ready();
	while (access(argv[1], F_OK) != 0) {
		pid_t child;
		int status;
		int error = posix_spawn(&child, "/proc/self/exe", NULL, NULL, command, environ);

		check(error == 0, "posix_spawn: %s", strerror(error));
		if (error != 0)
			break;
		check(waitpid(child, &status, 0) == child, "waitpid: %m");
		check(status == 0, "a child ended with %x", (unsigned int)status);
	}
	return done();
}

int main(int argc, char **argv)
{
	(void)argc;
	if (strcmp(argv[2], "child") == 0)
		return 0;
	return strcmp(argv[2], "self") == 0 ? again(argv) : children(argv);
}
