/* Descriptors of processes: pidfds GO [more]. Without the argument what CRIU carries as well. */
#include "check.h"
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PIDFD_NONBLOCK O_NONBLOCK
#define PIDFD_THREAD O_EXCL
/* _IOWR(0xFF, 11, struct pidfd_info) of its first version; PIDFD_INFO_EXIT */
#define PIDFD_GET_INFO 0xc040ff0b
#define INFO_EXIT 8

static int open_pidfd(int pid, int flags)
{
	int fd = syscall(SYS_pidfd_open, pid, flags);

	check(fd >= 0, "pidfd_open %d: %m", pid);
	return fd;
}

static int send(int pidfd, int signal)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0 ? 0 : -errno;
}

static int has_ended(int pidfd)
{
	struct pollfd poll_for = { .fd = pidfd, .events = POLLIN };

	return poll(&poll_for, 1, 0) == 1 && (poll_for.revents & POLLIN) != 0;
}

static ino_t inode(int fd)
{
	struct stat st;

	check(fstat(fd, &st) == 0, "fstat: %m");
	return st.st_ino;
}

static int fork_and_exit(int code)
{
	int pid = fork();

	if (pid == 0)
		_exit(code);
	return pid;
}

/* How it ended, or -1 where the kernel does not say. */
static int exit_of(int pidfd)
{
	uint64_t info[8] = { INFO_EXIT };

	if (ioctl(pidfd, PIDFD_GET_INFO, info) != 0 || !(info[0] & INFO_EXIT))
		return -1;
	return (int)(info[7] >> 32);
}

int main(int argc, char **argv)
{
	int more = argc > 2, self = open_pidfd(getpid(), 0), waits = open_pidfd(getpid(), PIDFD_NONBLOCK), shared = dup(self);
	int pid = fork_and_exit(0), gone = open_pidfd(pid, 0), twin = open_pidfd(pid, PIDFD_NONBLOCK);
	int other_pid = fork_and_exit(5), other = open_pidfd(other_pid, 0), thread = -1, killed = -1;

	check(waitpid(pid, NULL, 0) == pid && waitpid(other_pid, NULL, 0) == other_pid, "waitpid: %m");
	int had = exit_of(other);
	if (more) {
		thread = open_pidfd(getpid(), PIDFD_THREAD);
		pid = fork();
		if (pid == 0)
			for (;;)
				pause();
		killed = open_pidfd(pid, 0);
		kill(pid, SIGTERM);
		waitpid(pid, NULL, 0);
	}
	ready();
	wait_for(argv[1]);

	check(inode(self) == inode(waits) && inode(self) != inode(gone) && inode(shared) == inode(self), "processes are mixed up");
	check(inode(gone) == inode(twin) && inode(gone) != inode(other), "those that are gone are mixed up");
	check((fcntl(waits, F_GETFL) & O_NONBLOCK) && !(fcntl(self, F_GETFL) & O_NONBLOCK) && (fcntl(twin, F_GETFL) & O_NONBLOCK), "flags differ");
	check(send(self, 0) == 0 && !has_ended(self) && send(gone, 0) == -ESRCH && has_ended(gone), "who lives: %d %d", send(self, 0), send(gone, 0));
	check(send(twin, SIGKILL) == -ESRCH && send(other, SIGKILL) == -ESRCH, "somebody else is meant now");
	signal(SIGUSR1, SIG_IGN);
	check(send(shared, SIGUSR1) == 0, "send: %m");
	if (more) {
		check((fcntl(thread, F_GETFL) & PIDFD_THREAD) && send(thread, 0) == 0, "PIDFD_THREAD is lost");
		check(had == -1 || (exit_of(other) == 5 << 8 && exit_of(gone) == 0 && exit_of(killed) == SIGTERM), "how they ended: %x %x %x", exit_of(other),
		      exit_of(gone), exit_of(killed));
	}
	return done();
}
