/* A mapping beside which another one is moved back, so that the kernel makes one of the two: what watches the first is lost then, and
 * marks in its page table stay (mremap_userfaultfd_prep(), fs/userfaultfd.c). moved-neighbour GO: at GO-1 it moves and writes, at GO-2
 * it writes again. */
#define _GNU_SOURCE
#include "check.h"

#include <sys/mman.h>

#define PAGE 4096
#define PAGES 64

static char *memory;
static int expected[2 * PAGES];

static void write_some(int from, int value)
{
	for (int number = from; number < 2 * PAGES; number += 3) {
		*(int *)(memory + number * PAGE) = value + number;
		expected[number] = value + number;
	}
}

static void wait_for_file(const char *go, const char *suffix)
{
	char path[4096];
	struct timespec pause = { 0, 10000000 };

	snprintf(path, sizeof(path), "%s%s", go, suffix);
	while (access(path, F_OK) != 0)
		nanosleep(&pause, NULL);
}

int main(int argc, char **argv)
{
	char *away;

	(void)argc;
	memory = mmap(NULL, 2 * PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int from = 0; from < 3; from++)
		write_some(from, 1000);
	away = mremap(memory + PAGES * PAGE, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		      mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	puts("ready");
	fflush(stdout);
	wait_for_file(argv[1], "-1");
	check(mremap(away, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory + PAGES * PAGE) ==
		      memory + PAGES * PAGE,
	      "it cannot be moved back: %s", strerror(errno));
	write_some(0, 2000);
	puts("moved");
	fflush(stdout);
	wait_for_file(argv[1], "-2");
	write_some(1, 3000);
	puts("written");
	fflush(stdout);
	wait_for_file(argv[1], "");
	for (int number = 0; number < 2 * PAGES; number++)
		check(*(int *)(memory + number * PAGE) == expected[number], "page %d: %d, not %d", number,
		      *(int *)(memory + number * PAGE), expected[number]);
	if (failures == 0)
		puts("EXIT-SUCCESS");
	return failures != 0;
}
