/*
 * A parent and its children that share pages until one of them writes: copy-on-write GO FILE MIB CHILDREN. Each child, and the child of
 * one of them, changes one page in a hundred, and some of them their mappings. All look at every byte after the go file.
 */
#include "check.h"
#include <sys/mman.h>
#include <sys/wait.h>

#define PAGE 4096ul
#define CHILDREN_MAX 64
#define FILE_PAGES 256ul
#define SIDE_PAGES 64ul

typedef unsigned long word;

static word pages;
static word *area, *mapped, *guarded, *moved;
static char *heap_end;
/* Who wrote each page last; 0: nobody, zeroes; NOBODYS: of the file. */
static unsigned char *owner, *owner_mapped, *owner_guarded;
enum { ZERO = 0, PARENT = 1, HEAP = 97, NOBODYS = 98, GONE = 99 };

static word value(int who, word page, word i)
{
	return who == ZERO ? 0 : (word)who * 0x9e3779b97f4a7c15ul + page * 0xbf58476d1ce4e5b9ul + i * 0x94d049bb133111ebul;
}

static void write_page(word *base, unsigned char *owners, word page, int who)
{
	for (word i = 0; i < PAGE / sizeof(word); i++)
		base[page * (PAGE / sizeof(word)) + i] = value(who, page, i);
	if (owners != NULL)
		owners[page] = (unsigned char)who;
}

static void expect_page(const char *name, int who, const word *at, int owned, word page)
{
	for (word i = 0; i < PAGE / sizeof(word); i++)
		if (at[i] != value(owned, page, i)) {
			fail("process %d: page %lu of %s: word %lu is 0x%lx instead of that of %d", who, page, name, i, at[i],
			     owned);
			return;
		}
}

static void expect_pages(const char *name, int who, const word *base, const unsigned char *owners, word count)
{
	for (word page = 0; page < count; page++)
		if (owners[page] != GONE)
			expect_page(name, who, base + page * (PAGE / sizeof(word)), owners[page], page);
}

/* The pages in a hundred that a process writes are its own choice. */
static void touch(int who)
{
	word seed = (word)who;

	for (word n = 0; n < pages / 100 + 1; n++) {
		seed = seed * 6364136223846793005ul + 1442695040888963407ul;
		word page = (seed >> 33) % pages;

		if (owner[page] != GONE)
			write_page(area, owner, page, who);
	}
	for (word page = (word)who; page < FILE_PAGES; page += 50)
		write_page(mapped, owner_mapped, page, who);
}

static void *page_at(word page)
{
	return (char *)area + page * PAGE;
}

