/* Limits (argv[2]) that leave no room for anything but the program itself: a checkpointer's agent lives inside them. */
#include "check.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

static unsigned long size_of_address_space(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	check(file && fscanf(file, "%lu", &pages) == 1, "statm: %m");
	fclose(file);
	return pages * 4096;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int limit;
	} limits[] = { { "address-space", RLIMIT_AS }, { "data", RLIMIT_DATA },	      { "file-size", RLIMIT_FSIZE }, { "files", RLIMIT_NOFILE },
		       { "locked", RLIMIT_MEMLOCK },   { "processes", RLIMIT_NPROC }, { "stack", RLIMIT_STACK },     { "signals", RLIMIT_SIGPENDING } };
	struct rlimit want = { 0, 0 }, now;
	int resource = -1;
	char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(memory, 'm', 1 << 20);
	int far = fcntl(0, F_DUPFD, 900);
	check(far == 900, "dup: %m");
	unsigned long size = size_of_address_space();
	for (size_t i = 0; argc > 2 && i < sizeof(limits) / sizeof(limits[0]); i++)
		if (!strcmp(argv[2], limits[i].name))
			resource = limits[i].limit;
	check(resource >= 0, "no limit of that name");
	ready();
	if (resource == RLIMIT_AS)
		want.rlim_cur = want.rlim_max = size;
	if (resource == RLIMIT_STACK)
		want.rlim_cur = want.rlim_max = 64 * 1024;
	if (resource == RLIMIT_FSIZE)
		want.rlim_cur = want.rlim_max = 4096;
	check(setrlimit(resource, &want) == 0, "setrlimit: %m");
	wait_for(argv[1]);
	check(getrlimit(resource, &now) == 0 && now.rlim_cur == want.rlim_cur && now.rlim_max == want.rlim_max, "the limit is %lu",
	      (unsigned long)now.rlim_cur);
	for (int i = 0; i < 1 << 20; i++)
		check(memory[i] == 'm', "memory differs at %d", i);
	check(fcntl(far, F_GETFD) == 0, "fd 900 is gone: %m");
	if (resource == RLIMIT_AS)
		check(mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED, "there is room");
	if (resource == RLIMIT_NOFILE)
		check(dup(0) == -1 && errno == EMFILE, "there is a descriptor left");
	return done();
}
