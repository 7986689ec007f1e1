/* A flock that a child took on a description of its parent's: it is the description's, whoever of them lives. */
#include "check.h"
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
	char path[4096];
	int ends[2], byte;

	(void)argc;
	snprintf(path, sizeof(path), "%s/file", argv[2]);
	int fd = open(path, O_RDWR | O_CREAT, 0644), again;
	check(pipe(ends) == 0, "pipe: %m");
	int first = fork();
	if (first == 0) {
		check(flock(fd, LOCK_EX) == 0, "flock: %m");
		check(write(ends[1], "x", 1) == 1, "write: %m");
		for (;;)
			pause();
	}
	int second = fork();
	if (second == 0)
		for (;;)
			pause();
	check(read(ends[0], &byte, 1) == 1, "read: %m");
	ready();
	wait_for(argv[1]);

	again = open(path, O_RDWR);
	check(flock(again, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK, "the lock is lost");
	kill(first, SIGKILL);
	waitpid(first, NULL, 0);
	check(flock(again, LOCK_EX | LOCK_NB) == -1, "the lock died with who took it");
	check(flock(fd, LOCK_UN) == 0 && flock(again, LOCK_EX | LOCK_NB) == 0, "the parent cannot unlock it");
	kill(second, SIGKILL);
	waitpid(second, NULL, 0);
	return done();
}
