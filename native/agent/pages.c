#include "pages.h"

#define MADV_DONTNEED 4
#define PAGE 4096ul

/* `length` bytes, or the errno; a read that meets the end of the file is ENODATA. */
static long transfer_run(word nr, word fd, word addr, word length, word offset)
{
	word done = 0;

	while (done < length) {
		long n = call4(nr, fd, addr + done, length - done, offset + done);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? n : -ENODATA;
		done += n;
	}
	return (long)done;
}

long transfer_pages(word nr, word fd, struct agent_run *runs, word count)
{
	long total = 0;

	for (word i = 0; i < count; i++) {
		long done = transfer_run(nr, fd, runs[i].addr, runs[i].length, runs[i].offset);

		if (done < 0)
			return done;
		total += done;
	}
	return total;
}

long share_pages(word nr, word fd, struct agent_run *runs, const unsigned int *bounds, word count, unsigned int *next)
{
	long total = 0;

	for (;;) {
		word piece = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED);
		long done;

		if (piece >= count)
			return total;
		done = transfer_pages(nr, fd, runs + bounds[piece], bounds[piece + 1] - bounds[piece]);
		if (done < 0) {
			/* Nobody need go on. */
			__atomic_store_n(next, (unsigned int)count, __ATOMIC_RELAXED);
			return done;
		}
		total += done;
	}
}

static int differ(const word *a, const word *b)
{
	for (word i = 0; i < PAGE / sizeof(word); i += 8) {
		word bits = (a[i] ^ b[i]) | (a[i + 1] ^ b[i + 1]) | (a[i + 2] ^ b[i + 2]) | (a[i + 3] ^ b[i + 3]) |
			    (a[i + 4] ^ b[i + 4]) | (a[i + 5] ^ b[i + 5]) | (a[i + 6] ^ b[i + 6]) | (a[i + 7] ^ b[i + 7]);

		if (bits != 0)
			return 1;
	}
	return 0;
}

static void copy_page(word to, word from)
{
	word count = PAGE / sizeof(word);

	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

/* Writes the pages of [addr, addr + length) that differ from `room`; the bytes written. */
static long renew(word addr, word room, word length)
{
	long changed = 0;

	for (word at = 0; at < length; at += PAGE) {
		if (!differ((const word *)(addr + at), (const word *)(room + at)))
			continue;
		copy_page(addr + at, room + at);
		changed += PAGE;
	}
	return changed;
}

/*
 * Comparing costs a copy more than reading in place where nothing is equal: after a piece in which every page differed,
 * the next ones are read in place, twice as many each time, up to DIRECT_MAX.
 */
#define DIRECT_MAX 16ul

static long update_run(word fd, struct agent_run *run, word room)
{
	long changed = 0;
	word direct = 0;

	for (word done = 0; done < run->length;) {
		word left = run->length - done;
		word piece = left < AGENT_UPDATE_ROOM ? left : AGENT_UPDATE_ROOM;
		long result = transfer_run(__NR_pread64, fd, room, piece, run->offset + done);

		if (result < 0)
			return result;
		result = renew(run->addr + done, room, piece);
		changed += result;
		done += piece;
		direct = (word)result < piece ? 0 : direct == 0 ? 1 : direct < DIRECT_MAX ? 2 * direct : direct;
		left = run->length - done;
		piece = left < direct * AGENT_UPDATE_ROOM ? left : direct * AGENT_UPDATE_ROOM;
		result = transfer_run(__NR_pread64, fd, run->addr + done, piece, run->offset + done);
		if (result < 0)
			return result;
		changed += result;
		done += piece;
	}
	return changed;
}

long update_pages(word fd, struct agent_run *runs, word count, word room)
{
	long total = 0;

	for (word i = 0; i < count; i++) {
		long result;

		if ((runs[i].addr | runs[i].length) & (PAGE - 1))
			return -EINVAL;
		if (runs[i].offset == AGENT_DROP)
			result = call3(__NR_madvise, runs[i].addr, runs[i].length, MADV_DONTNEED);
		else
			result = update_run(fd, &runs[i], room);
		if (result < 0)
			return result;
		total += result;
	}
	return total;
}
