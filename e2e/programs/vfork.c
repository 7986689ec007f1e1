/* Waits in vfork(2) for a child that waits for the go file: nothing but a fatal signal ends that wait. */
#include "check.h"
#include <sys/wait.h>

int main(int argc, char **argv)
{
	int status = -1;
	pid_t child;

	(void)argc;
	child = vfork();
	if (child == 0) {
		/* It shares the memory of the parent until it ends. */
		ready();
		wait_for(argv[1]);
		_exit(7);
	}
	check(child > 0, "vfork: %s", strerror(errno));
	check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7, "the child ended with %x", status);
	return done();
}
