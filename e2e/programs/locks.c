/* Locks of all kinds and leases: held again after the restore, seen by another process as before. argv[3]: "hold" or "wait" play with a lock of one file. */
#include "check.h"
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

static char dir[2048];

static const char *in(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void lock(int fd, int command, short type, off_t start, off_t length)
{
	struct flock what = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };

	check(fcntl(fd, command, &what) == 0, "lock %d: %m", fd);
}

/* What another process meets: type, start, length, pid of the lock in its way. */
static void others_meet(const char *name, short type, off_t start, off_t length, int pid)
{
	if (fork() == 0) {
		int fd = open(in(name), O_RDWR);
		struct flock what = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = 1 };
		failures = 0;
		check(fcntl(fd, F_GETLK, &what) == 0, "F_GETLK: %m");
		check(what.l_type == type && (type == F_UNLCK || (what.l_start == start && what.l_len == length && what.l_pid == pid)),
		      "%s at %ld: type %d start %ld length %ld pid %d", name, (long)start, what.l_type, (long)what.l_start, (long)what.l_len, what.l_pid);
		fflush(stdout);
		_exit(failures);
	}
	int status;
	wait(&status);
	failures += status != 0;
}

static volatile sig_atomic_t broken;

static void on_break(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	broken = info->si_fd;
}

static int play(const char *role, const char *go)
{
	int fd = open(in("file"), O_RDWR | O_CREAT, 0644);

	if (!strcmp(role, "hold")) {
		lock(fd, F_SETLK, F_WRLCK, 0, 0);
		ready();
		wait_for(go);
		return done();
	}
	ready();
	lock(fd, F_SETLKW, F_WRLCK, 5, 5);
	printf("granted\n");
	others_meet("file", F_WRLCK, 5, 5, getpid());
	return done();
}

int main(int argc, char **argv)
{
	snprintf(dir, sizeof(dir), "%s", argv[2]);
	if (argc > 3)
		return play(argv[3], argv[1]);
	const char *names[] = { "posix", "ofd", "flock", "read", "write" };
	int fds[5];
	for (int i = 0; i < 5; i++)
		fds[i] = open(in(names[i]), O_RDWR | O_CREAT, 0644);
	/* A read lease suffers no writer. */
	close(fds[3]);
	fds[3] = open(in("read"), O_RDONLY);
	lock(fds[0], F_SETLK, F_WRLCK, 0, 10);
	lock(fds[0], F_SETLK, F_RDLCK, 20, 0);
	lock(fds[1], F_OFD_SETLK, F_WRLCK, 3, 4);
	check(flock(fds[2], LOCK_EX) == 0, "flock: %m");
	struct sigaction action = { .sa_sigaction = on_break, .sa_flags = SA_SIGINFO };
	sigaction(SIGRTMIN, &action, NULL);
	check(fcntl(fds[3], F_SETLEASE, F_RDLCK) == 0 && fcntl(fds[4], F_SETLEASE, F_WRLCK) == 0, "leases: %m");
	check(fcntl(fds[4], F_SETSIG, SIGRTMIN) == 0, "F_SETSIG: %m");
	ready();
	wait_for(argv[1]);

	check(fcntl(fds[3], F_GETLEASE) == F_RDLCK && fcntl(fds[4], F_GETLEASE) == F_WRLCK, "leases are %d and %d", fcntl(fds[3], F_GETLEASE), fcntl(fds[4], F_GETLEASE));
	others_meet("posix", F_WRLCK, 0, 10, getpid());
	others_meet("posix", F_UNLCK, 12, 0, 0);
	others_meet("posix", F_RDLCK, 20, 0, getpid());
	others_meet("ofd", F_WRLCK, 3, 4, -1);
	int other = open(in("flock"), O_RDWR);
	check(flock(other, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK, "flock is lost");
	check(flock(fds[2], LOCK_UN) == 0 && flock(other, LOCK_EX | LOCK_NB) == 0, "flock is another's");
	/* Who opens the file breaks the lease: the signal comes with the number of the descriptor. */
	check(broken == 0, "a lease was broken by the restore");
	int child = fork();
	if (child == 0) {
		close(fds[4]);
		open(in("write"), O_RDONLY);
		_exit(0);
	}
	for (int i = 0; i < 2000 && !broken; i++)
		usleep(1000);
	check(broken == fds[4], "the break is told for %d", broken);
	fcntl(fds[4], F_SETLEASE, F_UNLCK);
	waitpid(child, NULL, 0);
	return done();
}
