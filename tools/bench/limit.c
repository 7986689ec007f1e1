/*
 * limit FILE MIB THREADS: the least that a dump and a restore of so much memory can be. Fills private memory with noise, then
 * times: fallocate and pwrite of it, into a new file; and pread of the file into fresh memory, by THREADS side by side.
 * Writes one line of JSON: microseconds of both.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PIECE (8ul << 20)

static int file;
static size_t size, per_thread;
static char *fresh;
static int failed;

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void *map(void)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		exit(3);
	return memory;
}

static void *fill(void *argument)
{
	size_t begin = (size_t)argument * per_thread, end = begin + per_thread < size ? begin + per_thread : size;

	for (size_t at = begin; at < end;) {
		ssize_t got = pread(file, fresh + at, end - at < PIECE ? end - at : PIECE, (off_t)at);
		if (got <= 0) {
			failed = 1;
			break;
		}
		at += (size_t)got;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	size = strtoul(argv[2], NULL, 10) << 20;
	long threads = atol(argv[3]);
	pthread_t thread[64];
	unsigned long noise = 88172645463325252ul, *memory = map();

	if (threads < 1 || threads > 64)
		return 2;
	for (size_t i = 0; i < size / 8; i++) {
		noise ^= noise << 13;
		noise ^= noise >> 7;
		noise ^= noise << 17;
		memory[i] = noise;
	}
	file = open(argv[1], O_RDWR | O_CREAT | O_EXCL, 0600);
	if (file < 0)
		return 4;
	long begin = now();
	if (fallocate(file, 0, 0, (off_t)size) != 0)
		return 4;
	for (size_t at = 0; at < size;) {
		ssize_t put = pwrite(file, (char *)memory + at, size - at < PIECE ? size - at : PIECE, (off_t)at);
		if (put <= 0)
			return 4;
		at += (size_t)put;
	}
	long written = now() - begin;
	munmap(memory, size);

	begin = now();
	fresh = map();
	per_thread = (size / (size_t)threads + 4095) & ~4095ul;
	for (long i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, fill, (void *)i) != 0)
			return 3;
	for (long i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	printf("{\"writeUs\": %ld, \"readUs\": %ld}\n", written, now() - begin);
	unlink(argv[1]);
	return failed;
}
