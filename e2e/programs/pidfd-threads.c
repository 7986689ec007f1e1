/* Descriptors of threads that are no main threads, one of them above the limit of numbers and shared with a child: pidfd-threads GO. */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PIDFD_THREAD O_EXCL
#define HIGH 500

static volatile int tids[2], hits[2], over;

static void count(int signal)
{
	(void)signal;
	for (int i = 0; i < 2; i++)
		if (gettid() == tids[i])
			hits[i]++;
}

static void *thread(void *which)
{
	tids[(long)which] = gettid();
	while (!over)
		usleep(1000);
	return NULL;
}

/* Whom the kernel says that it refers to. */
static int target(int fd)
{
	char path[64], line[128];
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "Pid: %d", &pid);
	if (file)
		fclose(file);
	return pid;
}

int main(int argc, char **argv)
{
	struct rlimit limit = { 100, 1000 };
	pthread_t threads[2];
	int status, wake[2];
	char byte;

	(void)argc;
	check(!pipe(wake), "pipe: %m");
	signal(SIGUSR1, count);
	for (long i = 0; i < 2; i++) {
		check(!pthread_create(&threads[i], NULL, thread, (void *)i), "pthread_create: %m");
		while (!tids[i])
			usleep(1000);
	}
	int first = syscall(SYS_pidfd_open, tids[0], PIDFD_THREAD), second = syscall(SYS_pidfd_open, tids[1], PIDFD_THREAD | O_NONBLOCK);
	check(first >= 0 && second >= 0 && dup3(second, HIGH, O_CLOEXEC) == HIGH && !fcntl(second, F_SETFD, 0), "pidfd_open: %m");
	check(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit: %m");
	pid_t pid = fork();
	if (pid == 0) {
		close(first);
		close(wake[1]);
		check(read(wake[0], &byte, 1) == 0, "read: %m");
		_exit(target(HIGH) == tids[1] && target(second) == tids[1] ? 0 : 1);
	}
	ready();
	wait_for(argv[1]);
	check(target(first) == tids[0] && target(second) == tids[1] && target(HIGH) == tids[1], "%d %d %d", target(first), target(second), target(HIGH));
	check((fcntl(HIGH, F_GETFD) & FD_CLOEXEC) && !(fcntl(second, F_GETFD) & FD_CLOEXEC), "FD_CLOEXEC");
	check((fcntl(second, F_GETFL) & (PIDFD_THREAD | O_NONBLOCK)) == (PIDFD_THREAD | O_NONBLOCK), "flags 0%o", fcntl(second, F_GETFL));
	check((fcntl(first, F_GETFL) & (PIDFD_THREAD | O_NONBLOCK)) == PIDFD_THREAD, "flags 0%o", fcntl(first, F_GETFL));
	check(syscall(SYS_kcmp, getpid(), getpid(), 0, second, HIGH) == 0 && syscall(SYS_kcmp, getpid(), pid, 0, HIGH, HIGH) == 0, "one description is two");
	close(wake[1]);
	check(!syscall(SYS_pidfd_send_signal, second, SIGUSR1, NULL, 0), "pidfd_send_signal: %m");
	for (int i = 0; i < 5000 && !hits[1]; i++)
		usleep(1000);
	check(hits[0] == 0 && hits[1] == 1, "signals: %d %d", hits[0], hits[1]);
	check(waitpid(pid, &status, 0) == pid && status == 0, "child: %x", status);
	over = 1;
	pthread_join(threads[0], NULL);
	struct pollfd ended = { .fd = first, .events = POLLIN };
	check(poll(&ended, 1, 5000) == 1, "its end is not told");
	pthread_join(threads[1], NULL);
	return done();
}
