/* Memory of every kind that programs have at once, and in a child too. argv[2] is a directory for files, argv[3] the seed. */
#include "kinds.h"
#include <sys/ipc.h>
#include <sys/shm.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* Where the machine has some huge TLB pages: their first bytes. */
static void set_up_huge(void)
{
	size_t size = 2ul << 20;
	int flags = MAP_ANONYMOUS | MAP_HUGETLB, fd = memfd_create("huge", MFD_HUGETLB);
	void *one = mmap(NULL, size, RW, MAP_PRIVATE | flags, -1, 0), *shared = mmap(NULL, size, RW, MAP_SHARED | flags, -1, 0);
	void *opened = fd >= 0 && ftruncate(fd, (off_t)size) == 0 ? mmap(NULL, size, RW, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (one != MAP_FAILED)
		add("huge, private", one);
	if (shared != MAP_FAILED)
		add_shared("huge, shared", shared);
	if (opened != MAP_FAILED)
		add_shared("huge, memfd", opened);
}

static void set_up(const char *directory)
{
	int fd, key, id;
	unsigned char *at;

	add("private", private());
	add_protected("hidden", private(), PROT_NONE);
	add_protected("executed only", private(), PROT_EXEC);
	add_protected("written only", private(), PROT_WRITE);
	at = add("locked", private())->at;
	check(mlock(at, SIZE) == 0, "mlock: %m");
	at = add("sealed by mseal", private())->at;
	syscall(462, at, SIZE, 0);
	key = pkey_alloc(0, 0);
	at = add("with a key", private())->at;
	if (key >= 0)
		check(pkey_mprotect(at, SIZE, RW, key) == 0, "pkey_mprotect: %m");
	add("heap", malloc(SIZE));
	add_shared("shared", map(RW, MAP_SHARED | MAP_ANONYMOUS, -1));
	at = add("mergeable", private())->at;
	madvise(at, SIZE, MADV_MERGEABLE);
	at = add("with a policy", private())->at;
	syscall(SYS_mbind, at, SIZE, 4 /* MPOL_LOCAL */, NULL, 0, 0);
	set_up_huge();
	fd = open("/dev/zero", O_RDWR);
	add_shared("device, shared", map(RW, MAP_SHARED, fd));
	add("device, private", map(RW, MAP_PRIVATE, fd));
	close(fd);
	fd = file(directory, "private");
	add("file, private", map(RW, MAP_PRIVATE, fd));
	close(fd);
	fd = file(directory, "shared");
	add_shared("file, shared", map(RW, MAP_SHARED, fd));
	close(fd);
	fd = memfd_create("open", 0);
	check(ftruncate(fd, SIZE) == 0, "memfd: %m");
	add_shared("memfd, shared", map(RW, MAP_SHARED, fd));
	add("memfd, private", map(RW, MAP_PRIVATE, fd));
	fd = memfd_create("sealed", MFD_ALLOW_SEALING);
	check(ftruncate(fd, SIZE) == 0, "memfd: %m");
	at = map(RW, MAP_SHARED, fd);
	fill(at, SIZE, seed_of(count));
	munmap(at, SIZE);
	check(fcntl(fd, F_ADD_SEALS, SEALS) == 0, "seals: %m");
	kinds[count++] = (struct kind){ .name = "memfd, sealed", .at = map(PROT_READ, MAP_SHARED, fd), .prot = -1, .size = SIZE, .is_sealed = 1 };
	id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
	add_shared("segment", shmat(id, NULL, 0));
	shmctl(id, IPC_RMID, NULL);
}

static void nothing(void)
{
}

int main(int argc, char **argv)
{
	return argc > 3 ? run(argv, set_up, nothing, nothing) : 2;
}
