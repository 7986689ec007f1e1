/* Sits in a system call (argv[2]) over the dump; the call must end as if nothing had happened. */
#include "check.h"
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static volatile sig_atomic_t got;

static void on_signal(int signal)
{
	got = signal;
}

int main(int argc, char **argv)
{
	const char *call = argc > 2 ? argv[2] : "";
	struct timespec second = { 1, 0 }, before, after, end;
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t set;
	static int word = 5;
	long result = -1, want = 0;
	int error = 0;

	(void)argv;
	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&set);
	clock_gettime(CLOCK_MONOTONIC, &before);
	end = before;
	end.tv_sec += 1;
	/* Another process ends the wait, after the same second. */
	int pipes[2] = { -1, -1 }, epoll = -1;
	pid_t child = 0;
	char byte;
	if (!strcmp(call, "epoll_wait"))
		check((epoll = epoll_create1(0)) >= 0, "epoll: %m");
	if (!strcmp(call, "read") || !strcmp(call, "wait4")) {
		check(pipe(pipes) == 0, "pipe: %m");
		if ((child = fork()) == 0) {
			nanosleep(&second, NULL);
			_exit(write(pipes[1], "x", 1) == 1 ? 7 : 8);
		}
		clock_gettime(CLOCK_MONOTONIC, &before);
	}
	ready();
	errno = 0;
	if (!strcmp(call, "nanosleep"))
		result = nanosleep(&second, NULL);
	else if (!strcmp(call, "clock_nanosleep"))
		result = syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
	else if (!strcmp(call, "poll"))
		result = poll(NULL, 0, 1000);
	else if (!strcmp(call, "select"))
		result = select(0, NULL, NULL, NULL, &(struct timeval){ 1, 0 });
	else if (!strcmp(call, "futex"))
		result = syscall(SYS_futex, &word, FUTEX_WAIT, 5, &second, NULL, 0), want = -1, error = ETIMEDOUT;
	else if (!strcmp(call, "sigtimedwait"))
		result = sigtimedwait(&set, NULL, &second), want = -1, error = EAGAIN;
	else if (!strcmp(call, "epoll_wait"))
		result = epoll_wait(epoll, &(struct epoll_event){ 0 }, 1, 1000);
	else if (!strcmp(call, "read"))
		result = read(pipes[0], &byte, 1), want = 1;
	else if (!strcmp(call, "wait4"))
		result = wait4(child, NULL, 0, NULL), want = child;
	else if (!strcmp(call, "pause"))
		result = pause(), want = -1, error = EINTR;
	else if (!strcmp(call, "sigsuspend"))
		result = sigsuspend(&set), want = -1, error = EINTR;
	int seen = errno;
	clock_gettime(CLOCK_MONOTONIC, &after);
	check(result == want && (want >= 0 || seen == error), "%s gives %ld, errno %s", call, result, strerror(seen));
	if (error == EINTR)
		check(got == SIGUSR1, "woken without the signal");
	else
		check((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= (child ? 900 : 990), "%s ended too early", call);
	return done();
}
