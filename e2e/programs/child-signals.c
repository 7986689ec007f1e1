/*
 * What wait(2) and signals tell a parent of its children: child-signals GO WHAT.
 * "exit-signals": children that clone(2) made with other signals than SIGCHLD, one of them dead. "continued": children that were
 * stopped and continued, of which the parent has been told or not. "owners": dead children of another user.
 */
#include "check.h"
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define STACK (64 * 1024)

static char stacks[4][STACK] __attribute__((aligned(64)));
static volatile int heard[65];

/* Shared with all children. */
static struct {
	volatile int leave, continued[3];
} *board;

static void hear(int signal)
{
	heard[signal]++;
}

static int live(void *unused)
{
	(void)unused;
	while (!board->leave)
		usleep(2000);
	_exit(7);
}

static int die(void *unused)
{
	(void)unused;
	_exit(3);
}

static int wait_plain(pid_t pid)
{
	return waitpid(pid, NULL, WNOHANG) == -1 ? errno : 0;
}

static void exit_signals(const char *go)
{
	int status = 0, of_dead;
	pid_t silent = clone(live, stacks[0] + STACK, 0, NULL);
	pid_t loud = clone(live, stacks[1] + STACK, CLONE_VM | SIGUSR1, NULL);
	pid_t dead = clone(die, stacks[2] + STACK, SIGRTMIN + 2, NULL);
	pid_t plain = clone(live, stacks[3] + STACK, SIGCHLD, NULL);
	siginfo_t info;

	check(silent > 0 && loud > 0 && dead > 0 && plain > 0, "clone: %m");
	check(waitid(P_PID, (id_t)dead, &info, WEXITED | WNOWAIT | __WALL) == 0, "waitid: %m");
	while (heard[SIGRTMIN + 2] == 0)
		usleep(1000);
	of_dead = heard[SIGRTMIN + 2];
	ready();
	wait_for(go);
	check(heard[SIGRTMIN + 2] == of_dead, "told of the dead one again");
	check(heard[SIGCHLD] == 0 && heard[SIGUSR1] == 0, "signals of those that live: %d %d", heard[SIGCHLD], heard[SIGUSR1]);
	check(wait_plain(dead) == ECHILD, "the dead one is a plain child");
	check(waitpid(dead, &status, __WALL) == dead && status == 0x300, "the dead one: %x", (unsigned int)status);
	check(wait_plain(silent) == ECHILD && wait_plain(loud) == ECHILD, "those that live are plain children");
	board->leave = 1;
	check(waitpid(plain, &status, 0) == plain && status == 0x700, "the plain one: %x", (unsigned int)status);
	check(waitpid(silent, &status, __WCLONE) == silent && status == 0x700, "the silent one: %x", (unsigned int)status);
	check(waitpid(loud, &status, __WCLONE) == loud && status == 0x700, "the loud one: %x", (unsigned int)status);
	check(heard[SIGCHLD] == 1 && heard[SIGUSR1] == 1, "signals of their ends: %d %d", heard[SIGCHLD], heard[SIGUSR1]);
}

/* Also the parent's user when it looks: it may signal them, as they are its own. */
static void owners(const char *go)
{
	pid_t child[2];
	siginfo_t info;

	for (int i = 0; i < 2; i++) {
		child[i] = fork();
		if (child[i] == 0) {
			check(setgid(1234) == 0 && setuid(1000) == 0, "setuid: %m");
			if (i == 1)
				raise(SIGKILL);
			_exit(failures == 0 ? 3 : 4);
		}
		waitid(P_PID, (id_t)child[i], &info, WEXITED | WNOWAIT);
	}
	check(setgid(1234) == 0 && setuid(1000) == 0, "setuid: %m");
	ready();
	wait_for(go);
	for (int i = 0; i < 2; i++) {
		check(kill(child[i], 0) == 0, "kill: %m");
		check(waitid(P_PID, (id_t)child[i], &info, WEXITED) == 0, "waitid: %m");
		check(info.si_uid == 1000, "child %d: of user %u", i, info.si_uid);
		check(info.si_status == (i == 0 ? 3 : SIGKILL), "child %d: status %d", i, info.si_status);
	}
}

static pid_t stopper;

static void note_continued(int signal)
{
	(void)signal;
	board->continued[stopper]++;
}

/* Child 0 has been told of, child 1 has not, child 2 neither and it handles SIGCONT. */
static void continued(const char *go)
{
	pid_t child[3];
	siginfo_t info;
	int before;

	for (int i = 0; i < 3; i++) {
		child[i] = fork();
		if (child[i] == 0) {
			stopper = i;
			if (i == 2)
				signal(SIGCONT, note_continued);
			board->continued[i] = 1;
			live(NULL);
		}
		while (board->continued[i] == 0)
			usleep(1000);
		check(kill(child[i], SIGSTOP) == 0 && waitid(P_PID, (id_t)child[i], &info, WSTOPPED) == 0, "stop: %m");
		kill(child[i], SIGCONT);
		check(waitid(P_PID, (id_t)child[i], &info, WCONTINUED | (i == 0 ? 0 : WNOWAIT)) == 0, "waitid: %m");
	}
	while (board->continued[2] < 2)
		usleep(1000);
	before = heard[SIGCHLD];
	ready();
	wait_for(go);
	check(heard[SIGCHLD] == before, "SIGCHLD came %d times more", heard[SIGCHLD] - before);
	check(board->continued[2] == 2, "child 2 has handled SIGCONT %d times", board->continued[2] - 1);
	for (int i = 0; i < 3; i++) {
		memset(&info, 0, sizeof(info));
		check(waitid(P_PID, (id_t)child[i], &info, WSTOPPED | WNOHANG) == 0 && info.si_pid == 0, "child %d is stopped", i);
		check(waitid(P_PID, (id_t)child[i], &info, WCONTINUED | WNOHANG) == 0, "waitid: %m");
		check(info.si_pid == (i == 0 ? 0 : child[i]), "child %d continued: told of %d", i, info.si_pid);
	}
	board->leave = 1;
	while (wait(NULL) > 0)
		;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = hear, .sa_flags = SA_RESTART };

	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	sigaction(SIGCHLD, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGRTMIN + 2, &action, NULL);
	if (argc > 2 && strcmp(argv[2], "continued") == 0)
		continued(argv[1]);
	else if (argc > 2 && strcmp(argv[2], "owners") == 0)
		owners(argv[1]);
	else
		exit_signals(argv[1]);
	return done();
}