/* Pages of the middle, where the kinds of children change their mappings. */
static void change(int who, word first, word count)
{
	void *new;

	switch (who % 6) {
	case 1: /* taken out, and something else put there */
		munmap(page_at(first), count * PAGE);
		memset(owner + first, GONE, count);
		new = mmap(page_at(first + count / 4), count / 2 * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		check(new != MAP_FAILED, "mmap: %m");
		for (word page = first + count / 4; page < first + count / 4 + count / 2; page += 2)
			write_page(area, owner, page, who);
		for (word page = first + count / 4 + 1; page < first + count / 4 + count / 2; page += 2)
			owner[page] = ZERO;
		break;
	case 2: /* protected */
		check(mprotect(page_at(first), count / 2 * PAGE, PROT_READ) == 0, "mprotect: %m");
		check(mprotect(page_at(first + count / 2), count / 2 * PAGE, PROT_NONE) == 0, "mprotect: %m");
		break;
	case 3: /* given back: zeroes, and the file's own pages */
		check(madvise(page_at(first), count * PAGE, MADV_DONTNEED) == 0, "madvise: %m");
		memset(owner + first, ZERO, count);
		check(madvise(mapped, FILE_PAGES / 2 * PAGE, MADV_DONTNEED) == 0, "madvise: %m");
		memset(owner_mapped, NOBODYS, FILE_PAGES / 2);
		break;
	case 4: /* moved */
		new = mremap(page_at(first), count * PAGE, count * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, moved);
		check(new == moved, "mremap: %m");
		break;
	}
}

static void expect_all(int who, word first, word count, const unsigned char *before)
{
	int kind = who == PARENT ? 0 : who % 6;

	if (kind == 2)
		check(mprotect(page_at(first), count * PAGE, PROT_READ) == 0, "mprotect: %m");
	if (kind == 4) {
		for (word page = 0; page < count; page++)
			expect_page("moved", who, moved + page * (PAGE / sizeof(word)), before[page], first + page);
		memset(owner + first, GONE, count);
	}
	expect_pages("the area", who, area, owner, pages);
	expect_pages("the file", who, mapped, owner_mapped, FILE_PAGES);
	expect_pages("the side", who, guarded, owner_guarded, SIDE_PAGES);
}

static char ready_file[CHILDREN_MAX + 1][64];

static void signal_ready(int slot)
{
	int fd = open(ready_file[slot], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	check(fd >= 0, "%s: %m", ready_file[slot]);
	close(fd);
}

static pid_t child(int who, int slot, const char *go)
{
	word first = pages / 2, count = pages / 16 & ~3ul;
	unsigned char *before;
	pid_t pid = fork();
	int status = 0;

	check(pid >= 0, "fork: %m");
	if (pid != 0)
		return pid;
	touch(who);
	before = malloc(count);
	memcpy(before, owner + first, count);
	change(who, first, count);
	pid = 0;
	/* One has a child of its own. */
	if (who % 6 == 5 && slot < CHILDREN_MAX / 2) {
		pid = child(who + 1, slot + CHILDREN_MAX / 2, go);
		touch(who + 30);
		wait_for(ready_file[slot + CHILDREN_MAX / 2]);
	}
	signal_ready(slot);
	wait_for(go);
	expect_all(who, first, count, before);
	if (pid != 0)
		check(waitpid(pid, &status, 0) == pid && status == 0, "the child of %d ended with 0x%x", who, status);
	fflush(stdout);
	_exit(failures != 0);
}

int main(int argc, char **argv)
{
	int children, fd;
	pid_t pid[CHILDREN_MAX];

	if (argc != 5)
		return 2;
	pages = strtoul(argv[3], NULL, 10) * (1048576 / PAGE);
	children = atoi(argv[4]);
	if (children > CHILDREN_MAX / 2)
		return 2;
	for (int slot = 0; slot <= CHILDREN_MAX; slot++)
		snprintf(ready_file[slot], sizeof(ready_file[0]), "%.50s.%d", argv[2], slot);
	fd = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	check(fd >= 0 && ftruncate(fd, FILE_PAGES * PAGE) == 0, "%s: %m", argv[2]);
	/* Room in front and behind: nothing else becomes a part of these mappings. */
	area = (word *)((char *)mmap(NULL, (pages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + PAGE);
	check(mprotect(area, pages * PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect: %m");
	moved = mmap(NULL, pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	guarded = (word *)((char *)mmap(NULL, (SIDE_PAGES + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + PAGE);
	check(mprotect(guarded, SIDE_PAGES * PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect: %m");
	mapped = mmap(NULL, FILE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (word page = 0; page < FILE_PAGES; page++)
		write_page(mapped, NULL, page, NOBODYS);
	munmap(mapped, FILE_PAGES * PAGE);
	mapped = mmap(NULL, FILE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	owner = calloc(pages, 1);
	owner_mapped = calloc(FILE_PAGES, 1);
	owner_guarded = calloc(SIDE_PAGES, 1);
	memset(owner_mapped, NOBODYS, FILE_PAGES);
	/* Every tenth page is never written: there is none. */
	for (word page = 0; page < pages; page++)
		if (page % 10 != 9)
			write_page(area, owner, page, PARENT);
	for (word page = 0; page < FILE_PAGES; page += 2)
		write_page(mapped, owner_mapped, page, PARENT);
	for (word page = 0; page < SIDE_PAGES; page++)
		write_page(guarded, owner_guarded, page, PARENT);
	close(fd);
	for (int i = 0; i < children; i++)
		pid[i] = child(i + 2, i, argv[1]);
	/* The parent goes on too: its heap grows, and it writes and protects what its children have from it. */
	heap_end = sbrk(16 * PAGE);
	check(heap_end != (void *)-1, "sbrk: %m");
	heap_end = (char *)(((word)heap_end + PAGE - 1) & ~(PAGE - 1));
	write_page((word *)heap_end, NULL, 0, HEAP);
	touch(CHILDREN_MAX + 30);
	check(mprotect(guarded, SIDE_PAGES / 2 * PAGE, PROT_READ) == 0, "mprotect: %m");
	for (int i = 0; i < children; i++)
		wait_for(ready_file[i]);
	printf("area %lx %lx\n", (word)area, (word)(area + pages * (PAGE / sizeof(word))));
	ready();
	wait_for(argv[1]);
	for (int i = 0; i < children; i++) {
		int status;

		check(waitpid(pid[i], &status, 0) == pid[i] && status == 0, "child %d ended with 0x%x", i, status);
	}
	expect_all(PARENT, 0, 0, NULL);
	expect_page("the heap", PARENT, (word *)heap_end, HEAP, 0);
	return done();
}
