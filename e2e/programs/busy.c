/*
 * Never rests, for tests that kill the engine: argv[2] is "integer" (arithmetic, memory, system calls) or "float" (x87,
 * SSE and AVX sums whose results are known), with signals from a timer all the while. Every round is checked.
 */
#include "check.h"
#include <immintrin.h>
#include <math.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

static volatile sig_atomic_t ticks;
static volatile double spoiled;

static void on_tick(int signal)
{
	(void)signal;
	ticks++;
	spoiled = sqrt((double)ticks); /* the handler uses the registers that the main program sums in */
}

static unsigned long integer_round(unsigned char *memory, size_t size, unsigned long seed)
{
	unsigned long sum = seed;

	for (size_t i = 0; i < size; i += 61) {
		sum = sum * 6364136223846793005ul + 1442695040888963407ul;
		memory[i] = (unsigned char)(sum >> 56);
		sum += memory[i];
	}
	if (getppid() == 0 || read(-1, memory, 1) != -1 || errno != EBADF)
		fail("a system call answers wrongly: %m");
	return sum;
}

__attribute__((target("avx"))) static double float_round(void)
{
	__m256d sums = _mm256_setzero_pd(), step = _mm256_set_pd(1.0, 0.5, 0.25, 0.125);
	long double precise = 0;
	double parts[4];

	for (int i = 1; i < 20000; i++) {
		sums = _mm256_add_pd(sums, _mm256_div_pd(step, _mm256_set1_pd((double)i)));
		precise += 1.0L / (long double)i;
	}
	_mm256_storeu_pd(parts, sums);
	return parts[0] + parts[1] + parts[2] + parts[3] + (double)precise;
}

int main(int argc, char **argv)
{
	int floats = argc > 2 && !strcmp(argv[2], "float");
	/* Without the timer, for CRIU 4.2: it loses one whose signal waits at the moment of the dump. */
	int quiet = argc > 3;
	struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } };
	size_t size = 256 * 1024;
	unsigned char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long sum = integer_round(memory, size, 7);
	double value = float_round();

	sigaction(SIGALRM, &action, NULL);
	if (!quiet)
		setitimer(ITIMER_REAL, &every, NULL);
	ready();
	do {
		if (floats)
			check(float_round() == value, "the sum is %.17g, not %.17g", float_round(), value);
		else
			check(integer_round(memory, size, 7) == sum, "the sum is wrong");
	} while (!failures && access(argv[1], F_OK) != 0);
	sigset_t mask;
	sigprocmask(SIG_BLOCK, NULL, &mask);
	for (int i = 1; i <= 64; i++)
		check(sigismember(&mask, i) != 1, "signal %d is blocked", i);
	int had = ticks;
	if (quiet)
		return done();
	for (time_t end = time(NULL) + 3; ticks < had + 3 && time(NULL) < end;)
		;
	check(ticks >= had + 3, "the timer stopped");
	return done();
}
