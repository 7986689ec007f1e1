/*
 * Memory that is changed between two image sets in every way there is, one way for each area. Beside each area is a copy of what it
 * should hold, in shared memory, which is stored whole. changes GO DIR [EXEC]: at each file DIR/next-N all areas change for the Nth
 * time; at change EXEC the program starts anew by execve(2) instead.
 */
#include "check.h"
#include "pattern.h"
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define PAGE 4096ul
#define MIB (1024ul * 1024)
#define RW (PROT_READ | PROT_WRITE)
#define PAGES 64ul
#define SIZE (PAGES * PAGE)
#define FILE_SEED 900

struct area {
	const char *name;
	void (*change)(struct area *area, size_t step);
	unsigned char *at, *want;
	size_t size;
	int fd;
	int is_shared;
};

static struct area areas[32];
static size_t count;
static unsigned char in_file[SIZE];
static pid_t child;

static unsigned char *map(void *at, size_t size, int flags, int fd)
{
	unsigned char *mapped = mmap(at, size, RW, flags, fd, 0);

	check(mapped != MAP_FAILED, "mmap: %m");
	if (mapped == MAP_FAILED)
		exit(done());
	return mapped;
}

/* No neighbours, and an address that is a multiple of a huge page. */
static unsigned char *apart(size_t size)
{
	unsigned char *at = map(NULL, size + 6 * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1), *from;

	from = (unsigned char *)(((unsigned long)at + 4 * MIB) & ~(2 * MIB - 1));
	munmap(at, (size_t)(from - at));
	munmap(from + size, (size_t)(at + 6 * MIB - from));
	return from;
}

static void put(struct area *area, size_t page, size_t pages, unsigned long seed)
{
	fill(area->at + page * PAGE, pages * PAGE, seed);
	memcpy(area->want + page * PAGE, area->at + page * PAGE, pages * PAGE);
}

static void is_zero(struct area *area, size_t page, size_t pages)
{
	memset(area->want + page * PAGE, 0, pages * PAGE);
}

static void advise(struct area *area, size_t page, size_t pages, int advice)
{
	check(madvise(area->at + page * PAGE, pages * PAGE, advice) == 0, "%s: madvise %d: %m", area->name, advice);
}

static void written(struct area *area, size_t step)
{
	for (size_t i = 0; i < 5; i++)
		put(area, (step * 13 + i * 29) % PAGES, 1, 1000 * step + i);
}

static void dropped(struct area *area, size_t step)
{
	advise(area, step, 16, MADV_DONTNEED);
	is_zero(area, step, 16);
	put(area, step + 3, 1, step);
}

/* The program sees the file again. */
static void file_dropped(struct area *area, size_t step)
{
	for (size_t page = step % 8; page < PAGES; page += 8) {
		advise(area, page, 1, MADV_DONTNEED);
		memcpy(area->want + page * PAGE, in_file + page * PAGE, PAGE);
	}
	put(area, 24 + step, 1, step);
}

static void huge_dropped(struct area *area, size_t step)
{
	size_t page = step % 2 * 512;

	advise(area, page, 512, MADV_DONTNEED);
	is_zero(area, page, 512);
	if (step % 4 == 3)
		put(area, page, 1, step);
}

static void punched(struct area *area, size_t step)
{
	if (area->fd < 0)
		advise(area, step, 3, MADV_REMOVE);
	else {
		check(fallocate(area->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(step * PAGE), 3 * PAGE) == 0, "fallocate: %m");
		check(ftruncate(area->fd, (off_t)(SIZE - step * PAGE)) == 0 && ftruncate(area->fd, SIZE) == 0, "ftruncate: %m");
		is_zero(area, PAGES - step, step);
	}
	is_zero(area, step, 3);
	put(area, 40 + step, 1, step);
}

/* The last area and the one before it swap their places. */
static void exchanged(struct area *area, size_t step)
{
	struct area *other = area - 1;
	unsigned char *place = apart(SIZE), *text;

	(void)step;
	mremap(area->at, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, place);
	mremap(other->at, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, area->at);
	mremap(place, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, other->at);
	text = area->want;
	area->want = other->want;
	other->want = text;
}

