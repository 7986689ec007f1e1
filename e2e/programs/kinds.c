/*
 * Memory of every kind, filled from a seed (argv[3]) and proven byte for byte. argv[2] is a directory for files. Each file `next-N`
 * there has it filled anew: what is private in the parent alone, what is shared for the child too.
 */
#include "check.h"
#include "pattern.h"
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PAGE 4096ul
#define SIZE (37 * PAGE)
#define RW (PROT_READ | PROT_WRITE)
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

enum { KINDS_MAX = 32 };

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
} kinds[KINDS_MAX];
/* How often: private memory, and, in memory of its own that is shared, the rest. */
static unsigned long generation, *shared_generation;
static int count;
static unsigned long seed;

static unsigned long seed_of(int i)
{
	unsigned long times = kinds[i].is_sealed ? 0 : kinds[i].is_shared ? *shared_generation : generation;

	return seed + (unsigned long)i + 1000 * times;
}

/* One that was added last. */
static void is_shared(void)
{
	kinds[count - 1].is_shared = 1;
}

static unsigned char *add(const char *name, void *at, int prot)
{
	check(at != MAP_FAILED && at != NULL, "%s: %m", name);
	if (at == MAP_FAILED || at == NULL)
		exit(done());
	kinds[count] = (struct kind){ .name = name, .at = at, .prot = prot, .size = SIZE };
	fill(at, SIZE, seed_of(count));
	return kinds[count++].at;
}

