/* Leases that others wait for the end of: they are to become what they were to, and nobody is told a second time. */
#include "check.h"
#include <signal.h>
#include <sys/wait.h>

static volatile sig_atomic_t told, told_of;

static void on_break(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	told++;
	told_of = info->si_fd;
}

static int leased(const char *name, int flags, int type)
{
	int fd = open(name, flags | O_CREAT, 0644);

	check(fcntl(fd, F_SETLEASE, type) == 0, "lease of %s: %m", name);
	check(fcntl(fd, F_SETSIG, SIGRTMIN) == 0, "F_SETSIG: %m");
	return fd;
}

static void is_broken(const char *name, int flags)
{
	check(open(name, flags | O_NONBLOCK) == -1 && errno == EWOULDBLOCK, "%s is not leased", name);
}

static int is_leased(int fd, int type)
{
	return fcntl(fd, F_GETLEASE) == type && fcntl(fd, F_GETOWN) == getpid() && fcntl(fd, F_GETSIG) == SIGRTMIN;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_break, .sa_flags = SA_SIGINFO };
	int fds[6], status = -1, told_before;
	pid_t child;

	check(argc == 3 && chdir(argv[2]) == 0, "chdir: %m");
	sigaction(SIGRTMIN, &action, NULL);
	fds[0] = leased("read", O_RDONLY, F_RDLCK);
	fds[1] = leased("read", O_RDONLY, F_RDLCK);
	fds[2] = leased("to-read", O_RDWR, F_WRLCK);
	fds[3] = leased("written", O_WRONLY, F_WRLCK);
	fds[4] = leased("only-read", O_RDONLY, F_WRLCK);
	fds[5] = leased("waited", O_RDWR, F_WRLCK);
	is_broken("read", O_WRONLY);
	is_broken("to-read", O_RDONLY);
	is_broken("written", O_WRONLY);
	is_broken("only-read", O_RDONLY);
	child = fork();
	if (child == 0) {
		for (int i = 0; i < 6; i++)
			close(fds[i]);
		_exit(open("waited", O_RDWR) < 0);
	}
	while (fcntl(fds[5], F_GETLEASE) != F_UNLCK)
		usleep(1000);
	told_before = told;
	check(told == 6, "told %d times", told);
	ready();
	wait_for(argv[1]);

	check(told == told_before, "told %d times again, of %d", told - told_before, told_of);
	check(is_leased(fds[0], F_UNLCK) && is_leased(fds[1], F_UNLCK), "read: %d, %d", fcntl(fds[0], F_GETLEASE), fcntl(fds[1], F_GETLEASE));
	check(is_leased(fds[2], F_RDLCK), "to-read: %d", fcntl(fds[2], F_GETLEASE));
	check(is_leased(fds[3], F_UNLCK), "written: %d", fcntl(fds[3], F_GETLEASE));
	check(is_leased(fds[4], F_RDLCK), "only-read: %d", fcntl(fds[4], F_GETLEASE));
	is_broken("written", O_WRONLY);
	check(waitpid(child, &status, WNOHANG) == 0, "the other did not wait: %x", status);
	check(fcntl(fds[5], F_SETLEASE, F_UNLCK) == 0, "F_UNLCK: %m");
	check(waitpid(child, &status, 0) == child && status == 0, "the other has not opened it: %x", status);
	/* It may be kept for reading, and is broken anew then. */
	check(fcntl(fds[4], F_SETLEASE, F_RDLCK) == 0, "F_RDLCK: %m");
	is_broken("only-read", O_WRONLY);
	check(told == told_before + 1 && told_of == fds[4], "told %d times of %d", told - told_before, told_of);
	return done();
}
