/* Stopped by signals: the program itself (argv[2] = self), or its children, of which it has been told or not. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static volatile sig_atomic_t deaths;
static volatile int turns;

static void on_child(int signal)
{
	(void)signal;
	deaths++;
}

static void *turn(void *nothing)
{
	for (;;) {
		turns++;
		usleep(1000);
	}
	return nothing;
}

static char state(pid_t pid)
{
	char path[64], text[512] = "";
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	int fd = open(path, O_RDONLY);
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	char *end = strrchr(text, ')');
	return end ? end[2] : '?';
}

static pid_t child(int threads, int how)
{
	int pipes[2];
	char byte;

	check(pipe(pipes) == 0, "pipe: %m");
	pid_t pid = fork();
	if (pid == 0) {
		pthread_t id;
		close(pipes[0]);
		for (int i = 0; i < threads; i++)
			pthread_create(&id, NULL, turn, NULL);
		/* In the group of a session's leader, SIGTSTP would do nothing: man 7 credentials, man 2 setpgid, orphaned groups. */
		setpgid(0, 0);
		close(pipes[1]);
		raise(how);
		/* Here once it is continued. */
		for (;;)
			pause();
	}
	close(pipes[1]);
	if (read(pipes[0], &byte, 1) != 0)
		fail("no end of file");
	close(pipes[0]);
	/* All of its threads, which /proc/PID/stat does not tell; the report stays. */
	siginfo_t info;
	check(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT) == 0, "waitid: %m");
	return pid;
}

static int told(pid_t pid, int flags)
{
	siginfo_t info;

	info.si_pid = 0;
	check(waitid(P_PID, (id_t)pid, &info, WNOHANG | WSTOPPED | flags) == 0, "waitid: %m");
	return info.si_pid == pid ? info.si_status : 0;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[2], "self")) {
		pthread_t id;
		for (int i = 0; i < 3; i++)
			pthread_create(&id, NULL, turn, NULL);
		ready();
		raise(SIGSTOP);
		int before = turns;
		wait_for(argv[1]);
		while (turns <= before + 10)
			usleep(1000);
		return done();
	}
	signal(SIGCHLD, on_child);
	pid_t known = child(3, SIGSTOP), unknown = child(0, SIGSTOP), terminal = child(0, SIGTSTP), job = child(0, SIGTSTP);
	check(told(known, 0) == SIGSTOP && told(terminal, 0) == SIGTSTP, "not told of the stops");
	int before = deaths;
	ready();
	wait_for(argv[1]);
	check(deaths == before, "%d more signals of children", deaths - before);
	check(state(known) == 'T' && state(unknown) == 'T' && state(terminal) == 'T', "children are %c %c %c", state(known), state(unknown), state(terminal));
	check(told(known, WNOWAIT) == 0 && told(terminal, WNOWAIT) == 0, "told again of a stop");
	check(told(unknown, 0) == SIGSTOP, "never told of a stop");
	check(told(job, 0) == SIGTSTP, "not told that SIGTSTP stopped it");
	pid_t pids[] = { known, unknown, terminal, job };
	for (int i = 0; i < 4; i++) {
		int status = 0;
		kill(pids[i], SIGCONT);
		check(waitpid(pids[i], &status, WCONTINUED) == pids[i] && WIFCONTINUED(status), "child %d is not continued: %x", i, status);
		kill(pids[i], SIGUSR1);
		check(waitpid(pids[i], &status, 0) == pids[i] && WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1, "child %d ended with %x", i, status);
	}
	return done();
}
