/* Waits in vfork(2) for a child that waits for the go file: nothing but a fatal signal ends that wait. argv[2]: with a second thread. */
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>

static void *pauses(void *unused)
{
	for (;;)
		pause();
	return unused;
}

int main(int argc, char **argv)
{
	int status = -1;
	pthread_t thread;
	pid_t child;

	if (argc > 2)
		check(pthread_create(&thread, NULL, pauses, NULL) == 0, "pthread_create");
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
