/* Children that died of each signal that dumps core, and did: their parent is told so by wait(2) afterwards. */
#include "check.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const int signals[] = { SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS };
#define SIGNALS ((int)(sizeof(signals) / sizeof(*signals)))

int main(int argc, char **argv)
{
	pid_t pids[SIGNALS];
	siginfo_t info;

	(void)argc;
	for (int i = 0; i < SIGNALS; i++) {
		if ((pids[i] = fork()) == 0) {
			struct rlimit limit;

			getrlimit(RLIMIT_CORE, &limit);
			limit.rlim_cur = limit.rlim_max;
			setrlimit(RLIMIT_CORE, &limit);
			raise(signals[i]);
			_exit(1);
		}
		check(waitid(P_PID, pids[i], &info, WEXITED | WNOWAIT) == 0, "waitid: %m");
		check(info.si_code == CLD_DUMPED, "child %d has dumped no core", i);
	}
	unlink("core");
	ready();
	wait_for(argv[1]);
	for (int i = 0; i < SIGNALS; i++) {
		int status = 0;

		check(waitpid(pids[i], &status, 0) == pids[i] && status == (signals[i] | WCOREFLAG), "child %d: status %x", i,
		      (unsigned int)status);
	}
	check(access("core", F_OK) != 0, "the restore has left a core file");
	return done();
}
