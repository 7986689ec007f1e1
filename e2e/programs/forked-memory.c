/* A parent with seeded memory and children that it forked, each of which has changed one page in a hundred. Every process checks all
 * of its own. forked-memory GO MEBIBYTES CHILDREN */
#define _GNU_SOURCE
#include "check.h"

#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define PAGE 4096

static size_t pages;
static char *memory;

/* What page `number` of process `who` holds: its own where it has changed it. */
static uint64_t value_of(size_t number, int who, size_t word)
{
	uint64_t seed = number * 0x9e3779b97f4a7c15ull + word;

	if (who > 0 && number % 100 == (size_t)who % 100)
		seed += (uint64_t)who << 56;
	seed ^= seed >> 29;
	return seed * 0xbf58476d1ce4e5b9ull;
}

static void fill(size_t number, int who)
{
	uint64_t *page = (uint64_t *)(memory + number * PAGE);

	for (size_t word = 0; word < PAGE / 8; word++)
		page[word] = value_of(number, who, word);
}

static int wrong_pages(int who)
{
	int wrong = 0;

	for (size_t number = 0; number < pages; number++) {
		const uint64_t *page = (const uint64_t *)(memory + number * PAGE);

		for (size_t word = 0; word < PAGE / 8; word++)
			if (page[word] != value_of(number, who, word)) {
				wrong++;
				break;
			}
	}
	return wrong;
}

static void wait_for_go(const char *go)
{
	struct timespec pause = { 0, 20000000 };

	while (access(go, F_OK) != 0)
		nanosleep(&pause, NULL);
}

int main(int argc, char **argv)
{
	int children = atoi(argv[3]), told[2];
	char byte = 0;

	(void)argc;
	pages = (size_t)atoi(argv[2]) * 256;
	memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t number = 0; number < pages; number++)
		fill(number, 0);
	if (pipe(told) != 0)
		return 2;
	for (int who = 1; who <= children; who++) {
		if (fork() != 0)
			continue;
		for (size_t number = (size_t)who % 100; number < pages; number += 100)
			fill(number, who);
		if (write(told[1], &byte, 1) != 1)
			_exit(2);
		close(told[0]);
		close(told[1]);
		wait_for_go(argv[1]);
		_exit(wrong_pages(who) == 0 ? 0 : 3);
	}
	for (int who = 1; who <= children; who++)
		check(read(told[0], &byte, 1) == 1, "a child is missing");
	close(told[0]);
	close(told[1]);
	puts("ready");
	fflush(stdout);
	wait_for_go(argv[1]);
	check(wrong_pages(0) == 0, "%d wrong pages in the parent", wrong_pages(0));
	for (int who = 1; who <= children; who++) {
		int status = -1;

		check(wait(&status) > 0 && status == 0, "a child ended with 0x%x", status);
	}
	if (failures == 0)
		puts("EXIT-SUCCESS");
	return failures != 0;
}