static void *map(int prot, int flags, int fd)
{
	return mmap(NULL, SIZE, prot, flags, fd, 0);
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

/* Where the machine has some huge TLB pages: their first bytes. */
static void set_up_huge(void)
{
	size_t size = 2ul << 20;
	int flags = MAP_ANONYMOUS | MAP_HUGETLB, fd = memfd_create("huge", MFD_HUGETLB);
	void *private = mmap(NULL, size, RW, MAP_PRIVATE | flags, -1, 0), *shared = mmap(NULL, size, RW, MAP_SHARED | flags, -1, 0);
	void *file = fd >= 0 && ftruncate(fd, (off_t)size) == 0 ? mmap(NULL, size, RW, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (private != MAP_FAILED)
		add("huge, private", private, -1);
	if (shared != MAP_FAILED) {
		add("huge, shared", shared, -1);
		is_shared();
	}
	if (file != MAP_FAILED) {
		add("huge, memfd", file, -1);
		is_shared();
	}
}

static void set_up(const char *directory)
{
	int fd, key, id;
	unsigned char *at, *sealed;

	add("private", map(RW, MAP_PRIVATE | MAP_ANONYMOUS, -1), -1);
	at = add("hidden", map(RW, MAP_PRIVATE | MAP_ANONYMOUS, -1), PROT_NONE);
	mprotect(at, SIZE, PROT_NONE);
	at = add("executed only", map(RW, MAP_PRIVATE | MAP_ANONYMOUS, -1), PROT_EXEC);
	mprotect(at, SIZE, PROT_EXEC);
	at = add("written only", map(RW, MAP_PRIVATE | MAP_ANONYMOUS, -1), PROT_WRITE);
	mprotect(at, SIZE, PROT_WRITE);
	at = add("locked", map(RW, MAP_PRIVATE | MAP_ANONYMOUS, -1), -1);
	check(mlock(at, SIZE) == 0, "mlock: %m");
	at = add("sealed by mseal", map(RW, MAP_PRIVATE | MAP_ANONYMOUS, -1), -1);
	syscall(462, at, SIZE, 0);
	key = pkey_alloc(0, 0);
	at = add("with a key", map(RW, MAP_PRIVATE | MAP_ANONYMOUS, -1), -1);
	if (key >= 0)
		check(pkey_mprotect(at, SIZE, RW, key) == 0, "pkey_mprotect: %m");
	add("heap", malloc(SIZE), -1);
	add("shared", map(RW, MAP_SHARED | MAP_ANONYMOUS, -1), -1);
	is_shared();
	at = add("mergeable", map(RW, MAP_PRIVATE | MAP_ANONYMOUS, -1), -1);
	madvise(at, SIZE, MADV_MERGEABLE);
	at = add("with a policy", map(RW, MAP_PRIVATE | MAP_ANONYMOUS, -1), -1);
	syscall(SYS_mbind, at, SIZE, 4 /* MPOL_LOCAL */, NULL, 0, 0);
	set_up_huge();
	fd = open("/dev/zero", O_RDWR);
	add("device, shared", map(RW, MAP_SHARED, fd), -1);
	is_shared();
	add("device, private", map(RW, MAP_PRIVATE, fd), -1);
	close(fd);
	fd = file(directory, "private");
	add("file, private", map(RW, MAP_PRIVATE, fd), -1);
	close(fd);
	fd = file(directory, "shared");
	add("file, shared", map(RW, MAP_SHARED, fd), -1);
	is_shared();
	close(fd);
	fd = memfd_create("open", 0);
	check(ftruncate(fd, SIZE) == 0, "memfd: %m");
	add("memfd, shared", map(RW, MAP_SHARED, fd), -1);
	is_shared();
	add("memfd, private", map(RW, MAP_PRIVATE, fd), -1);
	fd = memfd_create("sealed", MFD_ALLOW_SEALING);
	check(ftruncate(fd, SIZE) == 0, "memfd: %m");
	sealed = map(RW, MAP_SHARED, fd);
	fill(sealed, SIZE, seed_of(count));
	munmap(sealed, SIZE);
	check(fcntl(fd, F_ADD_SEALS, SEALS) == 0, "seals: %m");
	kinds[count++] = (struct kind){ .name = "memfd, sealed", .at = map(PROT_READ, MAP_SHARED, fd), .prot = -1, .size = SIZE, .is_sealed = 1 };
	id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
	add("segment", shmat(id, NULL, 0), -1);
	is_shared();
	shmctl(id, IPC_RMID, NULL);
}

static void fill_anew(void)
{
	generation++;
	++*shared_generation;
	for (int i = 0; i < count; i++) {
		struct kind *kind = &kinds[i];

		if (kind->is_sealed)
			continue;
		if (kind->prot >= 0)
			check(mprotect(kind->at, SIZE, RW) == 0, "mprotect of %s: %m", kind->name);
		fill(kind->at, kind->size, seed_of(i));
		if (kind->prot >= 0)
			mprotect(kind->at, SIZE, kind->prot);
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

static int prove(void)
{
	int bad = 0;

	for (int i = 0; i < count; i++) {
		struct kind *kind = &kinds[i];

		if (kind->prot >= 0)
			check(mprotect(kind->at, SIZE, PROT_READ) == 0, "mprotect of %s: %m", kind->name);
		if (!filled(kind->at, kind->size, seed_of(i))) {
			fail("%s differs", kind->name);
			bad++;
		}
		if (kind->prot >= 0)
			mprotect(kind->at, SIZE, kind->prot);
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

int main(int argc, char **argv)
{
	unsigned char stack[SIZE];
	pid_t child;
	int status;

	seed = argc > 3 ? strtoul(argv[3], NULL, 0) : 1;
	shared_generation = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	kinds[count++] = (struct kind){ .name = "stack", .at = stack, .prot = -1, .size = SIZE };
	fill(stack, SIZE, seed);
	deepen();
	set_up(argv[2]);
	child = fork();
	if (child != 0)
		ready();
	if (child != 0)
		fill_when_told(argv[1], argv[2]);
	wait_for(argv[1]);
	if (child == 0)
		_exit(prove());
	check(waitpid(child, &status, 0) == child && status == 0, "%d kinds differ in the child", WEXITSTATUS(status));
	prove();
	return done();
}
