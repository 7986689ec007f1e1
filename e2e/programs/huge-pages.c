/* Huge TLB pages of every kind (argv[2]); argv[3] is a directory of hugetlbfs. Proven from inside: contents and size of the pages. */
#include "check.h"
#include "pattern.h"
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PAGE (2ul << 20)
#define RW (PROT_READ | PROT_WRITE)
#define SIZE_FLAG (21 << 26)

static int failing(void)
{
	exit(done());
}

static unsigned char *map(size_t size, int flags, int fd, off_t offset)
{
	unsigned char *at = mmap(NULL, size, RW, flags, fd, offset);

	check(at != MAP_FAILED, "mmap: %m");
	return at == MAP_FAILED ? (failing(), NULL) : at;
}

/* Kilobytes of the pages of the mapping that begins there, or -1. */
static long page_size(const void *at)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[512];
	int found = 0;
	long size = -1;

	while (size < 0 && fgets(line, sizeof(line), smaps) != NULL) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			found = start == (unsigned long)at;
		else if (found)
			sscanf(line, "KernelPageSize: %ld", &size);
	}
	fclose(smaps);
	return size;
}

static int is_zero(const unsigned char *at, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (at[i] != 0)
			return 0;
	return 1;
}

/* Private and shared, with holes, protected; a child has its own and the same. */
static void anonymous(const char *go)
{
	int huge = MAP_ANONYMOUS | MAP_HUGETLB, status;
	unsigned char *private = map(3 * PAGE, MAP_PRIVATE | huge, -1, 0);
	unsigned char *shared = map(3 * PAGE, MAP_SHARED | huge, -1, 0);
	unsigned char *hidden = map(PAGE, MAP_PRIVATE | huge, -1, 0);
	pid_t child;

	fill(private, PAGE, 1);
	fill(private + 2 * PAGE, PAGE, 2);
	fill(shared + PAGE, PAGE, 4);
	fill(hidden, PAGE, 6);
	check(mprotect(private + 2 * PAGE, PAGE, PROT_READ) == 0 && mprotect(hidden, PAGE, PROT_NONE) == 0, "mprotect: %m");
	check(madvise(shared, PAGE, MADV_DONTDUMP) == 0, "madvise: %m");
	child = fork();
	if (child == 0) {
		fill(private, PAGE, 7);
		shared[0] = 1;
		while (shared[0] == 1)
			usleep(2000);
		shared[1] = (unsigned char)(filled(private, PAGE, 7) && filled(private + 2 * PAGE, PAGE, 2) && filled(shared + PAGE, PAGE, 4) ? 50 : 51);
		_exit(0);
	}
	while (shared[0] != 1)
		usleep(1000);
	ready();
	wait_for(go);
	check(filled(private, PAGE, 1) && is_zero(private + PAGE, PAGE) && filled(private + 2 * PAGE, PAGE, 2), "private pages differ");
	check(filled(shared + PAGE, PAGE, 4) && is_zero(shared + 2 * PAGE, PAGE), "shared pages differ");
	check(page_size(private) == 2048 && page_size(shared) == 2048, "the pages are small");
	check(mprotect(hidden, PAGE, PROT_READ) == 0 && filled(hidden, PAGE, 6), "hidden pages differ");
	shared[0] = 2;
	check(waitpid(child, &status, 0) == child && status == 0 && shared[1] == 50, "the child says %x, %d", status, shared[1]);
}

/* More than there is: the kernel promises nothing. */
static void unreserved(const char *go)
{
	int huge = MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE;
	unsigned char *private = map(512 * PAGE, MAP_PRIVATE | huge | SIZE_FLAG, -1, 0);
	unsigned char *shared = map(512 * PAGE, MAP_SHARED | huge, -1, 0);

	fill(private + 511 * PAGE, PAGE, 3);
	fill(shared + 300 * PAGE, PAGE, 5);
	ready();
	wait_for(go);
	check(filled(private + 511 * PAGE, PAGE, 3) && private[PAGE] == 0, "private pages differ");
	check(filled(shared + 300 * PAGE, PAGE, 5) && shared[511 * PAGE] == 0, "shared pages differ");
	check(page_size(private) == 2048 && page_size(shared) == 2048, "the pages are small");
}

