/* Mappings that try a checkpointer (argv[2]). Contents are checked here; names, flags and bounds by the harness. */
#include "check.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define PAGE 4096ul
#define RW (PROT_READ | PROT_WRITE)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)

static char *map(void *where, size_t size, int prot, int flags)
{
	char *at = mmap(where, size, prot, flags, -1, 0);

	check(at != MAP_FAILED, "mmap %p %zu: %m", where, size);
	if (at == MAP_FAILED)
		exit(done());
	return at;
}

/* A few pages far apart in a mapping of terabytes. */
static void sparse(const char *go)
{
	size_t size = 2ul << 40, step = size / 64;
	char *at = map(NULL, size, RW, ANONYMOUS | MAP_NORESERVE);

	for (size_t i = 0; i < 64; i++)
		*(size_t *)(at + i * step) = i + 1;
	ready();
	wait_for(go);
	for (size_t i = 0; i < 64; i++)
		check(*(size_t *)(at + i * step) == i + 1 && at[i * step + PAGE] == 0, "page %zu differs", i);
}

/* Far more than the machine has: reserved and promised to nobody, with a page here and there, shared too. */
static void vast(const char *go)
{
	size_t size = 64ul << 40;
	char *reserved = map(NULL, size, PROT_NONE, ANONYMOUS | MAP_NORESERVE);
	char *used = map(NULL, 16ul << 40, RW, ANONYMOUS | MAP_NORESERVE);
	char *shared = mmap(NULL, 8ul << 40, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	check(shared != MAP_FAILED, "mmap: %m");
	check(mprotect(reserved + size / 2, PAGE, RW) == 0, "mprotect: %m");
	strcpy(reserved + size / 2, "in the middle");
	strcpy(used + (15ul << 40), "far away");
	strcpy(shared + (7ul << 40), "for all");
	ready();
	wait_for(go);
	check(!strcmp(reserved + size / 2, "in the middle") && !strcmp(used + (15ul << 40), "far away") && !strcmp(shared + (7ul << 40), "for all"), "contents differ");
	check(used[0] == 0 && shared[0] == 0, "there is something where nothing was");
}

/* As many mappings as the kernel allows by default, less half: no two neighbours can merge. */
static void many(const char *go)
{
	enum { COUNT = 30000 };
	char *at = map(NULL, COUNT * PAGE, RW, ANONYMOUS);

	for (size_t i = 0; i < COUNT; i++) {
		*(size_t *)(at + i * PAGE) = i ^ 0x5a5a;
		if (i % 2)
			check(mprotect(at + i * PAGE, PAGE, PROT_READ) == 0, "mprotect: %m");
	}
	ready();
	wait_for(go);
	for (size_t i = 0; i < COUNT; i++)
		check(*(size_t *)(at + i * PAGE) == (i ^ 0x5a5a), "mapping %zu differs", i);
}

/* Most of the address space is taken, the lowest and the highest page too: there is little room for helpers. */
static void crowded(const char *go)
{
	char *reserved = map(NULL, 80ul << 40, PROT_NONE, ANONYMOUS | MAP_NORESERVE);
	map(NULL, 40ul << 40, PROT_NONE, ANONYMOUS | MAP_NORESERVE);
	char *low = map((void *)0x10000, PAGE, RW, ANONYMOUS | MAP_FIXED_NOREPLACE);
	char *high = map((void *)0x7fffffffe000, PAGE, RW, ANONYMOUS | MAP_FIXED_NOREPLACE);

	strcpy(low, "low");
	strcpy(high, "high");
	check(mprotect(reserved + (50ul << 40), PAGE, RW) == 0, "mprotect: %m");
	strcpy(reserved + (50ul << 40), "middle");
	ready();
	wait_for(go);
	check(!strcmp(low, "low") && !strcmp(high, "high") && !strcmp(reserved + (50ul << 40), "middle"), "contents differ");
}

/* What madvise(2), mlock(2) and their kin leave on a mapping: the harness compares VmFlags and names. */
static void flags(const char *go)
{
	static const int advice[] = { MADV_DONTFORK, MADV_DONTDUMP, MADV_WIPEONFORK, MADV_SEQUENTIAL, MADV_RANDOM, MADV_HUGEPAGE, MADV_NOHUGEPAGE };
	char *at[11];

	for (size_t i = 0; i < 11; i++) {
		/* A hole after each keeps them apart. */
		at[i] = map(NULL, 9 * PAGE, RW, ANONYMOUS | (i == 9 ? MAP_NORESERVE : 0));
		munmap(at[i] + 8 * PAGE, PAGE);
		if (i < 7)
			check(madvise(at[i], 8 * PAGE, advice[i]) == 0, "madvise %d: %m", advice[i]);
		/* A kernel without KSM has no such memory. */
		if (i == 10)
			madvise(at[i], 8 * PAGE, MADV_MERGEABLE);
		memset(at[i], (int)i + 1, 4 * PAGE);
	}
	check(mlock(at[7], 8 * PAGE) == 0, "mlock: %m");
	ready();
	wait_for(go);
	for (size_t i = 0; i < 11; i++)
		check(at[i][0] == (char)(i + 1) && at[i][4 * PAGE - 1] == (char)(i + 1) && at[i][4 * PAGE] == 0, "mapping %zu differs", i);
}

/* What new kernels know: sealed (Linux 6.10), droppable (6.11), locked when touched; and memory locked as it is mapped. */
static void states(const char *go)
{
	char *sealed = map(NULL, 3 * PAGE, RW, ANONYMOUS), *lazy = map(NULL, 8 * PAGE, RW, ANONYMOUS), *later, *droppable;
	unsigned char resident[8];
	int has_seal;

	memset(sealed, 7, PAGE);
	memset(lazy, 8, PAGE);
	has_seal = syscall(462 /* mseal */, sealed, 2 * PAGE, 0) == 0;
	check(mlock2(lazy, 8 * PAGE, MLOCK_ONFAULT) == 0, "mlock2: %m");
	droppable = mmap(NULL, 4 * PAGE, RW, 8 /* MAP_DROPPABLE */ | MAP_ANONYMOUS, -1, 0);
	check(mlockall(MCL_FUTURE) == 0, "mlockall: %m");
	ready();
	wait_for(go);
	check(sealed[0] == 7 && sealed[2 * PAGE] == 0 && lazy[0] == 8, "contents differ");
	if (has_seal)
		check(munmap(sealed, PAGE) < 0 && mprotect(sealed + PAGE, PAGE, PROT_READ) < 0 && munmap(sealed + 2 * PAGE, PAGE) == 0, "the seal does not hold");
	if (droppable != MAP_FAILED)
		droppable[0] = 1;
	check(mincore(lazy, 8 * PAGE, resident) == 0 && (resident[5] & 1) == 0, "locked memory came in untouched");
	later = map(NULL, 8 * PAGE, RW, ANONYMOUS);
	check(mincore(later, 8 * PAGE, resident) == 0 && (resident[5] & 1) == 1, "new memory is not locked");
}

/* A flag of smaps, `dp`, of the mapping that begins there. */
static int has_flag(const void *at, const char *flag)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[512];
	int found = 0, is = 0;

	while (fgets(line, sizeof(line), smaps) != NULL) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			found = start == (unsigned long)at;
		else if (found && !strncmp(line, "VmFlags:", 8))
			is = strstr(line, flag) != NULL;
	}
	fclose(smaps);
	return is;
}