static void mapped_anew(struct area *area, size_t step)
{
	munmap(area->at, SIZE);
	map(area->at, SIZE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);
	is_zero(area, 0, PAGES);
	put(area, step, 1, step);
}

static void moved(struct area *area, size_t step)
{
	area->at = mremap(area->at, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, apart(SIZE));
	put(area, step, 1, step);
}

static void left_behind(struct area *area, size_t step)
{
	unsigned char *old = area->at, *new = mremap(old, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);

	check(new != MAP_FAILED, "MREMAP_DONTUNMAP: %m");
	if (step % 2)
		area->at = new;
	else {
		is_zero(area, 0, PAGES);
		put(area, step, 1, step);
	}
	munmap(step % 2 ? old : new, SIZE);
}

static void holed(struct area *area, size_t step)
{
	munmap(area->at + 4 * step * PAGE, PAGE);
	map(area->at + 4 * step * PAGE, PAGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);
	is_zero(area, 4 * step, 1);
}

static void protected(struct area *area, size_t step)
{
	mprotect(area->at, SIZE, RW);
	put(area, step, 1, step);
	mprotect(area->at, SIZE, step % 2 ? PROT_NONE : PROT_READ);
}

static void guarded(struct area *area, size_t step)
{
	if (madvise(area->at + 2 * step * PAGE, 2 * PAGE, 102 /* MADV_GUARD_INSTALL */) != 0)
		return;
	advise(area, 2 * step, 2, 103);
	is_zero(area, 2 * step, 2);
}

static void collapsed(struct area *area, size_t step)
{
	put(area, 37 * step, 1, step);
	madvise(area->at, area->size, 25 /* MADV_COLLAPSE */);
	put(area, 37 * step + 300, 1, step + 1);
}

/* Where there is swap, it goes there, before and after it is written. */
static void paged_out(struct area *area, size_t step)
{
	advise(area, 0, PAGES, 21 /* MADV_PAGEOUT */);
	put(area, 3 * step, 2, step);
	advise(area, 0, PAGES / 2, 21);
}

static void written_from_outside(struct area *area, size_t step)
{
	static unsigned char page[PAGE];
	struct iovec from = { page, PAGE }, to = { area->at + step * PAGE, PAGE };
	int ends[2];
	pid_t writer;

	fill(page, PAGE, step);
	writer = fork();
	if (writer == 0)
		_exit(process_vm_writev(getppid(), &from, 1, &to, 1, 0) != (ssize_t)PAGE);
	waitpid(writer, NULL, 0);
	memcpy(area->want + step * PAGE, page, PAGE);
	check(pipe(ends) == 0 && write(ends[1], page, PAGE) == (ssize_t)PAGE && read(ends[0], area->at + (step + 9) * PAGE, PAGE) == (ssize_t)PAGE, "pipe: %m");
	memcpy(area->want + (step + 9) * PAGE, page, PAGE);
	close(ends[0]);
	close(ends[1]);
}

static struct area *add(const char *name, unsigned char *at, size_t size, int fd, void (*change)(struct area *, size_t))
{
	struct area *area = &areas[count];
	unsigned char *want = map(NULL, size, MAP_SHARED | MAP_ANONYMOUS, -1);

	*area = (struct area){ .name = name, .change = change, .at = at, .want = want, .size = size, .fd = fd };
	put(area, 0, size / PAGE, ++count);
	return area;
}

/* Half of it is the file's. */
static void add_of_file(const char *name, int fd)
{
	struct area *area;

	check(pwrite(fd, in_file, SIZE, 0) == SIZE, "pwrite: %m");
	area = add(name, map(NULL, SIZE, MAP_PRIVATE, fd), SIZE, fd, file_dropped);
	advise(area, PAGES / 2, PAGES / 2, MADV_DONTNEED);
	memcpy(area->want + SIZE / 2, in_file + SIZE / 2, SIZE / 2);
}