/* Open and mapped, shared and private; only open; only mapped; sealed. */
static void memfds(const char *go)
{
	int fd = memfd_create("huge", MFD_HUGETLB | MFD_CLOEXEC | SIZE_FLAG), only = memfd_create("open", MFD_HUGETLB), gone = memfd_create("gone", MFD_HUGETLB);
	int sealed = memfd_create("sealed", MFD_HUGETLB | MFD_ALLOW_SEALING);
	unsigned char *at, *shared, *private, *mapped, byte = 0;
	struct stat status;

	check(fd >= 0 && only >= 0 && gone >= 0 && sealed >= 0, "memfd_create: %m");
	check(ftruncate(fd, 4 * PAGE) == 0 && ftruncate(only, PAGE) == 0 && ftruncate(gone, PAGE) == 0 && ftruncate(sealed, PAGE) == 0, "ftruncate: %m");
	shared = map(2 * PAGE, MAP_SHARED, fd, PAGE);
	private = map(2 * PAGE, MAP_PRIVATE, fd, PAGE);
	fill(shared, PAGE, 1);
	fill(private + PAGE, PAGE, 2);
	at = map(PAGE, MAP_SHARED, only, 0);
	fill(at, PAGE, 3);
	munmap(at, PAGE);
	mapped = map(PAGE, MAP_SHARED, gone, 0);
	fill(mapped, PAGE, 4);
	close(gone);
	at = map(PAGE, MAP_SHARED, sealed, 0);
	fill(at, PAGE, 5);
	munmap(at, PAGE);
	check(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0, "seals: %m");
	lseek(fd, 5, SEEK_SET);
	ready();
	wait_for(go);
	check(lseek(fd, 0, SEEK_CUR) == 5, "the offset differs");
	check(fstat(fd, &status) == 0 && status.st_size == (off_t)(4 * PAGE) && status.st_blksize == (blksize_t)PAGE, "size %ld, pages of %ld", (long)status.st_size, (long)status.st_blksize);
	check(filled(shared, PAGE, 1) && is_zero(shared + PAGE, PAGE) && filled(private + PAGE, PAGE, 2) && filled(private, PAGE, 1), "mapped pages differ");
	shared[0] ^= 0xff;
	check(private[0] == shared[0] && pread(fd, &byte, 1, PAGE) == 1 && byte == shared[0], "the mappings are of different files");
	check(filled(mapped, PAGE, 4), "pages without a descriptor differ");
	at = map(PAGE, MAP_SHARED, only, 0);
	check(filled(at, PAGE, 3), "pages without a mapping differ");
	check(page_size(shared) == 2048 && page_size(private) == 2048 && page_size(mapped) == 2048 && page_size(at) == 2048, "the pages are small");
	check(fcntl(sealed, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) && fcntl(fd, F_GET_SEALS) == F_SEAL_SEAL, "the seals are 0x%x and 0x%x", fcntl(sealed, F_GET_SEALS), fcntl(fd, F_GET_SEALS));
	at = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, sealed, 0);
	check(at != MAP_FAILED && filled(at, PAGE, 5), "sealed pages differ");
}

/* A System V segment whose size is no multiple of its pages; it goes with its last attachment. */
static void segment(const char *go)
{
	int id = shmget(IPC_PRIVATE, 2 * PAGE + 9, IPC_CREAT | SHM_HUGETLB | 0600);
	unsigned char *at = shmat(id, NULL, 0), *again = shmat(id, NULL, SHM_RDONLY);
	struct shmid_ds state;

	check(id >= 0 && at != (void *)-1 && again != (void *)-1, "shmget, shmat: %m");
	check(shmctl(id, IPC_RMID, NULL) == 0, "shmctl: %m");
	fill(at, PAGE, 1);
	fill(at + 2 * PAGE, 9, 2);
	ready();
	wait_for(go);
	check(shmctl(id, IPC_STAT, &state) == 0 && state.shm_segsz == 2 * PAGE + 9 && state.shm_nattch == 2, "size %zu, %lu attachments", state.shm_segsz, (unsigned long)state.shm_nattch);
	check(filled(again, PAGE, 1) && is_zero(again + PAGE, PAGE) && filled(again + 2 * PAGE, 9, 2), "the segment differs");
	check(page_size(at) == 2048, "the pages are small");
	check(shmdt(again) == 0 && shmdt(at) == 0 && shmctl(id, IPC_STAT, &state) < 0, "the segment stays");
}

