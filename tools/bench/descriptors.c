/*
 * descriptors READY COUNT: opens COUNT descriptors of mixed kinds, says so, and rests. What one process may not have (a hard limit on
 * open files) further ones have, which end with their parent.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 10000
/* CRIU 4.2 dumps no more in all: NR_PIPES_WITH_DATA. */
#define PIPES_MAX 1000

/* `file`: any that stays as it is. */
static int open_all(const char *file, int count, int pipes)
{
	int fds[2];
	int epoll = epoll_create1(0), last = epoll;
	struct itimerspec later = { .it_value.tv_sec = 100000 };
	sigset_t none;
	sigemptyset(&none);
	for (int i = 1; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.fd = i };
		switch (i % 7) {
		case 0:
			last = open(file, O_RDONLY);
			break;
		case 1:
			last = eventfd(i, 0);
			epoll_ctl(epoll, EPOLL_CTL_ADD, last, &event);
			break;
		case 2:
			last = dup(last);
			break;
		case 3:
			if (pipes-- > 0 && i + 1 < count) {
				last = pipe(fds) == 0 && write(fds[1], "x", 1) == 1 ? fds[1] : -1;
				i++;
				break;
			}
			/* fall through */
		case 4:
			last = open("/dev/null", O_WRONLY);
			break;
		case 5:
			last = timerfd_create(CLOCK_MONOTONIC, 0);
			timerfd_settime(last, 0, &later, NULL);
			break;
		case 6:
			last = signalfd(-1, &none, 0);
			break;
		}
		if (last < 0)
			return 0;
	}
	return 1;
}

static int rest(const char *name)
{
	int ready = name == NULL ? -1 : open(name, O_WRONLY | O_CREAT, 0600);

	if (name != NULL && ready < 0)
		return 4;
	close(ready);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	close_range(3, ~0U, 0);
	int count = atoi(argv[2]), done[2];
	int processes = (count + DESCRIPTORS_MAX - 1) / DESCRIPTORS_MAX, self = 0;
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (processes == 1)
		return open_all(argv[0], count, PIPES_MAX) ? rest(argv[1]) : 3;
	if (pipe(done) != 0)
		return 3;
	for (int i = 1; i < processes && self == 0; i++)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			self = i;
		}
	/* Out of the way of the others' numbers. */
	int end = fcntl(done[self == 0 ? 0 : 1], F_DUPFD, DESCRIPTORS_MAX + 100);
	close(done[0]);
	close(done[1]);
	if (end < 0 || !open_all(argv[0], count / processes, PIPES_MAX / processes))
		return 3;
	char byte;
	if (self == 0 && read(end, &byte, 1) != 0)
		return 3;
	close(end);
	return rest(self == 0 ? argv[1] : NULL);
}
