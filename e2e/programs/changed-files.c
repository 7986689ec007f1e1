/* Files that change under their mappings (argv[2] is a directory): cut, cut and grown, holed, written by others, meanwhile too. */
#include "check.h"
#include "pattern.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define PAGES 16ul
#define SIZE (PAGES * PAGE)
#define RW (PROT_READ | PROT_WRITE)

enum { CUT, GROWN, HOLED, WRITTEN, GONE, COUNT };

static sigjmp_buf trap;

static void on_fault(int signal)
{
	siglongjmp(trap, signal);
}

static int signal_of(volatile unsigned char *at)
{
	int signal = sigsetjmp(trap, 1);

	if (signal == 0)
		(void)*at;
	return signal;
}

static struct {
	unsigned char *shared, *private;
	int fd;
	char path[512];
} files[COUNT];

static void make(int i, const char *directory)
{
	static const char *const names[] = { "cut", "grown", "holed", "written", "gone" };
	static unsigned char contents[SIZE];

	snprintf(files[i].path, sizeof(files[i].path), "%s/%s", directory, names[i]);
	files[i].fd = open(files[i].path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	fill(contents, SIZE, (unsigned long)i);
	check(write(files[i].fd, contents, SIZE) == SIZE, "write: %m");
	files[i].shared = mmap(NULL, SIZE, RW, MAP_SHARED, files[i].fd, 0);
	files[i].private = mmap(NULL, SIZE, RW, MAP_PRIVATE, files[i].fd, 0);
	check(files[i].shared != MAP_FAILED && files[i].private != MAP_FAILED, "mmap: %m");
	/* Copied: the first page, one in the middle, the last one. */
	memset(files[i].private, 'p', PAGE);
	memset(files[i].private + 7 * PAGE, 'p', PAGE);
	memset(files[i].private + 15 * PAGE, 'p', PAGE);
}

static int is_all(const unsigned char *at, int byte)
{
	return at[0] == byte && !memcmp(at, at + 1, PAGE - 1);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_fault };
	unsigned char byte, contents[PAGE];

	(void)argc;
	sigaction(SIGBUS, &action, NULL);
	for (int i = 0; i < COUNT; i++)
		make(i, argv[2]);
	/* What is cut off is cut off of private copies as well. */
	check(ftruncate(files[CUT].fd, 8 * PAGE + 100) == 0, "ftruncate: %m");
	check(ftruncate(files[GROWN].fd, 4 * PAGE) == 0 && ftruncate(files[GROWN].fd, SIZE) == 0, "ftruncate: %m");
	check(fallocate(files[HOLED].fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5 * PAGE, 6 * PAGE) == 0, "fallocate: %m");
	check(unlink(files[GONE].path) == 0 && ftruncate(files[GONE].fd, 8 * PAGE) == 0, "unlink: %m");
	for (int i = 0; i < COUNT; i++)
		close(files[i].fd);
	ready();
	wait_for(argv[1]);
	/* Whatever became of its file. */
	for (int i = 0; i < COUNT; i++)
		check(is_all(files[i].private, 'p'), "the first page of file %d differs", i);
	for (int i = 0; i < COUNT; i += GONE) {
		check(signal_of(files[i].shared + 9 * PAGE) == SIGBUS && signal_of(files[i].private + 15 * PAGE) == SIGBUS, "there is memory past the end of file %d", i);
		check(is_all(files[i].private + 7 * PAGE, 'p'), "a copied page of file %d differs", i);
	}
	check(files[CUT].shared[8 * PAGE + 100] == 0, "the last page of what was cut differs");
	check(is_all(files[GROWN].private + 7 * PAGE, 0) && is_all(files[GROWN].shared + 7 * PAGE, 0) && is_all(files[GROWN].private + 15 * PAGE, 0), "what was cut off came back");
	check(is_all(files[HOLED].private + 7 * PAGE, 'p') && is_all(files[HOLED].shared + 7 * PAGE, 0) && is_all(files[HOLED].private + 6 * PAGE, 0), "the hole differs");
	/* The test may have written to it meanwhile: then the program sees that. */
	files[WRITTEN].fd = open(files[WRITTEN].path, O_RDWR);
	check(pread(files[WRITTEN].fd, contents, PAGE, 3 * PAGE) == PAGE && !memcmp(contents, files[WRITTEN].shared + 3 * PAGE, PAGE) && !memcmp(contents, files[WRITTEN].private + 3 * PAGE, PAGE), "the mapping is not the file's");
	check(is_all(files[WRITTEN].private + 7 * PAGE, 'p') && is_all(files[WRITTEN].private + 15 * PAGE, 'p'), "a copied page of the written file differs");
	files[WRITTEN].shared[10 * PAGE] ^= 1;
	check(pread(files[WRITTEN].fd, &byte, 1, 10 * PAGE) == 1 && byte == files[WRITTEN].shared[10 * PAGE] && files[WRITTEN].private[10 * PAGE] == byte, "the mapping does not reach the file");
	return done();
}
