/*
 * Threads that make the next thread and end, all the time, in four lines of succession; each hands on a count. A thread that a dump
 * did not stop, or that a restore lacks, breaks its line.
 */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <stdint.h>

#define LINES 4

static volatile long counts[LINES];
static volatile int over, ended;

static void *live(void *argument)
{
	long line = (long)(intptr_t)argument, next = counts[line] + 1;
	pthread_attr_t attributes;
	pthread_t heir;
	volatile char stack[2000];

	for (size_t i = 0; i < sizeof(stack); i++)
		stack[i] = (char)next;
	counts[line] = next;
	for (size_t i = 0; i < sizeof(stack); i++)
		check(stack[i] == (char)next, "line %ld: the stack changed", line);
	check(counts[line] == next, "line %ld: two threads at once", line);
	if (over) {
		__atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
		return NULL;
	}
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, 65536);
	errno = pthread_create(&heir, &attributes, live, argument);
	check(errno == 0, "line %ld: pthread_create: %m", line);
	pthread_attr_destroy(&attributes);
	return NULL;
}

int main(int argc, char **argv)
{
	long before[LINES];
	time_t end;

	(void)argc;
	for (long i = 0; i < LINES; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, live, (void *)(intptr_t)i) != 0)
			fail("pthread_create: %m");
		pthread_detach(thread);
	}
	ready();
	wait_for(argv[1]);
	/* All lines go on. */
	for (int i = 0; i < LINES; i++)
		before[i] = counts[i];
	end = time(NULL) + 20;
	for (int i = 0; i < LINES; i++) {
		while (counts[i] < before[i] + 10 && time(NULL) < end)
			usleep(1000);
		check(counts[i] >= before[i] + 10, "line %d has ended", i);
	}
	over = 1;
	while (ended < LINES && time(NULL) < end)
		usleep(1000);
	check(ended == LINES, "%d lines have ended", ended);
	return done();
}
