/* Signals that are read: sets, flags, signals that are pending. */
#include "check.h"
#include <signal.h>
#include <sys/signalfd.h>

static int read_signal(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : -errno;
}

int main(int argc, char **argv)
{
	sigset_t one, two, all;

	(void)argc;
	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	sigaddset(&one, SIGRTMAX);
	sigemptyset(&two);
	sigaddset(&two, SIGUSR2);
	sigfillset(&all);
	check(sigprocmask(SIG_BLOCK, &all, NULL) == 0, "sigprocmask: %m");
	int first = signalfd(-1, &one, SFD_NONBLOCK | SFD_CLOEXEC), second = signalfd(-1, &two, 0), every = signalfd(-1, &all, SFD_NONBLOCK);
	int shared = dup(first);
	check(raise(SIGUSR2) == 0 && kill(getpid(), SIGRTMAX) == 0, "kill: %m");
	ready();
	wait_for(argv[1]);

	check(fcntl(first, F_GETFL) == (O_RDWR | O_NONBLOCK) && fcntl(second, F_GETFL) == O_RDWR && fcntl(first, F_GETFD) == FD_CLOEXEC, "flags differ");
	check(read_signal(first) == SIGRTMAX && read_signal(first) == -EAGAIN, "signals of the first set");
	check(read_signal(second) == SIGUSR2, "signals of the second set");
	check(kill(getpid(), SIGUSR1) == 0 && read_signal(shared) == SIGUSR1, "signals through the other descriptor");
	check(kill(getpid(), SIGTERM) == 0 && read_signal(first) == -EAGAIN && read_signal(every) == SIGTERM, "signals of all");
	return done();
}
