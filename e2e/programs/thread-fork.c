/* A process that a thread has forked: it goes on on the stack of that thread, and the one that it was born with is in no use. */
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>

static char *go;

static void *forks(void *unused)
{
	int status = -1;
	pid_t child = fork();

	(void)unused;
	if (child == 0) {
		ready();
		wait_for(go);
		fflush(stdout);
		_exit(3);
	}
	check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 3, "the child ended with %x", status);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	check(argc == 2, "arguments");
	go = argv[1];
	check(pthread_create(&thread, NULL, forks, NULL) == 0 && pthread_join(thread, NULL) == 0, "thread");
	return done();
}
