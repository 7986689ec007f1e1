/* Timers: timerfds GO [more]. Without the argument what CRIU carries as well. */
#include "check.h"
#include <poll.h>
#include <stdint.h>
#include <sys/timerfd.h>

#ifndef TFD_TIMER_CANCEL_ON_SET
#define TFD_TIMER_CANCEL_ON_SET 2
#endif

static int timer(int clock, int flags, int settime, double value, double interval)
{
	int fd = timerfd_create(clock, flags);
	struct itimerspec spec = { 0 };

	check(fd >= 0, "timerfd_create %d: %m", clock);
	spec.it_value.tv_sec = value;
	spec.it_value.tv_nsec = (value - spec.it_value.tv_sec) * 1e9;
	spec.it_interval.tv_sec = interval;
	spec.it_interval.tv_nsec = (interval - spec.it_interval.tv_sec) * 1e9;
	if (settime & TFD_TIMER_ABSTIME) {
		struct timespec now;
		clock_gettime(clock, &now);
		spec.it_value.tv_sec += now.tv_sec;
	}
	if (settime >= 0)
		check(timerfd_settime(fd, settime, &spec, NULL) == 0, "timerfd_settime: %m");
	return fd;
}

static uint64_t take(int fd)
{
	uint64_t ticks = 0;

	return read(fd, &ticks, 8) == 8 ? ticks : 0;
}

static void left(int fd, const char *what, int from, int to, int interval)
{
	struct itimerspec spec;

	check(timerfd_gettime(fd, &spec) == 0, "timerfd_gettime: %m");
	check(spec.it_value.tv_sec >= from && spec.it_value.tv_sec <= to && spec.it_interval.tv_sec == interval, "%s: %ld s left, every %ld", what,
	      spec.it_value.tv_sec, spec.it_interval.tv_sec);
}

/* A line of fdinfo, by which nobody asks a timer what it has not read. */
static int fdinfo(int fd, const char *line)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	int file = open(path, O_RDONLY), length = read(file, text, sizeof(text) - 1);
	close(file);
	text[length > 0 ? length : 0] = 0;
	return strstr(text, line) != NULL;
}

static void wait_readable(int fd)
{
	struct pollfd poll_for = { .fd = fd, .events = POLLIN };

	check(poll(&poll_for, 1, 60000) == 1, "poll: %m");
}

int main(int argc, char **argv)
{
	int unset = timer(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC, -1, 0, 0);
	int once = timer(CLOCK_MONOTONIC, TFD_NONBLOCK, 0, 2000, 0), shared = dup(once);
	int every = timer(CLOCK_BOOTTIME, 0, 0, 3000, 500);
	int until = timer(CLOCK_MONOTONIC, TFD_NONBLOCK, TFD_TIMER_ABSTIME, 4000, 0);
	int clock = timer(CLOCK_REALTIME, TFD_NONBLOCK, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, 5000, 0);
	int expired = timer(CLOCK_MONOTONIC, TFD_NONBLOCK, 0, 0.001, 0);
	int soon = timer(CLOCK_MONOTONIC, 0, 0, 0.05, 0);
	int ticked = -1, past = -1;

	wait_readable(expired);
	if (argc > 2) {
		/* Expired once, unread: the next time is in a thousand seconds. */
		ticked = timer(CLOCK_MONOTONIC, TFD_NONBLOCK, 0, 0.001, 1000);
		wait_readable(ticked);
		past = timer(CLOCK_REALTIME, TFD_NONBLOCK, TFD_TIMER_ABSTIME, 3, 0);
	}
	ready();
	wait_for(argv[1]);

	check(fcntl(unset, F_GETFL) == (O_RDWR | O_NONBLOCK) && fcntl(unset, F_GETFD) == FD_CLOEXEC && fcntl(every, F_GETFL) == O_RDWR, "flags differ");
	left(unset, "never set", 0, 0, 0);
	check(take(unset) == 0 && errno == EAGAIN, "a timer that was never set has expired");
	left(once, "once", 1800, 2000, 0);
	left(every, "every 500 s", 2800, 3000, 500);
	left(until, "absolute, monotonic", 3800, 4000, 0);
	left(clock, "absolute, wall clock", 4800, 5000, 0);
	check(fdinfo(clock, "settime flags: 03\n") && fdinfo(until, "settime flags: 01\n"), "settime flags differ");
	check(fdinfo(every, "clockid: 7\n") && fdinfo(clock, "clockid: 0\n"), "clocks differ");
	check(take(expired) == 1 && take(expired) == 0 && errno == EAGAIN, "the one that has expired");
	check(take(soon) == 1, "one that expires by itself");
	struct itimerspec spec = { .it_value.tv_sec = 7000 };
	check(timerfd_settime(shared, 0, &spec, NULL) == 0, "timerfd_settime: %m");
	left(once, "set through the other", 6900, 7000, 0);
	if (argc > 2) {
		check(take(ticked) == 1, "the periodic one that has expired");
		left(ticked, "the periodic one", 800, 1000, 1000);
		/* The wall clock goes on while the program is not there. */
		wait_readable(past);
		check(take(past) == 1, "a time of the wall clock");
	}
	return done();
}
