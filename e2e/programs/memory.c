/* Private memory of every kind: contents, protections, guards, a stack and a heap that go on growing, the vdso. */
#include "check.h"
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

#define MADV_GUARD_INSTALL_NUMBER 102
#define PIECE (64 * 4096)

static sigjmp_buf trap;
static char data[3 * 4096] = "initialised data";

static void on_fault(int signal)
{
	siglongjmp(trap, signal);
}

static int faults(volatile char *at, int write)
{
	if (sigsetjmp(trap, 1))
		return 1;
	if (write)
		*at = 1;
	else
		(void)*at;
	return 0;
}

static void fill(unsigned char *at, size_t size, unsigned long seed)
{
	for (size_t i = 0; i < size; i++)
		at[i] = (unsigned char)((seed = seed * 6364136223846793005ul + 1) >> 56);
}

static int filled(const unsigned char *at, size_t size, unsigned long seed)
{
	for (size_t i = 0; i < size; i++)
		if (at[i] != (unsigned char)((seed = seed * 6364136223846793005ul + 1) >> 56))
			return 0;
	return 1;
}

static unsigned long deep(int depth)
{
	volatile char frame[4096];

	frame[0] = (char)depth;
	return depth == 0 ? 1 : deep(depth - 1) + (unsigned long)frame[0] * 0 + 1;
}

static unsigned char *map(int prot, int flags, int fd)
{
	unsigned char *at = mmap(NULL, PIECE, prot, flags, fd, 0);

	check(at != MAP_FAILED, "mmap: %m");
	return at;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	int prot = PROT_READ | PROT_WRITE, anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
	struct timespec before, after;

	(void)argc;
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	unsigned char *plain = map(prot, anonymous, -1), *readonly = map(prot, anonymous, -1), *hidden = map(prot, anonymous, -1);
	unsigned char *sparse = map(prot, anonymous, -1), *guarded = map(prot, anonymous, -1), *locked = map(prot, anonymous, -1);
	fill(plain, PIECE, 1);
	fill(readonly, PIECE, 2);
	fill(hidden, PIECE, 3);
	fill(sparse + 7 * 4096, 4096, 4);
	fill(guarded, PIECE, 5);
	fill(locked, PIECE, 6);
	mprotect(readonly, PIECE, PROT_READ);
	mprotect(hidden, PIECE, PROT_NONE);
	int has_guards = madvise(guarded + 8192, 4096, MADV_GUARD_INSTALL_NUMBER) == 0;
	mlock(locked, PIECE);
	madvise(sparse, PIECE, MADV_DONTDUMP);
	int fd = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (int i = 0; i < PIECE / 4096; i++)
		check(write(fd, (char[4096]){ (char)i }, 4096) == 4096, "write: %m");
	unsigned char *file = map(prot, MAP_PRIVATE, fd), *unread = map(PROT_READ, MAP_PRIVATE, fd), *shared = map(prot, MAP_SHARED, fd);
	close(fd);
	fill(file + 4096, 4096, 8);
	unsigned char *heap = sbrk(PIECE);
	fill(heap, PIECE, 9);
	strcpy(data + 4096, "changed data");
	clock_gettime(CLOCK_MONOTONIC, &before);
	ready();
	wait_for(argv[1]);

	check(filled(plain, PIECE, 1), "plain memory differs");
	check(filled(readonly, PIECE, 2) && faults((char *)readonly, 1), "read-only memory differs");
	check(faults((char *)hidden, 0), "PROT_NONE memory can be read");
	mprotect(hidden, PIECE, PROT_READ);
	check(filled(hidden, PIECE, 3), "contents behind PROT_NONE differ");
	check(filled(sparse + 7 * 4096, 4096, 4) && sparse[0] == 0 && sparse[PIECE - 1] == 0, "sparse memory differs");
	check(!has_guards || faults((char *)guarded + 8192, 0), "the guard is gone");
	check(filled(guarded, 8192, 5) && guarded[12288] != 0, "memory around the guard differs");
	check(filled(locked, PIECE, 6), "locked memory differs");
	check(filled(file + 4096, 4096, 8) && file[0] == 0 && file[8192] == 2, "a private file mapping differs");
	check(unread[4096 * 5] == 5, "a read-only file mapping differs");
	shared[4096 * 9] = 99;
	check(unread[4096 * 9] == 99, "the shared mapping is not the file's");
	check(filled(heap, PIECE, 9) && sbrk(PIECE) == heap + PIECE, "the heap differs or cannot grow");
	check(!strcmp(data, "initialised data") && !strcmp(data + 4096, "changed data"), "data differ");
	check(deep(1500) == 1501, "the stack cannot grow");
	clock_gettime(CLOCK_MONOTONIC, &after);
	check(after.tv_sec >= before.tv_sec, "the clock went back");
	struct timeval now;
	unsigned int cpu = 99;
	check(gettimeofday(&now, NULL) == 0 && getcpu(&cpu, NULL) == 0 && cpu < 99, "the vdso does not answer");
	return done();
}
