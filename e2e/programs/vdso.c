/* Is inside the vdso most of the time; its answers agree with the kernel's, and clocks never go back. */
#include "check.h"
#include <sched.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>

static long nanoseconds(const struct timespec *at)
{
	return at->tv_sec * 1000000000 + at->tv_nsec;
}

int main(int argc, char **argv)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME };
	long last[6] = { 0 };
	unsigned long base = getauxval(AT_SYSINFO_EHDR);
	struct timespec now, kernel;

	check(base != 0 && !memcmp((void *)base, "\177ELF", 4), "no vdso");
	ready();
	/* Asleep, it is in no function of the vdso. */
	if (argc > 2)
		wait_for(argv[1]);
	do
		for (int i = 0; i < 6; i++) {
			clock_gettime(clocks[i], &now);
			/* The real-time clock may be set; it is compared with the kernel's only. */
			check(i == 0 || i == 3 || nanoseconds(&now) >= last[i], "clock %d went back from %ld to %ld", clocks[i], last[i], nanoseconds(&now));
			last[i] = nanoseconds(&now);
		}
	while (!failures && access(argv[1], F_OK) != 0);
	for (int i = 0; i < 6; i++) {
		clock_gettime(clocks[i], &now);
		syscall(SYS_clock_gettime, clocks[i], &kernel);
		long difference = nanoseconds(&kernel) - nanoseconds(&now);
		check(difference >= 0 && difference < 2000000000, "clock %d is %ld ns off the kernel's", clocks[i], difference);
	}
	struct timeval day;
	gettimeofday(&day, NULL);
	check(labs(day.tv_sec - time(NULL)) <= 1, "gettimeofday and time differ");
	cpu_set_t one;
	unsigned int cpu = 99, node;
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	check(getcpu(&cpu, &node) == 0 && cpu == 0, "getcpu says %u", cpu);
	check(getauxval(AT_SYSINFO_EHDR) == base && !memcmp((void *)base, "\177ELF", 4), "the vdso moved");
	return done();
}
