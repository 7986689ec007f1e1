/*
 * measure RESULT COMMAND...: runs COMMAND and writes one line of JSON to the file RESULT: when it began (microseconds of the epoch), wall-clock microseconds from before
 * the fork until the command is reaped, peak resident KiB, exit status. A process of its own and not node's spawn,
 * because ru_maxrss is inherited over exec (exec_mmap() in fs/exec.c): a child of node would look as big as node.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec epoch, begin, end;
	struct rusage usage;
	int status;

	if (argc < 3)
		return 2;
	clock_gettime(CLOCK_REALTIME, &epoch);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	pid_t child = vfork();
	if (child < 0)
		return 3;
	if (child == 0) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (wait4(child, &status, 0, &usage) != child)
		return 4;
	clock_gettime(CLOCK_MONOTONIC, &end);
	FILE *result = fopen(argv[1], "w");
	if (result == NULL)
		return 5;
	fprintf(result, "{\"beginUs\": %ld, \"wallUs\": %ld, \"peakKib\": %ld, \"cpuUs\": %ld, \"status\": %d}\n",
		epoch.tv_sec * 1000000 + epoch.tv_nsec / 1000, (end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000, usage.ru_maxrss,
		(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec,
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return fclose(result) != 0;
}
