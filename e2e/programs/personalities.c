/* Threads with personalities of their own, and one of the process that would make mappings executable. */
#include "check.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>

#define THREADS 3

static const long kinds[THREADS] = { STICKY_TIMEOUTS, 0, ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC };
static volatile int ready_threads, go;

static void expect(const char *who, long wanted)
{
	long found = syscall(SYS_personality, 0xffffffff);

	check(found == wanted, "%s: personality 0x%lx, not 0x%lx", who, found, wanted);
}

static void *thread(void *kind)
{
	syscall(SYS_personality, *(const long *)kind);
	__atomic_add_fetch(&ready_threads, 1, __ATOMIC_SEQ_CST);
	while (!go)
		usleep(1000);
	expect("a thread", *(const long *)kind);
	return NULL;
}

/* Addresses and permissions. */
static void mappings(char *text, size_t size)
{
	char line[512];
	size_t at = 0;
	FILE *file = fopen("/proc/self/maps", "re");

	while (fgets(line, sizeof(line), file) != NULL && at + 64 < size)
		if (strstr(line, "[v") == NULL)
			at += (size_t)sprintf(text + at, "%.30s\n", line);
	fclose(file);
}

int main(int argc, char **argv)
{
	static char before[32768], after[32768];
	const long own = READ_IMPLIES_EXEC | STICKY_TIMEOUTS;
	pthread_t threads[THREADS];
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)argc;
	check(page != MAP_FAILED, "mmap: %m");
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, thread, (void *)&kinds[i]);
	while (ready_threads < THREADS)
		usleep(1000);
	/* Memory of stdio is there before the personality. */
	mappings(before, sizeof(before));
	syscall(SYS_personality, own);
	mappings(before, sizeof(before));
	ready();
	wait_for(argv[1]);
	mappings(after, sizeof(after));
	check(strcmp(before, after) == 0, "mappings were %s, are %s", before, after);
	expect("the process", own);
	go = 1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return done();
}