/* Memory that the kernel may drop (Linux 6.11), where there is such a thing. */
static void droppable(const char *go)
{
	char *at = mmap(NULL, 4 * PAGE, RW, 8 /* MAP_DROPPABLE */ | MAP_ANONYMOUS, -1, 0);

	if (at != MAP_FAILED)
		memset(at, 1, PAGE);
	ready();
	wait_for(go);
	if (at == MAP_FAILED)
		return;
	check(has_flag(at, " dp"), "the memory is another kind");
	check(at[0] == 0 || at[0] == 1, "it holds something else");
	at[0] = 2;
}

/* NUMA policies (mbind): of a whole mapping, of pages in the middle of one, of shared memory. */
static int policy(const void *at, unsigned long *nodes)
{
	int mode = -1;

	*nodes = 0;
	return syscall(SYS_get_mempolicy, &mode, nodes, 8 * sizeof(*nodes), at, 2 /* MPOL_F_ADDR */) == 0 ? mode : -1;
}

static void numa(const char *go)
{
	static const int modes[] = { 2 /* MPOL_BIND */, 3 /* MPOL_INTERLEAVE */ | 1 << 15 /* MPOL_F_STATIC_NODES */, 1 /* MPOL_PREFERRED */, 4 /* MPOL_LOCAL */, 2 };
	unsigned long node = 1, none = 0, nodes;
	char *at[5];
	int has = 1;

	for (int i = 0; i < 5; i++) {
		at[i] = mmap(NULL, 8 * PAGE, RW, (i == 4 ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
		munmap(at[i] + 7 * PAGE, PAGE);
		memset(at[i], i + 1, 3 * PAGE);
		if (syscall(SYS_mbind, at[i] + 2 * PAGE, 3 * PAGE, modes[i], i == 3 ? &none : &node, i == 3 ? 0ul : 8 * sizeof(node), 0) != 0)
			has = 0;
	}
	ready();
	wait_for(go);
	for (int i = 0; has && i < 5; i++) {
		check(policy(at[i] + 2 * PAGE, &nodes) == modes[i] && nodes == (i == 3 ? 0ul : 1ul), "policy %d is 0x%x, nodes 0x%lx", i, policy(at[i] + 2 * PAGE, &nodes), nodes);
		check(policy(at[i] + 4 * PAGE, &nodes) == modes[i] && policy(at[i] + PAGE, &nodes) == 0 && policy(at[i] + 5 * PAGE, &nodes) == 0, "policy %d is of other pages", i);
		check(at[i][0] == i + 1 && at[i][3 * PAGE - 1] == i + 1 && at[i][3 * PAGE] == 0, "contents %d differ", i);
	}
}

/* The same, on fault. */
static void touched(const char *go)
{
	unsigned char resident[8];
	char *later;

	check(mlockall(MCL_FUTURE | MCL_ONFAULT) == 0, "mlockall: %m");
	ready();
	wait_for(go);
	later = map(NULL, 8 * PAGE, RW, ANONYMOUS);
	check(mincore(later, 8 * PAGE, resident) == 0 && (resident[5] & 1) == 0, "new memory comes in untouched");
	later[0] = 1;
	check(munlockall() == 0, "munlockall: %m");
}

/* Stacks made by hand, which grow down by faults; and the main stack near its limit. */
static unsigned long deep(size_t bytes)
{
	volatile char frame[16 * PAGE];

	frame[0] = frame[sizeof(frame) - 1] = 7;
	return bytes <= sizeof(frame) ? (unsigned long)frame[0] : deep(bytes - sizeof(frame)) + (unsigned long)frame[sizeof(frame) - 1] * 0;
}

static void stacks(const char *go)
{
	struct rlimit limit;
	char *at = map(NULL, 256 * PAGE, RW, ANONYMOUS);

	munmap(at, 256 * PAGE);
	at = map(at + 255 * PAGE, PAGE, RW, ANONYMOUS | MAP_GROWSDOWN | MAP_STACK | MAP_FIXED_NOREPLACE);
	for (size_t i = 0; i < 20; i++)
		at[-(long)(i * PAGE)] = (char)(i + 1);
	getrlimit(RLIMIT_STACK, &limit);
	check(deep(limit.rlim_cur / 4) == 7, "deep recursion");
	ready();
	wait_for(go);
	for (size_t i = 0; i < 20; i++)
		check(at[-(long)(i * PAGE)] == (char)(i + 1), "page %zu of the stack differs", i);
	for (size_t i = 20; i < 40; i++)
		at[-(long)(i * PAGE)] = 1;
	check(deep(limit.rlim_cur - 256 * 1024) == 7, "deep recursion to the limit");
}

/* Code that the program wrote itself. */
static void generated(const char *go)
{
	static const unsigned char code[] = { 0xb8, 0x2a, 0, 0, 0, 0xc3 }; /* mov $42, %eax; ret */
	char *both = map(NULL, PAGE, RW | PROT_EXEC, ANONYMOUS), *only = map(NULL, PAGE, RW, ANONYMOUS);

	memcpy(both, code, sizeof(code));
	memcpy(only, code, sizeof(code));
	check(mprotect(only, PAGE, PROT_EXEC) == 0, "mprotect: %m");
	ready();
	wait_for(go);
	check(((int (*)(void))(void *)both)() == 42 && ((int (*)(void))(void *)only)() == 42, "the code answers wrongly");
	both[1] = 43;
	check(((int (*)(void))(void *)both)() == 43, "the code cannot be changed");
}

/* A protection key is usable by this process: asked where no mapping can be. */
static int has_key(int key)
{
	return syscall(SYS_pkey_mprotect, 0xffffffffffffe000ul, PAGE, PROT_READ, key) == -1 && errno == ENOMEM;
}

static sigjmp_buf caught;
static siginfo_t fault;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	fault = *info;
	siglongjmp(caught, 1);
}

static unsigned int pkru(void)
{
	unsigned int rights, none;

	__asm__ volatile("rdpkru" : "=a"(rights), "=d"(none) : "c"(0));
	return rights;
}

/* The key that forbids reading `at`; -1 when it can be read. */
static int forbidden_by(volatile char *at)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	int key = -1;
	unsigned int rights = pkru();

	sigaction(SIGSEGV, &action, NULL);
	if (sigsetjmp(caught, 1) == 0)
		(void)*at;
	else
		key = fault.si_code == SEGV_PKUERR ? (int)fault.si_pkey : 0;
	/* The handler ran with rights of its own, and was left without sigreturn(2). */
	__asm__ volatile("wrpkru" : : "a"(rights), "c"(0), "d"(0));
	action.sa_handler = SIG_DFL;
	sigaction(SIGSEGV, &action, NULL);
	return key;
}

