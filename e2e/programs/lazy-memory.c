/*
 * Memory that a restore may bring late: argv[2] MiB with a pattern, and more of it in a child. When it goes on, it forks, moves,
 * drops and unmaps parts of it that were not touched since, and reads all.
 */
#include "check.h"
#include "pattern.h"
#include <sys/mman.h>
#include <sys/wait.h>

#define MIB (1024ul * 1024)
#define PART (256ul * 1024)

static size_t size;

static unsigned char *make(unsigned long seed)
{
	unsigned char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(at != MAP_FAILED, "mmap: %m");
	for (size_t i = 0; i < size; i += PART)
		fill(at + i, PART, seed + i);
	return at;
}

static int right(const unsigned char *at, unsigned long seed, size_t from, size_t to)
{
	for (size_t i = from; i < to; i += PART)
		if (!filled(at + i, PART, seed + i))
			return 0;
	return 1;
}

static void verify(unsigned char *at, unsigned long seed)
{
	size_t half = size / 2 / PART * PART;
	int pipes[2], status;
	unsigned char *moved, byte;
	pid_t child = fork();

	if (child == 0) {
		failures = 0;
		check(right(at, seed, half, size), "memory differs in a child that was forked after the restore");
		_exit(failures);
	}
	/* The kernel reads a page for write(2). */
	check(pipe(pipes) == 0 && write(pipes[1], at + size - 1, 1) == 1 && read(pipes[0], &byte, 1) == 1, "pipe: %m");
	check(byte == at[size - 1], "what the kernel wrote differs");
	close(pipes[0]);
	close(pipes[1]);
	moved = mremap(at + half, size - half, size - half, MREMAP_MAYMOVE | MREMAP_FIXED, at + 16 * size);
	check(moved == at + 16 * size, "mremap: %m");
	check(madvise(at, PART, MADV_DONTNEED) == 0 && at[0] == 0 && at[PART - 1] == 0, "dropped pages come back");
	check(munmap(at + PART, PART) == 0, "munmap: %m");
	check(right(at, seed, 2 * PART, half), "memory differs");
	check(right(moved - half, seed, half, size), "memory that was moved differs");
	check(waitpid(child, &status, 0) == child && status == 0, "the child ended with %d", status);
}

int main(int argc, char **argv)
{
	unsigned char *mine, *theirs;
	int status;
	pid_t child;

	check(argc > 2, "arguments");
	size = (size_t)atol(argv[2]) * MIB;
	mine = make(1);
	child = fork();
	if (child == 0) {
		theirs = make(2);
		wait_for(argv[1]);
		verify(theirs, 2);
		check(right(mine, 1, 0, size), "memory of before the fork differs");
		fflush(stdout);
		_exit(failures);
	}
	ready();
	wait_for(argv[1]);
	verify(mine, 1);
	check(waitpid(child, &status, 0) == child && status == 0, "the first child ended with %d", status);
	return done();
}