static void set_up(const char *directory)
{
	char path[512];
	int fd;
	void *huge = mmap(NULL, 4 * MIB, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	fill(in_file, SIZE, FILE_SEED);
	add("written", apart(SIZE), SIZE, -1, written);
	add("exchanged, the one", apart(SIZE), SIZE, -1, NULL);
	add("exchanged, the other", apart(SIZE), SIZE, -1, exchanged);
	add("mapped anew", apart(SIZE), SIZE, -1, mapped_anew);
	add("moved", apart(SIZE), SIZE, -1, moved);
	add("left behind", apart(SIZE), SIZE, -1, left_behind);
	add("holed", apart(SIZE), SIZE, -1, holed);
	add("dropped", apart(SIZE), SIZE, -1, dropped);
	add("protected", apart(SIZE), SIZE, -1, protected);
	add("guarded", apart(SIZE), SIZE, -1, guarded);
	add("written from outside", apart(SIZE), SIZE, -1, written_from_outside);
	add("paged out", apart(SIZE), SIZE, -1, paged_out);
	add("collapsed", apart(2 * MIB), 2 * MIB, -1, collapsed);
	add("with huge pages", apart(4 * MIB), 4 * MIB, -1, huge_dropped);
	advise(&areas[count - 1], 0, 1024, MADV_HUGEPAGE);
	put(&areas[count - 1], 0, 1024, 77);
	snprintf(path, sizeof(path), "%s/of-file", directory);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	add_of_file("file, private", fd);
	add_of_file("memfd, private", memfd_create("private", 0));
	fd = memfd_create("shared", 0);
	check(ftruncate(fd, SIZE) == 0, "ftruncate: %m");
	add("memfd, shared", map(NULL, SIZE, MAP_SHARED, fd), SIZE, fd, punched)->is_shared = 1;
	add("shared", map(NULL, SIZE, MAP_SHARED | MAP_ANONYMOUS, -1), SIZE, -1, punched)->is_shared = 1;
	/* Where the machine has some huge TLB pages. */
	if (huge != MAP_FAILED)
		add("huge TLB pages", huge, 4 * MIB, -1, huge_dropped);
}

static void prove(void)
{
	for (struct area *area = areas; area < areas + count; area++) {
		size_t bad = 0, first = 0;

		check(mprotect(area->at, area->size, RW) == 0, "mprotect: %m");
		for (size_t page = area->size / PAGE; page-- > 0;)
			if (memcmp(area->at + page * PAGE, area->want + page * PAGE, PAGE) != 0) {
				bad++;
				first = page;
			}
		check(bad == 0, "%s: %zu pages differ, the first is %zu", area->name, bad, first);
	}
}

/* A child from between two sets: what it has is as it is now. */
static void bear(const char *go)
{
	child = fork();
	if (child != 0)
		return;
	failures = 0;
	for (struct area *area = areas; area < areas + count; area++) {
		unsigned char *want = map(NULL, area->size, MAP_PRIVATE | MAP_ANONYMOUS, -1);

		memcpy(want, area->want, area->size);
		area->want = want;
		if (area->is_shared)
			area->size = 0;
	}
	put(areas, 5, 1, 4711);
	wait_for(go);
	prove();
	fflush(stdout);
	_exit(failures);
}

int main(int argc, char **argv)
{
	size_t restart = argc > 3 ? strtoul(argv[3], NULL, 0) : 0, step = argc > 4 ? strtoul(argv[4], NULL, 0) : 0;
	char path[512];
	int status;

	set_up(argv[2]);
	if (step > 0) {
		printf("changed %zu\n", step);
		fflush(stdout);
	} else
		ready();
	while (access(argv[1], F_OK) != 0) {
		usleep(2000);
		snprintf(path, sizeof(path), "%s/next-%zu", argv[2], step + 1);
		if (access(path, F_OK) != 0)
			continue;
		if (++step == restart) {
			snprintf(path, sizeof(path), "%zu", step);
			execl("/proc/self/exe", argv[0], argv[1], argv[2], "0", path, NULL);
		}
		for (struct area *area = areas; area < areas + count; area++)
			if (area->change != NULL)
				area->change(area, step);
		if (step == 2)
			bear(argv[1]);
		printf("changed %zu\n", step);
		fflush(stdout);
	}
	prove();
	if (child != 0)
		check(waitpid(child, &status, 0) == child && status == 0, "the child ended with 0x%x", status);
	return done();
}
