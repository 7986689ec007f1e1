/*
 * program READY MIB [PROCESSES [THREADS [shared|watched]]]: a tree of PROCESSES, ten children to each, which together dirty MIB mebibytes with noise
 * (nothing that could be skipped or packed), each with THREADS; says so, and rests. Whoever loses its parent ends. Shared: the root dirties all
 * of MIB before it forks all others, each of which writes to one page in a hundred. Watched: READY.marks has words of 8 bytes; when the first is set, the root
 * writes into the second when that was (microseconds of the epoch), touches a page of its memory, and writes into the third when it had it.
 */
#define _GNU_SOURCE
#include <alloca.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define CHILDREN 10

static void *rest(void *argument)
{
	for (;;)
		pause();
	return argument;
}

static unsigned long *memory;

static int dirty(size_t words, unsigned long noise)
{
	if (words == 0)
		return 1;
	memory = mmap(NULL, words * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 0;
	for (size_t i = 0; i < words; i++) {
		noise ^= noise << 13;
		noise ^= noise >> 7;
		noise ^= noise << 17;
		memory[i] = noise;
	}
	return 1;
}

static long now(void)
{
	struct timespec time;

	/* CRIU gives a program its old monotonic clock again, by a time namespace. */
	clock_gettime(CLOCK_REALTIME, &time);
	return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void watch(volatile long *marks, size_t size)
{
	struct timespec a_little = { 0, 1000000 };

	while (marks[0] == 0)
		nanosleep(&a_little, NULL);
	marks[1] = now();
	(void)((volatile unsigned long *)memory)[size / 2];
	marks[2] = now();
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	/* What a CI runner left open is none of the program's. */
	close_range(3, ~0U, 0);
	long processes = argc > 3 ? atol(argv[3]) : 1, threads = argc > 4 ? atol(argv[4]) : 1, self = 0;
	int shared = argc > 5 && strcmp(argv[5], "shared") == 0, watched = argc > 5 && !shared;
	volatile long *marks = NULL;
	long children = shared ? processes : CHILDREN;
	size_t words = (strtoul(argv[2], NULL, 10) << 17) / (shared ? 1 : (size_t)processes);
	int done[2];

	if (pipe(done) != 0 || (shared && !dirty(words, 88172645463325252ul)))
		return 3;
	for (long i = 1; i <= children && self * children + i < processes; i++) {
		pid_t child = fork();
		if (child < 0)
			return 3;
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			self = self * children + i;
			i = 0;
		}
	}
	if (!shared && !dirty(words, 88172645463325252ul + (unsigned long)self))
		return 3;
	for (size_t i = (size_t)self * 512; shared && self > 0 && i < words; i += 100 * 512)
		memory[i] = (unsigned long)self;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 << 10);
	for (long i = 1; i < threads; i++) {
		pthread_t thread;
		if (pthread_create(&thread, &attributes, rest, NULL) != 0)
			return 3;
	}
	close(done[1]);
	if (self == 0) {
		/* The pipe ends when all others are as far. */
		char byte;
		if (read(done[0], &byte, 1) != 0)
			return 3;
		if (watched) {
			int file = open(strcat(strcpy(alloca(strlen(argv[1]) + 7), argv[1]), ".marks"), O_RDWR | O_CREAT, 0600);
			if (file < 0 || ftruncate(file, 4096) != 0)
				return 4;
			marks = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
			if (marks == MAP_FAILED)
				return 4;
			close(file);
		}
		int ready = open(argv[1], O_WRONLY | O_CREAT, 0600);
		if (ready < 0)
			return 4;
		close(ready);
	}
	close(done[0]);
	if (marks != NULL)
		watch(marks, words);
	rest(NULL);
}
