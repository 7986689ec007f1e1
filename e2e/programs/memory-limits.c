/* Memory at the limits of a process and of the kernel (argv[2]). */
#include "check.h"
#include <grp.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define PAGE 4096ul
#define MIB (1ul << 20)
#define RW (PROT_READ | PROT_WRITE)

static char *map(size_t size)
{
	char *at = mmap(NULL, size, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(at != MAP_FAILED, "mmap: %m");
	if (at == MAP_FAILED)
		exit(done());
	return at;
}

/* A number of /proc/self/status, in bytes. */
static unsigned long status(const char *field)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	unsigned long number = 0;

	while (fgets(line, sizeof(line), file) != NULL)
		if (!strncmp(line, field, strlen(field)))
			number = 1024 * strtoul(line + strlen(field) + 1, NULL, 10);
	fclose(file);
	return number;
}

static void limit(int resource, unsigned long bytes)
{
	struct rlimit want = { bytes, bytes };

	check(setrlimit(resource, &want) == 0, "setrlimit: %m");
}

static void give_up_root(void)
{
	check(setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0, "setresuid: %m");
}

/* More is locked than may be. */
static void locked(const char *go)
{
	char *at = map(MIB);
	unsigned long before;

	memset(at, 1, MIB);
	check(mlock(at, MIB) == 0, "mlock: %m");
	limit(RLIMIT_MEMLOCK, 0);
	give_up_root();
	before = status("VmLck");
	ready();
	wait_for(go);
	check(before >= MIB && status("VmLck") == before, "%lu bytes are locked, that were %lu", status("VmLck"), before);
	check(at[0] == 1 && at[MIB - 1] == 1, "contents differ");
	check(mlock(map(PAGE), PAGE) < 0, "more can be locked");
}

/* All is locked that is mapped, and the limit is reached. */
static void full(const char *go)
{
	char *at = map(MIB);
	unsigned long before;

	check(mlockall(MCL_CURRENT | MCL_FUTURE) == 0, "mlockall: %m");
	memset(at, 1, MIB);
	before = status("VmLck");
	limit(RLIMIT_MEMLOCK, before);
	give_up_root();
	check(mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EAGAIN, "more can be mapped: %m");
	ready();
	wait_for(go);
	check(status("VmLck") == before, "%lu bytes are locked, that were %lu", status("VmLck"), before);
	check(mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EAGAIN, "more can be mapped: %m");
}

/* As many mappings as the kernel allows (vm.max_map_count), less argv[3]. */
static void many(const char *go, unsigned long less)
{
	enum { MOST = 1 << 20 };
	char *at = map(MOST * PAGE);
	unsigned long count = 1;

	/* Each page on its own: no two neighbours can merge. */
	while (count < MOST && mprotect(at + count * PAGE, PAGE, count % 2 ? PROT_READ : RW) == 0 && (count % 2 || madvise(at + count * PAGE, PAGE, MADV_DONTDUMP) == 0))
		count++;
	check(errno == ENOMEM || errno == EAGAIN, "mapping %lu: %m", count);
	for (; less > 0; less--, count--)
		check(munmap(at + (count - 1) * PAGE, PAGE) == 0, "munmap: %m");
	for (unsigned long i = 0; i < count; i += 100)
		*(unsigned long *)(at + i * PAGE) = i;
	ready();
	wait_for(go);
	for (unsigned long i = 0; i < count; i += 100)
		check(*(unsigned long *)(at + i * PAGE) == i, "mapping %lu differs", i);
}

/* Two mappings that grew together, and are more than the machine has. */
static void merged(const char *go)
{
	size_t size = (size_t)sysconf(_SC_PHYS_PAGES) / 8 * 5 * PAGE;
	char *last = map(size), *first = map(size);

	/* Where they are not side by side, the kernel keeps other ways. */
	check(first + size == last, "%p and %p", (void *)first, (void *)last);
	first[size / 2] = 1;
	last[size / 2] = 2;
	ready();
	wait_for(go);
	check(first[size / 2] == 1 && last[size / 2] == 2 && first[0] == 0 && last[size - 1] == 0, "contents differ");
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";

	if (!strcmp(what, "locked"))
		locked(argv[1]);
	if (!strcmp(what, "full"))
		full(argv[1]);
	if (!strcmp(what, "merged"))
		merged(argv[1]);
	if (!strcmp(what, "many"))
		many(argv[1], argc > 3 ? strtoul(argv[3], NULL, 10) : 0);
	return done();
}
