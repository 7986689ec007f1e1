/*
 * Memory of many kinds, filled from a seed and proven byte for byte. Each file `next-N` in the program's directory has it filled anew:
 * what is private in the parent alone, what is shared for the child too.
 */
#include "check.h"
#include "pattern.h"
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PAGE 4096ul
#define SIZE (37 * PAGE)
#define RW (PROT_READ | PROT_WRITE)

enum { KINDS_MAX = 48 };

static struct kind {
	const char *name;
	unsigned char *at;
	/* What it takes to read it; -1: it can be read. */
	int prot;
	/* Only these bytes are known: the rest is another's. */
	size_t size;
	/* One object for parent and child. */
	int is_shared;
	/* It can't be filled anew. */
	int is_sealed;
	/* It shows what another one has: the number of that, and one. */
	int view_of;
	/* The protection key that closes it; 0: none does. */
	int key;
	/* fork(2) leaves it behind, or empties it. */
	int is_left_behind, is_wiped;
	/* Nobody can read the page behind it. */
	int is_guarded;
} kinds[KINDS_MAX];
/* How often: private memory, and, in memory of its own that is shared, the rest. */
static unsigned long generation, *shared_generation;
static int count;
static unsigned long seed;

static unsigned long seed_of(int i)
{
	unsigned long times = kinds[i].is_sealed ? 0 : kinds[i].is_shared ? *shared_generation : generation;

	return kinds[i].view_of > 0 ? seed_of(kinds[i].view_of - 1) : seed + (unsigned long)i + 1000 * times;
}

static struct kind *add_sized(const char *name, void *at, size_t size)
{
	struct kind *kind = &kinds[count];

	check(count < KINDS_MAX && at != MAP_FAILED && at != NULL, "%s: %m", name);
	if (count == KINDS_MAX || at == MAP_FAILED || at == NULL)
		exit(done());
	*kind = (struct kind){ .name = name, .at = at, .prot = -1, .size = size };
	fill(at, size, seed_of(count));
	count++;
	return kind;
}

static struct kind *add(const char *name, void *at)
{
	return add_sized(name, at, SIZE);
}

static void add_shared(const char *name, void *at)
{
	add(name, at)->is_shared = 1;
}

/* Another view of what was added last. */
static inline void add_view(const char *name, void *at)
{
	check(count < KINDS_MAX && at != MAP_FAILED && at != NULL, "%s: %m", name);
	kinds[count] = (struct kind){ .name = name, .at = at, .prot = -1, .size = kinds[count - 1].size, .view_of = count };
	count++;
}

/* Added, and then protected. */
static inline void add_protected(const char *name, void *at, int prot)
{
	add(name, at)->prot = prot;
	check(mprotect(at, SIZE, prot) == 0, "mprotect of %s: %m", name);
}

static void *map(int prot, int flags, int fd)
{
	return mmap(NULL, SIZE, prot, flags, fd, 0);
}

static void *private(void)
{
	return map(RW, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static int file(const char *directory, const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	check(fd >= 0 && ftruncate(fd, SIZE) == 0, "%s: %m", path);
	return fd;
}

static void open_up(struct kind *kind, int prot)
{
	if (kind->prot >= 0)
		check(mprotect(kind->at, kind->size, prot) == 0, "mprotect of %s: %m", kind->name);
	if (kind->key > 0)
		pkey_set(kind->key, 0);
}

static void close_again(struct kind *kind)
{
	if (kind->prot >= 0)
		check(mprotect(kind->at, kind->size, kind->prot) == 0, "mprotect of %s: %m", kind->name);
	if (kind->key > 0)
		pkey_set(kind->key, PKEY_DISABLE_ACCESS);
}

static void fill_anew(void)
{
	generation++;
	++*shared_generation;
	for (int i = 0; i < count; i++) {
		if (kinds[i].is_sealed || kinds[i].view_of > 0)
			continue;
		open_up(&kinds[i], RW);
		fill(kinds[i].at, kinds[i].size, seed_of(i));
		close_again(&kinds[i]);
	}
}

/* Until the go file is there. */
static void fill_when_told(const char *go, const char *directory)
{
	char path[512];

	while (access(go, F_OK) != 0) {
		snprintf(path, sizeof(path), "%s/next-%lu", directory, generation + 1);
		if (access(path, F_OK) == 0) {
			fill_anew();
			printf("filled %lu\n", generation);
			fflush(stdout);
		}
		usleep(2000);
	}
}

static int is_zero(const unsigned char *at, size_t size)
{
	return at[0] == 0 && !memcmp(at, at + 1, size - 1);
}

/* Without a signal: the kernel says EFAULT. */
static int can_be_read(const unsigned char *at)
{
	int ends[2], is;

	check(pipe(ends) == 0, "pipe: %m");
	is = write(ends[1], at, 1) == 1;
	close(ends[0]);
	close(ends[1]);
	return is;
}

static int prove(int is_child)
{
	int bad = 0;

	for (int i = 0; i < count; i++) {
		struct kind *kind = &kinds[i];
		int is_good;

		if (is_child && kind->is_left_behind)
			is_good = !can_be_read(kind->at);
		else {
			is_good = !kind->is_guarded || !can_be_read(kind->at + kind->size);
			open_up(kind, PROT_READ);
			is_good &= is_child && kind->is_wiped ? is_zero(kind->at, kind->size) : filled(kind->at, kind->size, seed_of(i));
			close_again(kind);
		}
		if (!is_good) {
			fail("%s differs", kind->name);
			bad++;
		}
	}
	return bad;
}

/* The stack is as deep as programs have it that call something now and then. */
static void __attribute__((noinline)) deepen(void)
{
	volatile char frame[16 * PAGE];

	for (size_t i = 0; i < sizeof(frame); i += PAGE)
		frame[i] = 0;
}

/* `set_up` adds the kinds; what a child cannot have is another's. */
static int run(char **argv, void (*set_up)(const char *directory), void (*set_up_alone)(void), void (*prove_alone)(void))
{
	unsigned char stack[SIZE];
	pid_t child;
	int status;

	seed = strtoul(argv[3], NULL, 0);
	shared_generation = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	add("stack", stack);
	deepen();
	set_up(argv[2]);
	child = fork();
	if (child == 0) {
		wait_for(argv[1]);
		status = prove(1);
		fflush(stdout);
		_exit(status);
	}
	set_up_alone();
	ready();
	fill_when_told(argv[1], argv[2]);
	check(waitpid(child, &status, 0) == child && status == 0, "%d kinds differ in the child", WEXITSTATUS(status));
	prove(0);
	prove_alone();
	return done();
}
