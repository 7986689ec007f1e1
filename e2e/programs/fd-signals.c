/* Who gets the signals of a descriptor: thread, process, group, ids of the setter, F_SETSIG, O_ASYNC; no signal of the restore itself. argv[2]: without O_ASYNC, which CRIU loses. */
#include "check.h"
#include <signal.h>
#include <sys/syscall.h>

#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17
#endif

static volatile sig_atomic_t number, count;

static void on_signal(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	number = info->si_fd;
	count++;
}

int main(int argc, char **argv)
{
	int only = argc > 2, pipes[4][2], pid = getpid();
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	struct f_owner_ex owners[] = { { F_OWNER_PID, pid }, { F_OWNER_TID, pid }, { F_OWNER_PGRP, getpgrp() }, { 0, 0 } };

	sigaction(SIGRTMIN + 1, &action, NULL);
	sigaction(SIGIO, &action, NULL);
	for (int i = 0; i < 4; i++) {
		check(pipe(pipes[i]) == 0, "pipe: %m");
		if (i == 1)
			check(seteuid(1234) == 0, "seteuid: %m");
		if (i == 2)
			check(setresuid(1235, 0, 0) == 0, "setresuid: %m");
		if (i < 3)
			check(fcntl(pipes[i][0], F_SETOWN_EX, &owners[i]) == 0, "F_SETOWN_EX: %m");
		check(setresuid(0, 0, 0) == 0, "setresuid: %m");
		check(fcntl(pipes[i][0], F_SETSIG, SIGRTMIN + 1) == 0, "F_SETSIG: %m");
		if (!only)
			check(fcntl(pipes[i][0], F_SETFL, O_ASYNC | (i == 0 ? O_NONBLOCK : 0)) == 0, "F_SETFL: %m");
	}
	/* Contents: what fills the pipe again must not ring. */
	check(write(pipes[3][1], "x", 1) == 1, "write: %m");
	check(count == 0, "%d signals at the start", count);
	ready();
	wait_for(argv[1]);

	check(count == 0, "%d signals of the restore", count);
	for (int i = 0; i < 4; i++) {
		struct f_owner_ex now = { -1, -1 };
		unsigned ids[2] = { 0, 0 };
		check(fcntl(pipes[i][0], F_GETOWN_EX, &now) == 0 && now.pid == owners[i].pid && (i == 3 || now.type == owners[i].type), "owner %d is %d %d", i, now.type, now.pid);
		fcntl(pipes[i][0], F_GETOWNER_UIDS, ids);
		check(ids[0] == (i == 2 ? 1235u : 0) && ids[1] == (i == 1 ? 1234u : 0), "setter of %d is %u %u", i, ids[0], ids[1]);
		check(only || fcntl(pipes[i][0], F_GETSIG) == SIGRTMIN + 1, "signal of %d is %d", i, fcntl(pipes[i][0], F_GETSIG));
		check(only || (fcntl(pipes[i][0], F_GETFL) & (O_ASYNC | O_NONBLOCK)) == (O_ASYNC | (i == 0 ? O_NONBLOCK : 0)), "flags of %d are 0%o", i, fcntl(pipes[i][0], F_GETFL));
		int before = count;
		check(write(pipes[i][1], "y", 1) == 1, "write: %m");
		/* The setter's ids may not signal a process of root: 1 and 2 stay silent but for the group's own. */
		if (!only && i == 0)
			check(count == before + 1 && number == pipes[i][0], "pipe %d rings %d times, for %d", i, count - before, number);
		if (!only && i == 3)
			check(count == before, "a pipe without owner rings");
	}
	return done();
}
