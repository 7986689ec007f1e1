/* Shared anonymous memory (argv[2]): one object, however many mappings have it. */
#include "check.h"
#include "pattern.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define PAGE 4096ul
#define RW (PROT_READ | PROT_WRITE)
#define MADV_GUARD_INSTALL_NUMBER 102

static unsigned char *shared(size_t size, int prot, int flags)
{
	unsigned char *at = mmap(NULL, size, prot, MAP_SHARED | MAP_ANONYMOUS | flags, -1, 0);

	check(at != MAP_FAILED, "mmap of %zu bytes: %m", size);
	if (at == MAP_FAILED)
		exit(done());
	return at;
}

/* A second mapping of the same memory: mremap(2) with an old size of 0. */
static unsigned char *again(unsigned char *at, size_t size)
{
	unsigned char *other = mremap(at, 0, size, MREMAP_MAYMOVE);

	check(other != MAP_FAILED, "mremap: %m");
	return other;
}

/* The object is open as well, through map_files, and mapped privately; another one is open only. */
static void opened(const char *go)
{
	unsigned char *at = shared(5 * PAGE, RW, 0), *gone = shared(2 * PAGE, RW, 0), *private, *other, byte;
	char path[128];
	int fd, only;

	fill(at, 3 * PAGE, 1);
	fill(gone, 2 * PAGE, 2);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)at, (unsigned long)at + 5 * PAGE);
	fd = open(path, O_RDWR);
	check(ftruncate(fd, 5 * PAGE - 7) == 0, "ftruncate: %m");
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)gone, (unsigned long)gone + 2 * PAGE);
	only = open(path, O_RDONLY);
	check(fd >= 0 && only >= 0, "%s: %m", path);
	munmap(gone, 2 * PAGE);
	private = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, PAGE);
	other = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, PAGE);
	check(private != MAP_FAILED && other != MAP_FAILED, "mmap: %m");
	fill(private + PAGE, PAGE, 3);
	lseek(fd, 17, SEEK_SET);
	ready();
	wait_for(go);
	check(filled(at, 3 * PAGE, 1) && !memcmp(private, at + PAGE, PAGE) && filled(private + PAGE, PAGE, 3) && !memcmp(other, at + PAGE, 2 * PAGE), "contents differ");
	check(lseek(fd, 0, SEEK_CUR) == 17, "the offset differs");
	check(lseek(fd, 0, SEEK_END) == (off_t)(5 * PAGE - 7), "the size differs");
	at[PAGE] ^= 0xff;
	check(pread(fd, &byte, 1, PAGE) == 1 && byte == at[PAGE] && private[0] == byte && other[0] == byte, "they are different objects");
	gone = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, only, 0);
	check(gone != MAP_FAILED && filled(gone, 2 * PAGE, 2), "what is open only differs");
	check(write(only, "x", 1) < 0 && errno == EBADF, "a descriptor for reading can write");
}

static void views(const char *go)
{
	unsigned char *whole = shared(64 * PAGE, RW, 0), *other, *part, *touched = shared(16 * PAGE, RW, 0), *never = shared(PAGE, RW, 0);
	int zero = open("/dev/zero", O_RDWR);
	unsigned char *device = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, zero, 0), *private = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, zero, 0);

	close(zero);
	check(device != MAP_FAILED && private != MAP_FAILED, "mmap of /dev/zero: %m");
	fill(whole, 20 * PAGE, 1);
	fill(whole + 40 * PAGE, 24 * PAGE, 2);
	fill(device, 4 * PAGE, 3);
	fill(private, 2 * PAGE, 4);
	touched[5 * PAGE] = 5;
	other = again(whole, 64 * PAGE);
	/* The last 24 pages only, and neighbours with other rights in the middle of it. */
	part = again(whole + 40 * PAGE, 24 * PAGE);
	check(mprotect(part + 4 * PAGE, 2 * PAGE, PROT_READ) == 0 && mprotect(part + 8 * PAGE, PAGE, PROT_NONE) == 0, "mprotect: %m");
	check(mprotect(other, 64 * PAGE, PROT_READ) == 0, "mprotect: %m");
	ready();
	wait_for(go);
	check(filled(whole, 20 * PAGE, 1) && filled(whole + 40 * PAGE, 24 * PAGE, 2) && whole[30 * PAGE] == 0, "contents differ");
	check(filled(other, 20 * PAGE, 1) && filled(device, 4 * PAGE, 3), "contents differ in the second mapping");
	check(filled(private, 2 * PAGE, 4) && private[3 * PAGE] == 0, "private contents differ");
	check(touched[5 * PAGE] == 5 && touched[0] == 0 && never[0] == 0, "other contents differ");
	/* One object still. */
	whole[50 * PAGE] = 77;
	whole[30 * PAGE] = 78;
	check(part[10 * PAGE] == 77 && other[50 * PAGE] == 77 && other[30 * PAGE] == 78, "the mappings are apart");
	part[0] = 79;
	check(whole[40 * PAGE] == 79, "the mappings are apart");
	device[0] = never[0] = 80;
	check(touched[0] == 0 && whole[0] != 80, "objects are mixed up");
	munmap(whole, 64 * PAGE);
	check(other[50 * PAGE] == 77, "the object is gone with its first mapping");
}

static void cut(const char *go)
{
	unsigned char *at = shared(32 * PAGE, RW, 0);

	fill(at, 32 * PAGE, 9);
	check(mremap(at, 32 * PAGE, 8 * PAGE, 0) == at, "mremap: %m");
	ready();
	wait_for(go);
	at = mremap(at, 8 * PAGE, 32 * PAGE, MREMAP_MAYMOVE);
	check(at != MAP_FAILED && filled(at, 32 * PAGE, 9), "contents differ");
}