/*
 * Memory protection keys: allocated with rights (1, 2), freed (3), for execute-only memory (4), allocated (5) and freed
 * while memory has it (6); execute-only memory without a key.
 */
static void keys(const char *go)
{
	static const int rights[] = { 0, PKEY_DISABLE_WRITE, PKEY_DISABLE_ACCESS, 0 };
	static const unsigned char code[] = { 0xb8, 0x2a, 0, 0, 0, 0xc3 }; /* mov $42, %eax; ret */
	char *at[7], *plain = map(NULL, 2 * PAGE, RW, ANONYMOUS);

	for (int i = 1; i <= 6; i++) {
		/* A hole after each keeps them apart. */
		at[i] = map(NULL, 4 * PAGE, RW, ANONYMOUS);
		munmap(at[i] + 3 * PAGE, PAGE);
		memset(at[i], i, 2 * PAGE);
	}
	if (pkey_alloc(0, rights[1]) < 0) {
		ready();
		wait_for(go);
		return;
	}
	check(pkey_alloc(0, rights[2]) == 2 && pkey_alloc(0, 0) == 3, "pkey_alloc: %m");
	memcpy(at[4], code, sizeof(code));
	check(mprotect(at[4], 3 * PAGE, PROT_EXEC) == 0, "mprotect: %m");
	check(pkey_alloc(0, 0) == 5 && pkey_alloc(0, PKEY_DISABLE_ACCESS) == 6, "pkey_alloc: %m");
	for (int i = 1; i <= 6; i++)
		if (i != 3 && i != 4)
			check(pkey_mprotect(at[i], 3 * PAGE, i == 5 ? PROT_EXEC : RW, i) == 0, "pkey_mprotect %d: %m", i);
	memcpy(plain, code, sizeof(code));
	check(pkey_mprotect(plain, PAGE, PROT_EXEC, 0) == 0, "pkey_mprotect: %m");
	check(pkey_free(3) == 0 && pkey_free(6) == 0, "pkey_free: %m");
	ready();
	wait_for(go);
	for (int i = 1; i <= 6; i++)
		check(has_key(i) == (i == 1 || i == 2 || i == 5), "key %d is%s allocated", i, has_key(i) ? "" : " not");
	check(pkey_get(1) == rights[1] && pkey_get(2) == rights[2] && pkey_get(5) == 0, "the rights are %d, %d, %d", pkey_get(1), pkey_get(2), pkey_get(5));
	check(at[1][0] == 1 && at[1][2 * PAGE - 1] == 1 && at[1][2 * PAGE] == 0, "contents differ");
	check(forbidden_by(at[2]) == 2 && forbidden_by(at[4]) == 4 && forbidden_by(at[6]) == 6, "the memory can be read");
	check(((int (*)(void))(void *)at[4])() == 42 && ((int (*)(void))(void *)plain)() == 42, "the code answers wrongly");
	pkey_set(2, 0);
	pkey_set(6, 0);
	check(at[2][2 * PAGE - 1] == 2 && at[6][2 * PAGE - 1] == 6, "contents differ");
	check(forbidden_by(at[5]) == -1 && at[5][0] == 5 && at[5][2 * PAGE] == 0, "contents differ");
	/* The next key is the lowest free one, not the one reserved for execute-only memory. */
	check(pkey_alloc(0, 0) == 3 && pkey_alloc(0, 0) == 6, "other keys are free");
	check(mprotect(at[4], PAGE, PROT_READ | PROT_EXEC) == 0 && forbidden_by(at[4]) == -1 && at[4][0] == (char)0xb8, "execute-only memory keeps its key");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(const char *);
	} variants[] = { { "sparse", sparse }, { "many", many },	   { "crowded", crowded }, { "flags", flags },
			 { "stacks", stacks }, { "generated", generated }, { "keys", keys },
			 { "states", states }, { "numa", numa }, { "droppable", droppable }, { "vast", vast }, { "touched", touched } };

	for (size_t i = 0; argc > 2 && i < sizeof(variants) / sizeof(variants[0]); i++)
		if (!strcmp(argv[2], variants[i].name))
			variants[i].run(argv[1]);
	return done();
}
