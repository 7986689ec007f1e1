/* A directory that tells of changes by a signal. */
#include "check.h"
#include <signal.h>

static volatile sig_atomic_t told;

static void on_signal(int signal)
{
	(void)signal;
	told = 1;
}

int main(int argc, char **argv)
{
	char path[4096];

	(void)argc;
	signal(SIGIO, on_signal);
	int fd = open(argv[2], O_RDONLY | O_DIRECTORY);
	check(fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT) == 0, "F_NOTIFY: %m");
	ready();
	wait_for(argv[1]);

	told = 0;
	snprintf(path, sizeof(path), "%s/new", argv[2]);
	close(open(path, O_CREAT | O_WRONLY, 0644));
	for (int i = 0; i < 1000 && !told; i++)
		usleep(1000);
	check(told, "nothing is told");
	return done();
}
