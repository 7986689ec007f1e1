/* Memory of the rarer kinds, at once, and in a child too. argv[2] is a directory for files, argv[3] the seed. */
#include "kinds.h"
#include <linux/aio_abi.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/shm.h>

#define MIB (1ul << 20)
#define TIB (1ul << 40)
#define HALF (18 * PAGE)

static void advise(struct kind *kind, int advice)
{
	check(madvise(kind->at, kind->size, advice) == 0 || errno == EINVAL, "madvise %d: %m", advice);
}

/* What madvise(2) and mlock2(2) leave on memory. */
static void set_up_advised(void)
{
	struct kind *kind;
	unsigned char *at;

	/* The part that is not filled stays untouched. */
	at = private();
	check(mlock2(at, SIZE, MLOCK_ONFAULT) == 0, "mlock2: %m");
	add_sized("locked when touched", at, HALF);
	kind = add("left behind by fork", private());
	advise(kind, MADV_DONTFORK);
	kind->is_left_behind = 1;
	kind = add("wiped by fork", private());
	advise(kind, MADV_WIPEONFORK);
	kind->is_wiped = 1;
	advise(add("not for core dumps", private()), MADV_DONTDUMP);
	advise(add("without huge pages", private()), MADV_NOHUGEPAGE);
	at = mmap(NULL, 8 * MIB, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	at = (unsigned char *)(((unsigned long)at + 2 * MIB) & ~(2 * MIB - 1));
	/* A kernel without huge pages knows no such advice. */
	madvise(at, 4 * MIB, MADV_HUGEPAGE);
	add_sized("of transparent huge pages", at, 4 * MIB);
	kind = add("with a name", private());
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, kind->at, kind->size, "a name: of it");
}

/* Guards, stacks, keys that close, much address space that holds little. */
static void set_up_apart(void)
{
	struct kind *kind;
	unsigned char *at = private();
	int key = pkey_alloc(0, 0);

	kind = add_sized("before a guard", at, HALF);
	kind->is_guarded = madvise(at + HALF, PAGE, 102 /* MADV_GUARD_INSTALL */) == 0;
	add_sized("behind a guard", at + HALF + PAGE, SIZE - HALF - PAGE);
	at = mmap(NULL, 1024 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(at, 1024 * PAGE);
	at = mmap(at + 1020 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
	for (size_t i = 1; i < 37; i++)
		at[-(long)(i * PAGE)] = 1;
	add("a stack that grew", at - 36 * PAGE);
	if (key >= 0) {
		kind = add("closed by a key", private());
		check(pkey_mprotect(kind->at, SIZE, RW, key) == 0, "pkey_mprotect: %m");
		kind->key = key;
		close_again(kind);
	}
	at = mmap(NULL, 64 * TIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check(at != MAP_FAILED && mprotect(at + 50 * TIB, SIZE, RW) == 0, "mmap of 64 TiB: %m");
	add("in the middle of 64 TiB", at + 50 * TIB);
	at = mmap(NULL, 8 * TIB, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check(at != MAP_FAILED, "mmap of 8 TiB: %m");
	add_shared("far away in shared memory", at + 7 * TIB);
}

static void set_up_objects(void)
{
	int fd, id;
	unsigned char *at;

	at = map(RW, MAP_SHARED | MAP_ANONYMOUS, -1);
	add_shared("shared twice", at);
	add_view("the other of two", mremap(at, 0, SIZE, MREMAP_MAYMOVE));
	fd = memfd_create("one-way", MFD_ALLOW_SEALING);
	check(ftruncate(fd, SIZE) == 0, "memfd: %m");
	add_shared("memfd that was mapped before the seal", map(RW, MAP_SHARED, fd));
	check(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | 0x10 /* F_SEAL_FUTURE_WRITE */) == 0, "seals: %m");
	add_view("the same, mapped after it", map(PROT_READ, MAP_SHARED, fd));
	close(fd);
	id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
	add_shared("segment", shmat(id, NULL, 0));
	add_view("the same, for reading", shmat(id, NULL, SHM_RDONLY));
	shmctl(id, SHM_LOCK, NULL);
	shmctl(id, IPC_RMID, NULL);
	id = shmget(IPC_PRIVATE, 2 * MIB, IPC_CREAT | SHM_HUGETLB | 0600);
	if (id >= 0) {
		at = shmat(id, NULL, 0);
		if (at != (void *)-1)
			add_shared("segment of huge pages", at);
		shmctl(id, IPC_RMID, NULL);
	}
}

/* Of a file on tmpfs. */
static char in_memory[64];

/* A file of the directory, or of tmpfs, with its name or without. */
static void add_file(const char *directory, const char *name, int is_deleted, const char *const *names)
{
	int fd = file(directory, name), reading, place = open(directory, O_PATH);

	add_shared(names[0], map(RW, MAP_SHARED, fd));
	reading = openat(place, name, O_RDONLY);
	add_view(names[1], map(PROT_READ, MAP_SHARED, reading));
	/* The other half is the file's, and that is shared. */
	add_sized(names[2], map(RW, MAP_PRIVATE, fd), HALF);
	if (is_deleted)
		check(unlinkat(place, name, 0) == 0, "unlink: %m");
	close(fd);
	close(reading);
	close(place);
}

static void set_up_files(const char *directory)
{
	static const char *const names[4][3] = {
		{ "file, shared", "file, opened for reading", "file, half copied" },
		{ "deleted file, shared", "deleted file, opened for reading", "deleted file, half copied" },
		{ "file of tmpfs, shared", "file of tmpfs, opened for reading", "file of tmpfs, half copied" },
		{ "deleted file of tmpfs, shared", "deleted file of tmpfs, opened for reading", "deleted file of tmpfs, half copied" },
	};

	snprintf(in_memory, sizeof(in_memory), "/dev/shm/crts-kinds-%d", getpid());
	add_file(directory, "file", 0, names[0]);
	add_file(directory, "deleted", 1, names[1]);
	add_file("/", in_memory + 1, 0, names[2]);
	strcat(in_memory, "-");
	add_file("/", in_memory + 1, 1, names[3]);
	in_memory[strlen(in_memory) - 1] = 0;
}

static void set_up(const char *directory)
{
	set_up_advised();
	set_up_apart();
	set_up_objects();
	set_up_files(directory);
}

/* A ring of asynchronous I/O, which fork(2) leaves mapped but useless: with an event that waits. */
static aio_context_t ring;

static void set_up_alone(void)
{
	static char byte;
	struct iocb request = { .aio_data = 4711, .aio_fildes = (unsigned int)open("/dev/null", O_WRONLY), .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_buf = (unsigned long)&byte, .aio_nbytes = 1 };
	struct iocb *list = &request;

	check(syscall(SYS_io_setup, 16, &ring) == 0 && syscall(SYS_io_submit, ring, 1, &list) == 1, "io_setup: %m");
}

/* The event still waits. */
static void prove_alone(void)
{
	struct io_event event;
	struct timespec none = { 0, 0 };

	check(unlink(in_memory) == 0, "unlink: %m");
	check(syscall(SYS_io_getevents, ring, 1, 1, &event, &none) == 1 && event.data == 4711, "the event is lost: %m");
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	return run(argv, set_up, set_up_alone, prove_alone);
}
