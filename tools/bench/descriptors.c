/* descriptors READY COUNT: opens COUNT descriptors of mixed kinds, says so, and rests. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* CRIU 4.2 dumps no more: NR_PIPES_WITH_DATA. */
#define PIPES_MAX 1000

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	close_range(3, ~0U, 0);
	int count = atoi(argv[2]), pipes = 0, fds[2];
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	int epoll = epoll_create1(0), last = epoll;
	struct itimerspec later = { .it_value.tv_sec = 100000 };
	sigset_t none;
	sigemptyset(&none);
	for (int i = 1; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.fd = i };
		switch (i % 7) {
		case 0:
			last = open("/etc/passwd", O_RDONLY);
			break;
		case 1:
			last = eventfd(i, 0);
			epoll_ctl(epoll, EPOLL_CTL_ADD, last, &event);
			break;
		case 2:
			last = dup(last);
			break;
		case 3:
			if (pipes++ < PIPES_MAX && i + 1 < count) {
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
			return 3;
	}
	int ready = open(argv[1], O_WRONLY | O_CREAT, 0600);
	if (ready < 0)
		return 4;
	close(ready);
	for (;;)
		pause();
}