static void sparse(const char *go)
{
	size_t size = 16ul << 40, step = size / 16;
	unsigned char *at = shared(size, RW, MAP_NORESERVE);

	for (size_t i = 0; i < 16; i++)
		fill(at + i * step, PAGE, i + 1);
	ready();
	wait_for(go);
	for (size_t i = 0; i < 16; i++)
		check(filled(at + i * step, PAGE, i + 1) && at[i * step + PAGE] == 0, "page %zu differs", i);
}

static sigjmp_buf trap;

static void on_fault(int signal)
{
	siglongjmp(trap, signal);
}

static void advice(const char *go)
{
	static const int advices[] = { MADV_DONTFORK, MADV_DONTDUMP, MADV_SEQUENTIAL, MADV_RANDOM, MADV_HUGEPAGE, MADV_NOHUGEPAGE };
	unsigned char *at[6], *locked = shared(4 * PAGE, RW, 0), *guarded = shared(4 * PAGE, RW, 0), *executed = shared(PAGE, RW | PROT_EXEC, 0);
	int has_guard, faults;

	for (size_t i = 0; i < 6; i++) {
		at[i] = shared(4 * PAGE, RW, i == 3 ? MAP_NORESERVE : 0);
		check(madvise(at[i], 4 * PAGE, advices[i]) == 0 || advices[i] == MADV_HUGEPAGE || advices[i] == MADV_NOHUGEPAGE, "madvise %d: %m", advices[i]);
		fill(at[i], 3 * PAGE, i);
	}
	check(mlock(locked, 4 * PAGE) == 0, "mlock: %m");
	fill(guarded, 4 * PAGE, 9);
	memcpy(executed, "\xb8\x2a\0\0\0\xc3", 6); /* mov $42, %eax; ret */
	/* Linux 6.15; what the object has below the guard stays. */
	has_guard = madvise(guarded + PAGE, PAGE, MADV_GUARD_INSTALL_NUMBER) == 0;
	ready();
	wait_for(go);
	for (size_t i = 0; i < 6; i++)
		check(filled(at[i], 3 * PAGE, i) && at[i][3 * PAGE] == 0, "mapping %zu differs", i);
	check(filled(guarded, PAGE, 9), "contents differ before the guard");
	check(((int (*)(void))(void *)executed)() == 42, "the code answers wrongly");
	if (has_guard) {
		signal(SIGSEGV, on_fault);
		faults = sigsetjmp(trap, 1);
		if (faults == 0)
			*(volatile unsigned char *)(guarded + PAGE) = 1;
		check(faults == SIGSEGV, "the guard is gone");
		check(madvise(guarded + PAGE, PAGE, MADV_GUARD_INSTALL_NUMBER + 1) == 0, "madvise: %m");
	}
	check(filled(guarded, 4 * PAGE, 9), "contents differ below the guard");
}

/* Children share it with their parent, each other and with children of their own; a memfd too, which only mappings hold. */
static void family(const char *go)
{
	enum { CHILDREN = 4 };
	volatile unsigned char *board = shared(8 * PAGE, RW, 0);
	unsigned char *own = shared(4 * PAGE, RW, 0), *mapped;
	int fd = memfd_create("family", 0), status, bad = 0;
	pid_t pids[CHILDREN];

	check(ftruncate(fd, 4 * PAGE) == 0, "memfd: %m");
	mapped = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	close(fd);
	fill(mapped, 4 * PAGE, 5);
	fill(own, 4 * PAGE, 6);
	for (int i = 0; i < CHILDREN; i++) {
		pids[i] = fork();
		if (pids[i] != 0)
			continue;
		if (i % 2)
			munmap(own, 4 * PAGE);
		if (i == 3 && fork() != 0) {
			/* Goes on with what its child says. */
			board[1 + i] = 1;
			wait(&status);
			_exit(WEXITSTATUS(status));
		}
		/* Memory of the children alone, with the same addresses. */
		unsigned char *apart = shared(PAGE, RW, 0);

		apart[0] = (unsigned char)i;
		board[1 + i] = 1;
		while (!board[0])
			usleep(2000);
		bad = !filled(mapped, 3 * PAGE, 5) || apart[0] != i || (i % 2 == 0 && !filled(own, 4 * PAGE, 6));
		mapped[3 * PAGE + i] = (unsigned char)(100 + i);
		board[PAGE + i] = (unsigned char)(50 + i);
		_exit(bad);
	}
	for (int i = 0; i < CHILDREN; i++)
		while (!board[1 + i])
			usleep(1000);
	ready();
	wait_for(go);
	board[0] = 1;
	for (int i = 0; i < CHILDREN; i++) {
		check(waitpid(pids[i], &status, 0) == pids[i] && status == 0, "child %d says %x", i, status);
		check(board[PAGE + i] == 50 + i && mapped[3 * PAGE + i] == 100 + i, "the memory of child %d is another", i);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(const char *);
	} variants[] = { { "views", views }, { "opened", opened }, { "cut", cut }, { "sparse", sparse }, { "advice", advice }, { "family", family } };

	for (size_t i = 0; argc > 2 && i < sizeof(variants) / sizeof(variants[0]); i++)
		if (!strcmp(argv[2], variants[i].name))
			variants[i].run(argv[1]);
	return done();
}
