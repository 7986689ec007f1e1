/*
 * Sleeps that the kernel writes the time left of when something interrupts them: a call that is made again after a restore sleeps that time, not
 * the whole. Each child sleeps in one of them, with its time in memory that all share; its parent looks at it.
 */
#include "check.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SECONDS 1000

static const char *const calls[] = { "nanosleep", "clock_nanosleep", "select", "pselect6", "ppoll" };
#define CALLS ((int)(sizeof(calls) / sizeof(*calls)))

static long sleep_in(int call, struct timespec *time)
{
	switch (call) {
	case 0:
		return syscall(SYS_nanosleep, time, time);
	case 1:
		return syscall(SYS_clock_nanosleep, CLOCK_BOOTTIME, 0, time, time);
	case 2:
		return syscall(SYS_select, 0, NULL, NULL, NULL, time);
	case 3:
		return syscall(SYS_pselect6, 0, NULL, NULL, NULL, time, NULL);
	default:
		return syscall(SYS_ppoll, NULL, 0, time, NULL, 8);
	}
}

int main(int argc, char **argv)
{
	struct timespec *left = mmap(NULL, sizeof(*left) * CALLS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[CALLS];
	siginfo_t info;

	(void)argc;
	for (int i = 0; i < CALLS; i++) {
		left[i].tv_sec = SECONDS;
		if ((pids[i] = fork()) == 0)
			_exit(sleep_in(i, &left[i]) == 0 ? 1 : 2);
	}
	/* Long enough that all are asleep, and some time is gone. */
	nanosleep(&(struct timespec){ 0, 300000000 }, NULL);
	for (int i = 0; i < CALLS; i++)
		check(left[i].tv_sec == SECONDS, "%s does not sleep", calls[i]);
	ready();
	wait_for(argv[1]);
	info.si_pid = 0;
	check(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0, "a sleep is over");
	for (int i = 0; i < CALLS; i++) {
		printf("%s: %ld s left\n", calls[i], left[i].tv_sec);
		check(left[i].tv_sec < SECONDS && left[i].tv_sec > SECONDS / 2, "%s: %ld s left", calls[i], left[i].tv_sec);
		kill(pids[i], SIGKILL);
		check(waitpid(pids[i], NULL, 0) == pids[i], "waitpid: %m");
	}
	return done();
}
