/* Memory that changes all the time, in all the ways that a mapping can: written, dropped, moved, mapped anew, protected. Beside it a
 * table of what each page should hold. increments GO MEBIBYTES */
#define _GNU_SOURCE
#include "check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE 4096
#define CHECK(condition) check(condition, "line %d: %s", __LINE__, #condition)
#define PIECES 16

static uint32_t *expected; /* by page; 0: zeros */
static char *piece[PIECES];
static size_t pages_of_piece;

static uint32_t next_random(void)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32);
}

static void fill(size_t number, uint32_t value)
{
	uint32_t *page = (uint32_t *)(piece[number / pages_of_piece] + number % pages_of_piece * PAGE);

	page[0] = value;
	page[511] = value ^ (uint32_t)number;
	page[1023] = ~value;
	expected[number] = value;
}

static int is_right(size_t number)
{
	const uint32_t *page = (uint32_t *)(piece[number / pages_of_piece] + number % pages_of_piece * PAGE);
	uint32_t value = expected[number];

	if (value == 0)
		return page[0] == 0 && page[511] == 0 && page[1023] == 0;
	return page[0] == value && page[511] == (value ^ (uint32_t)number) && page[1023] == ~value;
}

static void change(uint32_t step)
{
	size_t index = next_random() % PIECES, size = pages_of_piece * PAGE;
	size_t first = index * pages_of_piece;

	switch (step % 200) {
	case 50: /* dropped */
		madvise(piece[index], size / 2, MADV_DONTNEED);
		memset(expected + first, 0, pages_of_piece / 2 * sizeof(*expected));
		break;
	case 100: { /* moved */
		char *place = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char *moved = mremap(piece[index], size, size, MREMAP_MAYMOVE | MREMAP_FIXED, place);

		CHECK(moved == place);
		piece[index] = moved;
		break;
	}
	case 150: /* mapped anew at the same place */
		CHECK(mmap(piece[index], size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		      piece[index]);
		memset(expected + first, 0, pages_of_piece * sizeof(*expected));
		break;
	case 175: /* protected and back */
		CHECK(mprotect(piece[index], size, PROT_READ) == 0);
		CHECK(mprotect(piece[index], size, PROT_READ | PROT_WRITE) == 0);
		break;
	default:
		fill(first + next_random() % pages_of_piece, step | 1);
	}
}

int main(int argc, char **argv)
{
	size_t pages = (size_t)atoi(argv[2]) * 256;

	(void)argc;
	pages_of_piece = pages / PIECES;
	expected = calloc(pages, sizeof(*expected));
	for (int i = 0; i < PIECES; i++) {
		piece[i] = mmap(NULL, pages_of_piece * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(piece[i] != MAP_FAILED);
	}
	for (size_t i = 0; i < pages; i++)
		fill(i, (uint32_t)i + 1);
	puts("ready");
	fflush(stdout);
	for (uint32_t step = 0; access(argv[1], F_OK) != 0; step++) {
		struct timespec pause = { 0, 500000 };

		for (int i = 0; i < 4; i++)
			change(step * 4 + (uint32_t)i);
		nanosleep(&pause, NULL);
	}
	for (size_t i = 0; i < pages; i++)
		check(is_right(i), "page %zu", i);
	if (failures == 0)
		puts("EXIT-SUCCESS");
	return failures != 0;
}
