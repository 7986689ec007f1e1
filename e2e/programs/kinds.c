/* Memory of every kind, filled from a seed (argv[3]) and proven byte for byte. argv[2] is a directory for files. */
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

enum { KINDS_MAX = 24 };

static struct kind {
	const char *name;
	unsigned char *at;
	/* What it takes to read it; -1: it can be read. */
	int prot;
	/* Only these bytes are known: the rest is another's. */
	size_t size;
} kinds[KINDS_MAX];
static int count;
static unsigned long seed;

static unsigned char *add(const char *name, void *at, int prot)
{
	check(at != MAP_FAILED && at != NULL, "%s: %m", name);
	if (at == MAP_FAILED || at == NULL)
		exit(done());
	kinds[count] = (struct kind){ name, at, prot, SIZE };
	fill(at, SIZE, seed + (unsigned long)count);
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
	fd = open("/dev/zero", O_RDWR);
	add("device, shared", map(RW, MAP_SHARED, fd), -1);
	add("device, private", map(RW, MAP_PRIVATE, fd), -1);
	close(fd);
	fd = file(directory, "private");
	add("file, private", map(RW, MAP_PRIVATE, fd), -1);
	close(fd);
	fd = file(directory, "shared");
	add("file, shared", map(RW, MAP_SHARED, fd), -1);
	close(fd);
	fd = memfd_create("open", 0);
	check(ftruncate(fd, SIZE) == 0, "memfd: %m");
	add("memfd, shared", map(RW, MAP_SHARED, fd), -1);
	add("memfd, private", map(RW, MAP_PRIVATE, fd), -1);
	fd = memfd_create("sealed", MFD_ALLOW_SEALING);
	check(ftruncate(fd, SIZE) == 0, "memfd: %m");
	sealed = map(RW, MAP_SHARED, fd);
	fill(sealed, SIZE, seed + (unsigned long)count);
	munmap(sealed, SIZE);
	check(fcntl(fd, F_ADD_SEALS, SEALS) == 0, "seals: %m");
	kinds[count++] = (struct kind){ "memfd, sealed", map(PROT_READ, MAP_SHARED, fd), -1, SIZE };
	id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
	add("segment", shmat(id, NULL, 0), -1);
	shmctl(id, IPC_RMID, NULL);
}

static int prove(void)
{
	int bad = 0;

	for (int i = 0; i < count; i++) {
		struct kind *kind = &kinds[i];

		if (kind->prot >= 0)
			check(mprotect(kind->at, SIZE, PROT_READ) == 0, "mprotect of %s: %m", kind->name);
		if (!filled(kind->at, kind->size, seed + (unsigned long)i)) {
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
	kinds[count++] = (struct kind){ "stack", stack, -1, SIZE };
	fill(stack, SIZE, seed);
	deepen();
	set_up(argv[2]);
	child = fork();
	if (child != 0)
		ready();
	wait_for(argv[1]);
	if (child == 0)
		_exit(prove());
	check(waitpid(child, &status, 0) == child && status == 0, "%d kinds differ in the child", WEXITSTATUS(status));
	prove();
	return done();
}
