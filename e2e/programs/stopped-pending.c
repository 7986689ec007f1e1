/* Stopped jobs with signals that wait for them, and end them: when they continue, not before. */
#include "check.h"
#include <signal.h>
#include <sys/wait.h>

static const int stops[] = { SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU };
static const int deaths[] = { SIGHUP, SIGUSR1, SIGTERM, 40 };
#define JOBS ((int)(sizeof(stops) / sizeof(*stops)))

int main(int argc, char **argv)
{
	pid_t jobs[JOBS];
	siginfo_t info;
	int status;

	(void)argc;
	for (int i = 0; i < JOBS; i++) {
		if ((jobs[i] = fork()) == 0)
			for (;;)
				pause();
		setpgid(jobs[i], jobs[i]);
		kill(jobs[i], stops[i]);
		check(waitpid(jobs[i], &status, WUNTRACED) == jobs[i] && WIFSTOPPED(status) && WSTOPSIG(status) == stops[i],
		      "job %d: status %x", i, (unsigned int)status);
		kill(jobs[i], deaths[i]);
	}
	ready();
	wait_for(argv[1]);
	info.si_pid = 0;
	check(waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0, "job %d has news of %d",
	      info.si_pid, info.si_status);
	for (int i = 0; i < JOBS; i++) {
		kill(jobs[i], SIGCONT);
		check(waitpid(jobs[i], &status, 0) == jobs[i] && WIFSIGNALED(status) && WTERMSIG(status) == deaths[i],
		      "job %d ended with %x", i, (unsigned int)status);
	}
	return done();
}
