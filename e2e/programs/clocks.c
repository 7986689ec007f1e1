/*
 * Clocks that must never go back, and what waits for times of theirs: clocks GO [TOLERANCE]. Prints the time of both clocks when it is
 * ready, and again at the end.
 */
#include "check.h"
#include <pthread.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

static const int clocks[2] = { CLOCK_MONOTONIC, CLOCK_BOOTTIME };

static double now(int clock)
{
	struct timespec time;

	check(clock_gettime(clock, &time) == 0, "clock_gettime %d: %m", clock);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void tell(const char *when)
{
	printf("%s %.3f %.3f\n", when, now(CLOCK_MONOTONIC), now(CLOCK_BOOTTIME));
}

/* Absolute, far away: what is left is what the clock says. */
static double deadline[2];
static int by_clock[2], by_time;

static double left(int fd)
{
	struct itimerspec spec;

	check(timerfd_gettime(fd, &spec) == 0, "timerfd_gettime: %m");
	return spec.it_value.tv_sec + spec.it_value.tv_nsec / 1e9;
}

static int timer(int clock, int flags, double value)
{
	int fd = timerfd_create(clock, 0);
	struct itimerspec spec = { 0 };

	spec.it_value.tv_sec = value;
	spec.it_value.tv_nsec = (value - spec.it_value.tv_sec) * 1e9;
	check(timerfd_settime(fd, flags, &spec, NULL) == 0, "timerfd_settime: %m");
	return fd;
}

/* A thread that sleeps until the clock says a time which comes right after the restore. */
static double until;
static volatile int woken;

static void *sleeper(void *argument)
{
	struct timespec time = { until, (until - (long)until) * 1e9 };

	(void)argument;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR)
		;
	check(now(CLOCK_MONOTONIC) >= until, "the sleep ended too early");
	woken = 1;
	return NULL;
}

static double last[2];

static void look(void)
{
	double time[2] = { now(clocks[0]), now(clocks[1]) };

	for (int i = 0; i < 2; i++) {
		check(time[i] >= last[i], "clock %d went back from %f to %f", i, last[i], time[i]);
		last[i] = time[i];
	}
}

int main(int argc, char **argv)
{
	pthread_t thread;
	timer_t posix;
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	struct itimerspec spec = { .it_value.tv_sec = 5000 };

	double tolerance = argc > 2 ? atof(argv[2]) : 0.5;

	for (int i = 0; i < 2; i++) {
		deadline[i] = now(clocks[i]) + 5000000;
		by_clock[i] = timer(clocks[i], TFD_TIMER_ABSTIME, deadline[i]);
	}
	by_time = timer(CLOCK_MONOTONIC, 0, 3000);
	check(timer_create(CLOCK_MONOTONIC, &event, &posix) == 0, "timer_create: %m");
	check(timer_settime(posix, 0, &spec, NULL) == 0, "timer_settime: %m");
	until = now(CLOCK_MONOTONIC) + 4;
	pthread_create(&thread, NULL, sleeper, NULL);
	look();
	tell("begin");
	ready();
	while (access(argv[1], F_OK) != 0) {
		look();
		usleep(1000);
	}
	look();
	tell("end");
	/* An absolute time is one of the clock, a relative one is what was left. */
	for (int i = 0; i < 2; i++) {
		double difference = left(by_clock[i]) - (deadline[i] - now(clocks[i]));

		check(difference > -tolerance && difference < tolerance, "the absolute timer %d is off by %f s", i, difference);
	}
	check(left(by_time) > 2800 && left(by_time) <= 3000, "the relative timer has %f s left", left(by_time));
	check(timer_gettime(posix, &spec) == 0, "timer_gettime: %m");
	check(spec.it_value.tv_sec > 4800 && spec.it_value.tv_sec <= 5000, "the POSIX timer has %ld s left", spec.it_value.tv_sec);
	pthread_join(thread, NULL);
	check(woken, "the sleeper sleeps");
	/* A child is in the same namespace. */
	double before = now(CLOCK_MONOTONIC);
	pid_t child = fork();
	int status;
	if (child == 0)
		_exit(now(CLOCK_MONOTONIC) >= before && now(CLOCK_MONOTONIC) < before + 60 ? 0 : 1);
	check(waitpid(child, &status, 0) == child && status == 0, "a child has another clock");
	return done();
}
