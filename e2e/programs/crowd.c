/*
 * argv[2] threads, each in one of nine kinds of waiting or work, each with a name, a signal mask, an alternate stack and thread
 * local data of its own, which it looks after all the time. Signals from a timer meet those that work. argv[3], "idle": all wait
 * without a time.
 */
#include "check.h"
#include <immintrin.h>
#include <linux/futex.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>

#define MAX 4096
#define KINDS 9

static struct member {
	pthread_t thread;
	int index, tid;
	char *stack;
	double sum;
} members[MAX];
static volatile int over, word, idle;
static int alive; /* members that are as they want to be */
static int ends[2];
static volatile double spoiled;
static volatile long ticks;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_over = PTHREAD_COND_INITIALIZER;
static __thread long own;
static __thread sigset_t mask;

static void on_tick(int signal)
{
	(void)signal;
	ticks++;
	spoiled = sqrt((double)ticks);
}

static void on_end(int signal)
{
	(void)signal;
}

static void look_after(struct member *self)
{
	char name[16], want[16];
	sigset_t now;
	stack_t stack;
	int same = 1;

	snprintf(want, sizeof(want), "member-%d", self->index);
	prctl(PR_GET_NAME, name);
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	for (int i = 1; i <= 64; i++)
		same &= sigismember(&mask, i) == sigismember(&now, i);
	check(same, "thread %d: the mask changed", self->index);
	check(!strcmp(name, want), "thread %d is called %s", self->index, name);
	check(sigaltstack(NULL, &stack) == 0 && stack.ss_sp == self->stack && stack.ss_flags == 0,
	      "thread %d: alternate stack at %p, not %p", self->index, stack.ss_sp, (void *)self->stack);
	check(syscall(SYS_gettid) == self->tid, "thread %d: tid %ld", self->index, syscall(SYS_gettid));
	check(own == self->index * 7919L, "thread %d: thread local %ld", self->index, own);
}

__attribute__((target("avx"))) static double float_round(int index)
{
	__m256d sums = _mm256_setzero_pd(), step = _mm256_set_pd(1.0, 0.5, 0.25, 0.125 + index);
	long double precise = 0;
	double parts[4];

	for (int i = 1; i < 3000; i++) {
		sums = _mm256_add_pd(sums, _mm256_div_pd(step, _mm256_set1_pd((double)i)));
		precise += 1.0L / (long double)i;
	}
	_mm256_storeu_pd(parts, sums);
	return parts[0] + parts[1] + parts[2] + parts[3] + (double)precise;
}

static double milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static void act(struct member *self)
{
	struct timespec nap = { 0, 50000000 };
	double before = milliseconds();
	sigset_t set;
	char byte;

	switch (idle ? 0 : self->index % KINDS) {
	case 0:
		while (!word) {
			long result = syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);

			check(result == 0 || errno == EAGAIN, "thread %d: futex: %m", self->index);
		}
		break;
	case 1:
		check(nanosleep(&nap, NULL) == 0, "thread %d: nanosleep: %m", self->index);
		check(milliseconds() - before >= 49.9, "thread %d: slept %g ms", self->index, milliseconds() - before);
		break;
	case 2:
		check(read(ends[0], &byte, 1) == 1, "thread %d: read: %m", self->index);
		break;
	case 3:
		if (self->sum == 0)
			self->sum = float_round(self->index);
		for (int i = 0; i < 20; i++)
			check(float_round(self->index) == self->sum, "thread %d: the sum is wrong", self->index);
		usleep(1000);
		break;
	case 4:
		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		/* A stop ends sigwaitinfo with EINTR where no crts mends it: killed between two calls. */
		check(sigwaitinfo(&set, NULL) == SIGUSR2 || errno == EINTR, "thread %d: sigwaitinfo: %m", self->index);
		break;
	case 5:
		for (volatile unsigned long i = 0; i < 100000; i++)
			;
		usleep(1000);
		break;
	case 6:
		set = mask;
		sigdelset(&set, SIGUSR2);
		check(sigsuspend(&set) == -1 && errno == EINTR && over, "thread %d: sigsuspend: %m", self->index);
		break;
	case 7:
		check(poll(NULL, 0, 50) == 0, "thread %d: poll: %m", self->index);
		check(milliseconds() - before >= 49, "thread %d: polled %g ms", self->index, milliseconds() - before);
		break;
	case 8:
		pthread_mutex_lock(&mutex);
		while (!over)
			pthread_cond_wait(&all_over, &mutex);
		pthread_mutex_unlock(&mutex);
		break;
	}
}

static void *live(void *argument)
{
	struct member *self = argument;
	stack_t stack = { .ss_size = 65536 };
	char name[16];

	own = self->index * 7919L;
	self->tid = (int)syscall(SYS_gettid);
	snprintf(name, sizeof(name), "member-%d", self->index);
	prctl(PR_SET_NAME, name);
	stack.ss_sp = self->stack = malloc(stack.ss_size);
	sigaltstack(&stack, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigaddset(&mask, SIGRTMIN + self->index % 25);
	if (self->index % KINDS != 3 && self->index % KINDS != 5)
		sigaddset(&mask, SIGALRM);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	__atomic_add_fetch(&alive, 1, __ATOMIC_SEQ_CST);
	while (!over) {
		act(self);
		look_after(self);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 18;
	struct sigaction tick = { .sa_handler = on_tick, .sa_flags = SA_RESTART | SA_ONSTACK };
	struct sigaction end = { .sa_handler = on_end };
	struct itimerval every = { { 0, 2000 }, { 0, 2000 } };
	pthread_attr_t attributes;
	sigset_t mine;

	idle = argc > 3 && !strcmp(argv[3], "idle");
	if (pipe(ends) != 0)
		fail("pipe: %m");
	sigaction(SIGALRM, &tick, NULL);
	sigaction(SIGUSR2, &end, NULL);
	sigemptyset(&mine);
	sigaddset(&mine, SIGALRM);
	sigprocmask(SIG_BLOCK, &mine, NULL);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	for (int i = 0; i < count; i++) {
		members[i].index = i;
		errno = pthread_create(&members[i].thread, &attributes, live, &members[i]);
		check(errno == 0, "pthread_create: %m");
	}
	if (!idle)
		setitimer(ITIMER_REAL, &every, NULL);
	while (__atomic_load_n(&alive, __ATOMIC_SEQ_CST) < count && !failures)
		usleep(1000);
	/* Let them come to their waits. */
	usleep(100000);
	ready();
	while (access(argv[1], F_OK) != 0 && !failures)
		usleep(2000);
	pthread_mutex_lock(&mutex);
	over = word = 1;
	pthread_cond_broadcast(&all_over);
	pthread_mutex_unlock(&mutex);
	syscall(SYS_futex, &word, FUTEX_WAKE, count, NULL, NULL, 0);
	for (int i = 0; i < count; i++) {
		if (!idle && write(ends[1], "x", 1) != 1)
			fail("write: %m");
		if (!idle && (i % KINDS == 4 || i % KINDS == 6))
			pthread_kill(members[i].thread, SIGUSR2);
	}
	for (int i = 0; i < count; i++)
		pthread_join(members[i].thread, NULL);
	return done();
}
