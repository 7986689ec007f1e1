/*
 * Threads that pass a token on, each calculating before it does: mutexes, conditions, semaphores, a barrier, thread local data, and
 * short-lived threads all the time. Writes the number of rounds. Made for any libc.
 */
#include "check.h"
#include <pthread.h>
#include <semaphore.h>

#define RUNNERS 6

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t semaphore;
static long token, spawned, over;
static const char *go;
static __thread long own;

static double calculate(long number)
{
	double sum = 0;

	for (long i = 1; i < 20000; i++)
		sum += (double)(i * number % 1000) / (double)i;
	return sum;
}

static void *errand(void *argument)
{
	long *number = argument;

	check(own == 0, "a new thread has the thread local data %ld", own);
	own = *number;
	check(calculate(*number) == calculate(own), "a short-lived thread calculates wrong");
	*number = own + 1;
	sem_post(&semaphore);
	return argument;
}

static void *run(void *argument)
{
	long self = (long)argument, rounds = 0;
	double expected = calculate(self + 1);

	for (;;) {
		pthread_t helper;
		long number = rounds;
		void *result;

		check(pthread_create(&helper, NULL, errand, &number) == 0, "pthread_create");
		check(calculate(self + 1) == expected, "thread %ld calculates wrong", self);
		while (sem_wait(&semaphore) != 0)
			check(errno == EINTR, "sem_wait: %m");
		check(pthread_join(helper, &result) == 0 && result == &number, "pthread_join");
		check(number == rounds + 1, "an errand brought %ld", number);
		own = ++rounds;
		pthread_mutex_lock(&mutex);
		spawned++;
		while (token % RUNNERS != self)
			pthread_cond_wait(&moved, &mutex);
		token++;
		if (self == 0 && token / RUNNERS % 10 == 0) {
			printf("%ld\n", token / RUNNERS);
			fflush(stdout);
		}
		pthread_cond_broadcast(&moved);
		pthread_mutex_unlock(&mutex);
		/* All leave in the same round: the last that arrives decides. */
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			over = access(go, F_OK) == 0;
		pthread_barrier_wait(&barrier);
		check(own == rounds, "thread %ld lost count", self);
		if (over)
			return NULL;
	}
}

int main(int argc, char **argv)
{
	pthread_t runners[RUNNERS];

	check(argc > 1, "no go file");
	go = argv[1];
	ready();
	pthread_barrier_init(&barrier, NULL, RUNNERS);
	sem_init(&semaphore, 0, 0);
	for (long i = 0; i < RUNNERS; i++)
		check(pthread_create(&runners[i], NULL, run, (void *)i) == 0, "pthread_create");
	for (int i = 0; i < RUNNERS; i++)
		pthread_join(runners[i], NULL);
	check(token == spawned && token % RUNNERS == 0, "%ld turns, %ld errands", token, spawned);
	return done();
}
