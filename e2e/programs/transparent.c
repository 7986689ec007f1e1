/*
 * Transparent huge pages (argv[2]): mappings that share a huge page with their neighbours, the stack of a thread in memory that has
 * huge pages, and a process that wants none.
 */
#include "check.h"
#include "pattern.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define PAGE 4096ul
#define MIB (1024ul * 1024)
#define RW (PROT_READ | PROT_WRITE)

static const char *go;

/* At an address that is a multiple of a huge page, with no neighbours. */
static unsigned char *huge(size_t size)
{
	unsigned char *at = mmap(NULL, size + 6 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *from;

	from = (unsigned char *)(((unsigned long)at + 4 * MIB) & ~(2 * MIB - 1));
	munmap(at, (size_t)(from - at));
	munmap(from + size, (size_t)(at + 6 * MIB - from));
	check(mprotect(from, size, RW) == 0 && madvise(from, size, MADV_HUGEPAGE) == 0, "huge pages: %m");
	return from;
}

/* Of the mapping at `at`, in kB. */
static unsigned long field(const void *at, const char *name)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	unsigned long start, end, value = 0;
	char line[512];
	int found = 0;

	while (fgets(line, sizeof(line), smaps) != NULL)
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			found = (unsigned long)at >= start && (unsigned long)at < end;
		else if (found && strncmp(line, name, strlen(name)) == 0)
			value = strtoul(line + strlen(name) + 1, NULL, 10);
	fclose(smaps);
	return value;
}

/* Parts of one area: gone, read-only, dropped. What lies between two of them is in the same huge page. */
static void neighbours(void)
{
	size_t size = 8 * MIB;
	unsigned char *at = huge(size), *copy = mmap(NULL, size, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	fill(at, size, 3);
	munmap(at + MIB, MIB);
	mprotect(at + 3 * MIB, MIB / 2, PROT_READ);
	madvise(at + 5 * MIB, MIB / 4, MADV_DONTNEED);
	ready();
	wait_for(go);
	fill(copy, size, 3);
	memset(copy + 5 * MIB, 0, MIB / 4);
	check(memcmp(at, copy, MIB) == 0, "the first part differs");
	check(memcmp(at + 2 * MIB, copy + 2 * MIB, MIB) == 0, "the second part differs");
	check(memcmp(at + 3 * MIB, copy + 3 * MIB, MIB / 2) == 0, "what may only be read differs");
	check(memcmp(at + 3 * MIB + MIB / 2, copy + 3 * MIB + MIB / 2, 4 * MIB + MIB / 2) == 0, "the last part differs");
}

#define STACK (16 * MIB)

static void *in_thread(void *stack)
{
	(void)stack;
	wait_for(go);
	return NULL;
}

static void stack(void)
{
	unsigned char *at = huge(STACK);
	pthread_attr_t attributes;
	pthread_t thread;

	fill(at, STACK - 256 * PAGE, 5);
	pthread_attr_init(&attributes);
	check(pthread_attr_setstack(&attributes, at, STACK) == 0, "no stack");
	check(pthread_create(&thread, &attributes, in_thread, NULL) == 0, "no thread");
	ready();
	wait_for(go);
	pthread_join(thread, NULL);
	check(filled(at, STACK - 256 * PAGE, 5), "the memory below the stack differs");
}

static void disabled(void)
{
	unsigned char *at;

	check(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0, "prctl: %m");
	at = huge(8 * MIB);
	fill(at, 8 * MIB, 7);
	ready();
	wait_for(go);
	check(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1, "the process takes huge pages");
	check(filled(at, 8 * MIB, 7), "the memory differs");
	check(field(at, "AnonHugePages") == 0, "%lu kB of huge pages", field(at, "AnonHugePages"));
}

int main(int argc, char **argv)
{
	go = argv[1];
	if (argc > 2 && strcmp(argv[2], "neighbours") == 0)
		neighbours();
	else if (argc > 2 && strcmp(argv[2], "stack") == 0)
		stack();
	else
		disabled();
	return done();
}
