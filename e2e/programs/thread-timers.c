/* Timers that count the CPU time of the thread that made them: each fires when its own thread works, and no other. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

#define THREADS 4

static pthread_barrier_t barrier;
static volatile int fired[THREADS], turn = -1;
static int ids[THREADS];

static void on_signal(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	fired[info->si_value.sival_int]++;
}

static void make(int number)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = number };
	struct itimerspec every = { { 0, 10000000 }, { 0, 10000000 } };

	check(syscall(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, &event, &ids[number]) == 0, "timer_create: %m");
	check(syscall(SYS_timer_settime, ids[number], 0, &every, NULL) == 0, "timer_settime: %m");
}

/* Works until its timer has fired a few times; those of threads that sleep must not. */
static void work(int number)
{
	int before[THREADS];
	struct timespec now;

	for (int i = 0; i < THREADS; i++)
		before[i] = fired[i];
	clock_gettime(CLOCK_MONOTONIC, &now);
	for (time_t end = now.tv_sec + 20; fired[number] < before[number] + 3 && now.tv_sec < end;)
		clock_gettime(CLOCK_MONOTONIC, &now);
	for (int i = 0; i < THREADS; i++) {
		int more = fired[i] - before[i];
		check(i == number ? more >= 3 : more <= 1, "thread %d worked, the timer of thread %d fired %d times", number, i, more);
	}
}

static void *thread(void *argument)
{
	int number = (int)(long)argument;

	make(number);
	pthread_barrier_wait(&barrier);
	while (turn != number)
		usleep(1000);
	work(number);
	turn++;
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };
	pthread_t threads[THREADS];

	(void)argc;
	sigaction(SIGRTMIN, &action, NULL);
	pthread_barrier_init(&barrier, NULL, THREADS);
	make(0);
	for (long i = 1; i < THREADS; i++)
		pthread_create(&threads[i], NULL, thread, (void *)i);
	pthread_barrier_wait(&barrier);
	ready();
	wait_for(argv[1]);
	work(0);
	turn = 1;
	for (int i = 1; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return done();
}
