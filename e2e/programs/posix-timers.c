/* POSIX timers of all clocks and notifications: numbers, times left, intervals, overruns, and that they fire on. */
#include "check.h"
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define HOUR 3600
#define TIMERS 12

static struct {
	const char *what;
	int id, clock;
	struct itimerspec before;
	int overrun;
} timers[TIMERS];
static int count;
static volatile sig_atomic_t fired[64], wrong;

/* libc hides the kernel's numbers. */
static int create(const char *what, int clock, int notify, int signo, long value)
{
	struct sigevent event = { .sigev_notify = notify, .sigev_signo = signo, .sigev_value.sival_ptr = (void *)value };
	int id = -1;

	event._sigev_un._tid = (int)syscall(SYS_gettid);
	check(syscall(SYS_timer_create, clock, notify < 0 ? NULL : &event, &id) == 0, "%s: timer_create: %m", what);
	timers[count].what = what;
	timers[count].id = id;
	timers[count++].clock = clock;
	return id;
}

static void start(int id, int flags, long value_ns, long interval_ns)
{
	struct itimerspec times = { { interval_ns / 1000000000, interval_ns % 1000000000 }, { value_ns / 1000000000, value_ns % 1000000000 } };

	check(syscall(SYS_timer_settime, id, flags, &times, NULL) == 0, "timer_settime %d: %m", id);
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
	(void)context;
	fired[signal]++;
	if (info->si_code != SI_TIMER || info->si_timerid != signal - 40 + 100000 || (long)info->si_value.sival_ptr != (long)signal << 40)
		wrong = signal;
}

static double seconds(struct timespec time)
{
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void handle(int signal)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };

	sigaction(signal, &action, NULL);
}

static void set_up(void)
{
	clockid_t own;
	int id;

	id = create("deleted", CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
	check(syscall(SYS_timer_delete, id) == 0, "timer_delete: %m");
	count--;
	start(create("by default", CLOCK_MONOTONIC, -1, 0, 0), 0, 1000L * 1000000000, 0);
	start(create("a value of 64 bits", CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 3, 0x1122334455667788), 0, 1234567890123, 5000000001);
	start(create("no signal, an odd number", CLOCK_REALTIME, SIGEV_NONE, 12345, -1), 0, 1234567890123, 1);
	start(create("for this thread", CLOCK_BOOTTIME, SIGEV_THREAD_ID, SIGRTMIN + 4, 7), 0, 2345678901234, 2345678901234);
	start(create("by SIGEV_THREAD", CLOCK_TAI, SIGEV_THREAD, SIGRTMIN + 4, 8), 0, 3456789012345, 0);
	clock_getcpuclockid(getpid(), &own);
	start(create("CPU time by pid", own, SIGEV_SIGNAL, SIGRTMIN + 5, 9), 0, 4567890123456, 0);
	create("never started", CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 6, 10);
}

/* As if it had been due seven intervals ago. */
static void set_up_overrun(void)
{
	struct timespec now, patience = { 10, 0 };
	sigset_t set;
	int id;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 7);
	sigprocmask(SIG_BLOCK, &set, NULL);
	id = create("with an overrun", CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN + 7, 11);
	clock_gettime(CLOCK_REALTIME, &now);
	start(id, TIMER_ABSTIME, (now.tv_sec - 7 * HOUR - HOUR / 2) * 1000000000L, HOUR * 1000000000L);
	check(sigtimedwait(&set, NULL, &patience) == SIGRTMIN + 7, "the timer is not due");
	check(syscall(SYS_timer_getoverrun, id) == 7, "overrun %ld", syscall(SYS_timer_getoverrun, id));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* Numbers far from each other: signal 40 + n is of timer 100000 + n. */
static void set_up_firing(void)
{
	static const int clocks[] = { CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID };

	for (int i = 0; i < 100000; i++) {
		struct sigevent event = { .sigev_notify = SIGEV_NONE };
		int id;
		if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id) == 0)
			syscall(SYS_timer_delete, id);
		if (id >= 99999)
			break;
	}
	for (int i = 0; i < 4; i++) {
		handle(40 + i);
		int id = create("firing", clocks[i], i ? SIGEV_SIGNAL : SIGEV_THREAD_ID, 40 + i, (long)(40 + i) << 40);
		check(id == 100000 + i, "timer %d has the number %d", i, id);
		start(id, 0, 5000000, 5000000);
	}
}

int main(int argc, char **argv)
{
	int had[4];
	time_t until;
	int firing = argc > 2 && !strcmp(argv[2], "firing");

	if (firing)
		set_up_firing();
	else if (argc > 2 && !strcmp(argv[2], "overrun"))
		set_up_overrun();
	else
		set_up();
	for (int i = 0; i < count; i++) {
		syscall(SYS_timer_gettime, timers[i].id, &timers[i].before);
		timers[i].overrun = (int)syscall(SYS_timer_getoverrun, timers[i].id);
	}
	ready();
	wait_for(argv[1]);
	for (int i = 0; i < count && !firing; i++) {
		struct itimerspec after = { { 0, 0 }, { 0, 0 } };
		double left = seconds(timers[i].before.it_value);
		check(syscall(SYS_timer_gettime, timers[i].id, &after) == 0, "%s: timer %d is gone", timers[i].what, timers[i].id);
		check(after.it_interval.tv_sec == timers[i].before.it_interval.tv_sec && after.it_interval.tv_nsec == timers[i].before.it_interval.tv_nsec,
		      "%s: the interval was %f, is %f", timers[i].what, seconds(timers[i].before.it_interval), seconds(after.it_interval));
		if (timers[i].before.it_interval.tv_sec == 0 && timers[i].before.it_interval.tv_nsec == 1)
			continue;
		check(seconds(after.it_value) <= left && seconds(after.it_value) >= left - 600, "%s: %f were left, are %f", timers[i].what, left,
		      seconds(after.it_value));
		check(syscall(SYS_timer_getoverrun, timers[i].id) == timers[i].overrun, "%s: the overrun was %d, is %ld", timers[i].what, timers[i].overrun,
		      syscall(SYS_timer_getoverrun, timers[i].id));
	}
	if (firing) {
		for (int i = 0; i < 4; i++)
			had[i] = fired[40 + i];
		for (until = time(NULL) + 20; time(NULL) < until;)
			if (fired[40] >= had[0] + 3 && fired[41] >= had[1] + 3 && fired[42] >= had[2] + 3 && fired[43] >= had[3] + 3)
				break;
		for (int i = 0; i < 4; i++)
			check(fired[40 + i] >= had[i] + 3, "timer %d does not fire any more", i);
		check(wrong == 0, "signal %d came with another siginfo", wrong);
	}
	return done();
}
