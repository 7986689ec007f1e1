/* Files in memory: private with and without changed pages, shared, read-only, past the end of the file, of another file's name. */
#include "check.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE 4096ul
#define PAGES 16ul
#define RW (PROT_READ | PROT_WRITE)

static sigjmp_buf trap;

static void on_fault(int signal)
{
	siglongjmp(trap, signal);
}

static int signal_of(volatile char *at)
{
	int signal = sigsetjmp(trap, 1);

	if (signal == 0)
		(void)*at;
	return signal;
}

static char *map(int fd, size_t size, int prot, int flags, size_t offset)
{
	char *at = mmap(NULL, size, prot, flags, fd, (off_t)offset);

	check(at != MAP_FAILED, "mmap: %m");
	if (at == MAP_FAILED)
		exit(done());
	return at;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_fault };
	char path[4096], other[4096], page[PAGE];

	(void)argc;
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	snprintf(path, sizeof(path), "%s/a file", argv[2]);
	snprintf(other, sizeof(other), "%s/another name", argv[2]);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (size_t i = 0; i < PAGES; i++) {
		memset(page, (int)('a' + i), PAGE);
		check(write(fd, page, PAGE) == (ssize_t)PAGE, "write: %m");
	}
	check(write(fd, "the end", 7) == 7 && link(path, other) == 0, "link: %m");
	int again = open(other, O_RDONLY);
	size_t size = PAGES * PAGE;
	char *untouched = map(fd, size, RW, MAP_PRIVATE, 0), *changed = map(fd, size, RW, MAP_PRIVATE, 0);
	char *once = map(fd, size, RW, MAP_PRIVATE, 0), *shared = map(fd, size, RW, MAP_SHARED, 0);
	char *window = map(fd, 2 * PAGE, RW, MAP_SHARED, 5 * PAGE), *readonly = map(again, size, PROT_READ, MAP_SHARED, 0);
	char *beyond = map(fd, size + 4 * PAGE, RW, MAP_PRIVATE, 0), *hidden = map(fd, PAGE, PROT_NONE, MAP_PRIVATE, PAGE);
	char *code = map(again, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, 0);
	/* Its name is like that of a file that was deleted. */
	snprintf(path, sizeof(path), "%s/of two\nlines (deleted)", argv[2]);
	int odd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	check(write(odd, "odd", 3) == 3, "write: %m");
	char *oddly = map(odd, PAGE, RW, MAP_SHARED, 0);
	close(odd);
	close(fd);
	close(again);
	changed[PAGE] = 'X';
	changed[7 * PAGE + 1] = 'Y';
	/* Written, then read-only: the changed page belongs to the program for good. */
	once[3 * PAGE] = 'Z';
	mprotect(once, size, PROT_READ);
	beyond[size + 100] = 'B';
	ready();
	wait_for(argv[1]);

	check(changed[PAGE] == 'X' && changed[7 * PAGE + 1] == 'Y' && changed[PAGE + 1] == 'b', "changed pages differ");
	check(once[3 * PAGE] == 'Z' && once[3 * PAGE + 1] == 'd', "a changed page behind PROT_READ differs");
	check(beyond[size + 100] == 'B' && !memcmp(beyond + size, "the end", 7), "the last page differs");
	check(signal_of(beyond + size + PAGE) == SIGBUS, "there is memory past the end of the file");
	check(signal_of(hidden) == SIGSEGV, "PROT_NONE can be read");
	check(mprotect(hidden, PAGE, PROT_READ) == 0 && hidden[0] == 'b', "what PROT_NONE hid differs");
	window[PAGE] = 'W';
	check(shared[6 * PAGE] == 'W' && readonly[6 * PAGE] == 'W' && untouched[6 * PAGE] == 'W', "mappings are not of one file");
	check(changed[6 * PAGE] == 'W' && changed[7 * PAGE] == 'h', "an unchanged page of a changed mapping is not the file's");
	oddly[0] = 'O';
	odd = open(path, O_RDONLY);
	check(pread(odd, page, 3, 0) == 3 && !memcmp(page, "Odd", 3), "the mapping is not of the file with the odd name");
	int now = open(other, O_RDONLY);
	check(pread(now, page, 1, 6 * PAGE) == 1 && page[0] == 'W', "the shared mapping does not reach the file");
	check(pread(now, page, 1, PAGE) == 1 && page[0] == 'b', "a private page reached the file");
	check(code[0] == 'a' && signal_of(readonly) == 0, "a read-only mapping cannot be read");
	check(mprotect(readonly, PAGE, RW) == -1 && errno == EACCES, "a mapping of a read-only descriptor became writable");
	return done();
}
