/*
 * Memory of several kinds that is large enough to be read in pieces, by several processes: stretches that begin and end within a
 * piece, thousands of small ones, protected ones, copies of a file's pages, a stack. Every byte is what a seed makes of it, and every
 * process checks all of its own. large-memory GO CHILDREN
 */
#define _GNU_SOURCE
#include "check.h"

#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define PAGE 4096ul
#define MIB (1024 * 1024ul)
#define STACK (2 * MIB)

struct area {
	size_t size;
	size_t cut;  /* pages that are unmapped at the beginning */
	size_t step; /* every so manieth page is written */
	size_t hole; /* of so many pages the last is not written; 0: all are */
	int protection;
	int file;
	uint64_t *memory;
};

static struct area areas[] = {
	{ 24 * MIB, 5, 1, 0, PROT_READ | PROT_WRITE, 0, NULL },
	{ 9 * MIB, 0, 2, 0, PROT_READ | PROT_WRITE, 0, NULL },
	{ 6 * MIB, 1, 1, 0, PROT_READ, 0, NULL },
	{ 4 * MIB, 3, 1, 7, PROT_NONE, 0, NULL },
	{ 5 * MIB, 0, 1, 0, PROT_READ, 1, NULL },
	{ 17 * PAGE, 0, 1, 0, PROT_READ | PROT_WRITE | PROT_EXEC, 0, NULL },
};

#define COUNT (sizeof(areas) / sizeof(areas[0]))

static uint64_t word_of(size_t who, size_t area, size_t word)
{
	uint64_t seed = (word + 1) * 0x9e3779b97f4a7c15ull + who * 0x100000001b3ull + (area << 40);

	seed ^= seed >> 29;
	return seed * 0xbf58476d1ce4e5b9ull;
}

static int is_written(const struct area *area, size_t page)
{
	return page % area->step == 0 && (area->hole == 0 || page % area->hole != area->hole - 1);
}

static void fill(size_t who, size_t number)
{
	struct area *area = &areas[number];

	for (size_t page = 0; page < area->size / PAGE; page++)
		for (size_t word = page * (PAGE / 8); is_written(area, page) && word < (page + 1) * (PAGE / 8); word++)
			area->memory[word] = word_of(who, number, word);
}

static void prove(size_t who, size_t number)
{
	struct area *area = &areas[number];
	size_t wrong = 0;

	mprotect(area->memory, area->size, PROT_READ);
	for (size_t page = 0; page < area->size / PAGE; page++)
		for (size_t word = page * (PAGE / 8); word < (page + 1) * (PAGE / 8); word++)
			wrong += area->memory[word] != (is_written(area, page) ? word_of(who, number, word) : 0);
	check(wrong == 0, "process %zu, area %zu: %zu words are wrong", who, number, wrong);
}

static void make(size_t who, const char *zeroes)
{
	int fd = open(zeroes, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	for (size_t i = 0; i < COUNT; i++) {
		struct area *area = &areas[i];

		check(!area->file || ftruncate(fd, (off_t)area->size) == 0, "ftruncate: %m");
		area->memory = mmap(NULL, area->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | (area->file ? 0 : MAP_ANONYMOUS),
				    area->file ? fd : -1, 0);
		check(area->memory != MAP_FAILED, "mmap: %m");
		munmap(area->memory, area->cut * PAGE);
		area->memory += area->cut * (PAGE / 8);
		area->size -= area->cut * PAGE;
		fill(who, i);
		mprotect(area->memory, area->size, area->protection);
	}
	close(fd);
}

/* The stack has room below for whatever comes: what a dump writes there would else make it grow by a page, as a call would. */
static __attribute__((noinline)) void reach_down(void)
{
	volatile char room[16 * PAGE];

	for (size_t i = 0; i < sizeof(room); i += PAGE)
		room[i] = 1;
}

static __attribute__((noinline)) void run(size_t who, const char *go, int told)
{
	volatile uint64_t stack[STACK / 8];
	size_t wrong = 0;
	char name[4096], byte = 0;

	snprintf(name, sizeof(name), "%s.zeroes", go);
	make(who, name);
	for (size_t word = 0; word < STACK / 8; word++)
		stack[word] = word_of(who, COUNT, word);
	reach_down();
	if (who == 0)
		ready();
	else
		check(write(told, &byte, 1) == 1, "write: %m");
	wait_for(go);
	for (size_t word = 0; word < STACK / 8; word++)
		wrong += stack[word] != word_of(who, COUNT, word);
	check(wrong == 0, "process %zu: %zu words of the stack are wrong", who, wrong);
	for (size_t i = 0; i < COUNT; i++)
		prove(who, i);
}

int main(int argc, char **argv)
{
	size_t children = (size_t)atoi(argv[2]);
	int told[2];
	char byte;

	(void)argc;
	check(pipe(told) == 0, "pipe: %m");
	for (size_t who = 1; who <= children; who++)
		if (fork() == 0) {
			run(who, argv[1], told[1]);
			fflush(stdout);
			_exit(failures != 0);
		}
	for (size_t who = 1; who <= children; who++)
		check(read(told[0], &byte, 1) == 1, "read: %m");
	close(told[0]);
	close(told[1]);
	run(0, argv[1], -1);
	for (size_t who = 1; who <= children; who++) {
		int status;

		check(wait(&status) > 0 && status == 0, "a child found its memory wrong");
	}
	return done();
}