/* A file of hugetlbfs, closed when it is mapped, shared and private; another one stays open. */
static void file(const char *go, const char *directory)
{
	char path[512];
	int fd, open_fd;
	unsigned char *shared, *private, *late;

	snprintf(path, sizeof(path), "%s/mapped", directory);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	check(fd >= 0 && ftruncate(fd, 3 * PAGE) == 0, "%s: %m", path);
	shared = map(2 * PAGE, MAP_SHARED, fd, PAGE);
	private = map(3 * PAGE, MAP_PRIVATE, fd, 0);
	close(fd);
	fill(shared, PAGE, 1);
	fill(private, PAGE, 2);
	snprintf(path, sizeof(path), "%s/open", directory);
	open_fd = open(path, O_RDWR | O_CREAT, 0600);
	check(open_fd >= 0 && ftruncate(open_fd, PAGE) == 0, "%s: %m", path);
	late = map(PAGE, MAP_SHARED, open_fd, 0);
	fill(late, PAGE, 3);
	munmap(late, PAGE);
	ready();
	wait_for(go);
	check(filled(shared, PAGE, 1) && filled(private, PAGE, 2) && filled(private + PAGE, PAGE, 1), "mapped pages differ");
	late = map(PAGE, MAP_SHARED, open_fd, 0);
	check(filled(late, PAGE, 3), "the open file differs");
	check(page_size(shared) == 2048 && page_size(private) == 2048, "the pages are small");
}

/* Deleted files of hugetlbfs: one is mapped, one is open, and has a hole. */
static void deleted(const char *go, const char *directory)
{
	char path[512];
	int fd;
	struct stat state;
	unsigned char *mapped, *late;

	snprintf(path, sizeof(path), "%s/mapped", directory);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	check(fd >= 0 && ftruncate(fd, PAGE) == 0, "%s: %m", path);
	mapped = map(PAGE, MAP_SHARED, fd, 0);
	fill(mapped, PAGE, 1);
	close(fd);
	check(unlink(path) == 0, "%s: %m", path);
	snprintf(path, sizeof(path), "%s/open", directory);
	fd = open(path, O_RDWR | O_CREAT, 0640);
	check(fd >= 0 && ftruncate(fd, 3 * PAGE) == 0, "%s: %m", path);
	late = map(PAGE, MAP_SHARED, fd, PAGE);
	fill(late, PAGE, 2);
	munmap(late, PAGE);
	check(unlink(path) == 0, "%s: %m", path);
	ready();
	wait_for(go);
	check(filled(mapped, PAGE, 1) && page_size(mapped) == 2048, "what is mapped differs");
	check(fstat(fd, &state) == 0 && state.st_size == 3 * PAGE && state.st_blocks * 512 == PAGE && (state.st_mode & 0777) == 0640 && state.st_nlink == 0, "the open file has %ld bytes, %ld blocks, mode %o", (long)state.st_size, (long)state.st_blocks, state.st_mode);
	late = map(PAGE, MAP_SHARED, fd, PAGE);
	check(filled(late, PAGE, 2), "the open file differs");
}

/* One page of 1 GiB, of which little is used. */
static void gigantic(const char *go)
{
	size_t size = 1ul << 30;
	unsigned char *at = map(size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (30 << 26), -1, 0);

	fill(at + size - 4096, 4096, 1);
	ready();
	wait_for(go);
	check(filled(at + size - 4096, 4096, 1) && at[0] == 0, "the page differs");
	check(page_size(at) == 1048576, "the page is smaller");
}

int main(int argc, char **argv)
{
	const char *kind = argc > 2 ? argv[2] : "";

	if (!strcmp(kind, "anonymous"))
		anonymous(argv[1]);
	if (!strcmp(kind, "unreserved"))
		unreserved(argv[1]);
	if (!strcmp(kind, "memfd"))
		memfds(argv[1]);
	if (!strcmp(kind, "segment"))
		segment(argv[1]);
	if (!strcmp(kind, "file") && argc > 3)
		file(argv[1], argv[3]);
	if (!strcmp(kind, "deleted") && argc > 3)
		deleted(argv[1], argv[3]);
	if (!strcmp(kind, "gigantic"))
		gigantic(argv[1]);
	return done();
}
