/*
 * Processes that make the next process and end, all the time, in a few lines of succession; each hands on a count. A process that a dump
 * did not stop, or that a restore lacks, breaks its line. The first process adopts and buries them.
 */
#include "check.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define LINES 3
#define LIVES_MAX 2000000

struct line {
	volatile long count;
	volatile int over;
};

static struct line *lines;
static pid_t root;

/* An heir begins when its parent has written the count, and ends when it has one itself. */
static void live(int line)
{
	for (long own = 1; own < LIVES_MAX; own++) {
		pid_t heir;

		/* Nobody buries the dead when a test was killed, and the machine would be full of them. */
		if (lines[line].over || kill(root, 0) != 0)
			_exit(7);
		lines[line].count = own;
		heir = fork();
		if (heir > 0)
			_exit(0);
		if (heir < 0)
			usleep(1000), own--;
	}
	_exit(9);
}

static volatile int endings;

/* How many of the dead were the last of their line. */
static void bury(void)
{
	int status;

	while (waitpid(-1, &status, WNOHANG) > 0) {
		check(WIFEXITED(status), "a process was killed: %x", (unsigned int)status);
		if (WEXITSTATUS(status) == 7)
			endings++;
		else
			check(WEXITSTATUS(status) == 0, "a process ended with %d", WEXITSTATUS(status));
	}
}

int main(int argc, char **argv)
{
	long before[LINES];
	time_t end;

	(void)argc;
	lines = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	root = getpid();
	check(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0, "subreaper: %m");
	for (int line = 0; line < LINES; line++)
		if (fork() == 0)
			live(line);
	ready();
	while (access(argv[1], F_OK) != 0) {
		bury();
		usleep(500);
	}
	/* All lines go on. */
	for (int line = 0; line < LINES; line++)
		before[line] = lines[line].count;
	end = time(NULL) + 30;
	for (int line = 0; line < LINES; line++) {
		while (lines[line].count < before[line] + 10 && time(NULL) < end) {
			bury();
			usleep(500);
		}
		check(lines[line].count >= before[line] + 10, "line %d has ended", line);
	}
	for (int line = 0; line < LINES; line++)
		lines[line].over = 1;
	while (endings < LINES && time(NULL) < end) {
		bury();
		usleep(500);
	}
	check(endings == LINES, "%d lines have ended", endings);
	return done();
}
