/* Files whose names are gone: argv[3] says which; each proves from inside that it is what it was, and still has no name. */
#include "check.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static char dir[4000], go[4096];
/* CRIU restores what it writes, and loses times below the microsecond and extended attributes. */
static int loses;

static char *in(const char *name)
{
	static char paths[8][8192];
	static int next;
	char *path = paths[next++ % 8];

	snprintf(path, 8192, "%s/%s", dir, name);
	return path;
}

static void pause_here(void)
{
	ready();
	wait_for(go);
}

static void check_link(const char *proc, const char *want)
{
	char name[64], text[8192];

	snprintf(name, sizeof(name), "/proc/self/%s", proc);
	ssize_t size = readlink(name, text, sizeof(text) - 1);
	text[size < 0 ? 0 : size] = 0;
	check(!strcmp(text, want), "%s is %s, not %s", proc, text, want);
}

static void check_fd_link(int fd, const char *want)
{
	char name[64];

	snprintf(name, sizeof(name), "fd/%d", fd);
	check_link(name, want);
}

static char *deleted(const char *path)
{
	static char text[4][8300];
	static int next;
	char *into = text[next++ % 4];

	snprintf(into, 8300, "%s (deleted)", path);
	return into;
}

static struct stat of(int fd)
{
	struct stat st;

	memset(&st, 0, sizeof(st));
	check(fstat(fd, &st) == 0, "fstat %d: %m", fd);
	return st;
}

static void same_file(int a, int b)
{
	struct stat x = of(a), y = of(b);

	check(x.st_dev == y.st_dev && x.st_ino == y.st_ino, "fd %d and fd %d are two files", a, b);
}

/* Contents with a hole, attributes, two descriptions and a dup, a shared mapping. */
static void file(void)
{
	const char acl[] = { 2, 0, 0, 0, 1, 0, 6, 0, -1, -1, -1, -1, 2, 0, 4, 0, 65, 0, 0, 0, 4, 0, 4, 0, -1, -1, -1, -1, 16, 0, 6, 0, -1, -1, -1, -1, 32, 0, 0, 0, -1, -1, -1, -1 };
	struct timespec times[2] = { { 1000000001, 123456000 }, { 1000000002, loses ? 987654000 : 987654321 } };
	char *path = in("gh\xff st"), text[64], value[64];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0640), reader = open(path, O_RDONLY | O_NOFOLLOW);
	int append = open(path, O_WRONLY | O_APPEND), opath = open(path, O_PATH), twin = dup(fd);

	check(pwrite(fd, "begin", 5, 0) == 5 && pwrite(fd, "middle", 6, 1 << 20) == 6 && ftruncate(fd, 3 << 20) == 0, "write: %m");
	check(fchown(fd, 1234, 5678) == 0 && fchmod(fd, 02664) == 0, "chown: %m");
	int xattr = !loses && fsetxattr(fd, "user.crts", "value", 5, 0) == 0, acls = !loses && fsetxattr(fd, "system.posix_acl_access", acl, sizeof(acl), 0) == 0;
	char *shared = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	shared[(1 << 20) + 100] = 'M';
	msync(shared, 2 << 20, MS_SYNC);
	lseek(fd, 1 << 20, SEEK_SET);
	lseek(reader, 3, SEEK_SET);
	futimens(fd, times);
	unlink(path);
	struct stat before = of(fd);
	pause_here();

	struct stat after = of(fd);
	check(after.st_nlink == 0 && after.st_size == 3 << 20, "%d links, size %ld", (int)after.st_nlink, (long)after.st_size);
	check(after.st_mode == before.st_mode && after.st_uid == 1234 && after.st_gid == 5678, "mode 0%o, owner %d:%d", after.st_mode, after.st_uid, after.st_gid);
	check(after.st_mtim.tv_sec == 1000000002 && after.st_mtim.tv_nsec == times[1].tv_nsec, "mtime %ld.%09ld", after.st_mtim.tv_sec, after.st_mtim.tv_nsec);
	check(after.st_blocks <= before.st_blocks + 16, "the holes are filled: %ld blocks, were %ld", (long)after.st_blocks, (long)before.st_blocks);
	check(!xattr || (fgetxattr(fd, "user.crts", value, 64) == 5 && !memcmp(value, "value", 5)), "the attribute is lost");
	check(!acls || (fgetxattr(fd, "system.posix_acl_access", value, 64) == sizeof(acl) && !memcmp(value, acl, sizeof(acl))), "the access list is lost");
	for (int i = 0; i < 4; i++) {
		int each[] = { fd, reader, append, opath };
		same_file(fd, each[i]);
		check_fd_link(each[i], deleted(path));
	}
	check(read(twin, text, 6) == 6 && !memcmp(text, "middle", 6) && lseek(fd, 0, SEEK_CUR) == (1 << 20) + 6, "the offset is not shared");
	check(read(reader, text, 2) == 2 && !memcmp(text, "in", 2), "the reader's offset");
	check((fcntl(reader, F_GETFL) & (O_NOFOLLOW | O_ACCMODE)) == (O_NOFOLLOW | O_RDONLY), "flags of the reader: 0%o", fcntl(reader, F_GETFL));
	check((fcntl(append, F_GETFL) & (O_APPEND | O_ACCMODE)) == (O_APPEND | O_WRONLY), "flags of the appender");
	check(fcntl(opath, F_GETFL) & O_PATH, "O_PATH is lost");
	check(!memcmp(shared, "begin", 5) && shared[(1 << 20) + 100] == 'M', "the mapping differs");
	shared[1] = 'E';
	check(pread(fd, text, 5, 0) == 5 && !memcmp(text, "bEgin", 5), "the mapping is of another file");
	check(write(append, "end", 3) == 3 && of(fd).st_size == (3 << 20) + 3, "the appender has another file");
	check(access(path, F_OK) == -1, "the name is back");
}

/* Two names of one file, both gone. */
static void names(void)
{
	char *a = in("a"), *b = in("b"), text[8];
	int first = open(a, O_RDWR | O_CREAT, 0600);

	check(link(a, b) == 0, "link: %m");
	int second = open(b, O_RDONLY);
	check(write(first, "both", 4) == 4, "write: %m");
	unlink(a);
	unlink(b);
	pause_here();
	check_fd_link(first, deleted(a));
	check_fd_link(second, deleted(b));
	same_file(first, second);
	check(read(second, text, 8) == 4 && !memcmp(text, "both", 4), "contents");
}

/* Two files that had one name after the other, which a third has now. */
static void taken(void)
{
	char *path = in("taken"), text[16];
	int fds[2], count = 0;

	for (; count < 2; count++) {
		fds[count] = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
		check(write(fds[count], count ? "second" : "first", 6) == 6, "write: %m");
		unlink(path);
	}
	int third = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	check(write(third, "third", 6) == 6, "write: %m");
	struct stat before = of(third);
	pause_here();
	check(pread(fds[0], text, 16, 0) == 6 && !strcmp(text, "first"), "the first has %s", text);
	check(pread(fds[1], text, 16, 0) == 6 && !strcmp(text, "second"), "the second has %s", text);
	check(pread(third, text, 16, 0) == 6 && !strcmp(text, "third") && of(third).st_nlink == 1, "the third has %s", text);
	check(of(third).st_ino == before.st_ino && of(third).st_mtim.tv_nsec == before.st_mtim.tv_nsec, "the third was touched");
	check(of(fds[0]).st_nlink == 0 && of(fds[1]).st_nlink == 0, "a name is left");
}

/* One name used by two files in turn, and free now. */
static void again(void)
{
	char *path = in("again"), text[16];
	int fds[2];

	for (int i = 0; i < 2; i++) {
		fds[i] = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
		check(write(fds[i], i ? "1" : "0", 1) == 1, "write: %m");
		unlink(path);
	}
	pause_here();
	for (int i = 0; i < 2; i++) {
		check(pread(fds[i], text, 16, 0) == 1 && text[0] == '0' + i, "file %d has %c", i, text[0]);
		check_fd_link(fds[i], deleted(path));
	}
}

/* A working directory that is gone, a descriptor of it, a file that was in it. */
static void directory(void)
{
	char *parent = in("gone"), *path = in("gone/for ever"), *name = in("gone/for ever/file"), *own = strdup(name), text[16];

	mkdir(parent, 0700);
	mkdir(path, 0751);
	check(chown(path, 12, 34) == 0 && chdir(path) == 0, "chdir: %m");
	/* CRIU cannot remove a deleted directory again that had a deleted file in it. */
	int fd = open(path, O_RDONLY | O_DIRECTORY), inner = loses ? -1 : open("file", O_RDWR | O_CREAT, 0600);
	check(loses || write(inner, "inner", 5) == 5, "write: %m");
	unlink("file");
	rmdir(path);
	rmdir(parent);
	pause_here();
	struct stat st = of(fd), here;
	check(S_ISDIR(st.st_mode) && (st.st_mode & 07777) == 0751 && st.st_uid == 12 && st.st_gid == 34, "mode 0%o", st.st_mode);
	check(stat(".", &here) == 0 && here.st_ino == st.st_ino, "the working directory is another: %m");
	check_link("cwd", deleted(path));
	check_fd_link(fd, deleted(path));
	if (!loses)
		check_fd_link(inner, deleted(own));
	check(open("new", O_CREAT | O_WRONLY, 0600) == -1 && errno == ENOENT, "the directory is alive: %m");
	check(loses || (pread(inner, text, 16, 0) == 5 && !memcmp(text, "inner", 5)), "contents of the inner file");
	/* CRIU leaves it. */
	check(loses || access(parent, F_OK) == -1, "the parent is back");
}

/* Only in memory: no descriptor. */
static void mapped(void)
{
	char *path = in("mapped"), *content = malloc(65536);
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	memset(content, 'm', 65536);
	check(write(fd, content, 65536) == 65536, "write: %m");
	char *shared = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *other = mmap(NULL, 32768, PROT_READ, MAP_SHARED, fd, 32768);
	char *private = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	close(fd);
	shared[40000] = 'S';
	private[5] = 'P';
	unlink(path);
	pause_here();
	check(shared[0] == 'm' && shared[40000] == 'S' && other[40000 - 32768] == 'S', "shared contents");
	shared[40001] = 'T';
	check(other[40001 - 32768] == 'T' && private[40001] == 'T' && private[5] == 'P' && shared[5] == 'm', "mappings are of several files");
}

/* O_TMPFILE: still without a name, and still to be given one. */
static void tmpfile_(void)
{
	char text[16], self[64];
	int fd = open(dir, O_TMPFILE | O_RDWR, 0640), flags = fcntl(fd, F_GETFL);

	check(fd >= 0 && write(fd, "nameless", 8) == 8, "O_TMPFILE: %m");
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	int reader = open(self, O_RDONLY);
	pause_here();
	check(of(fd).st_nlink == 0 && lseek(fd, 0, SEEK_CUR) == 8, "offset %ld", (long)lseek(fd, 0, SEEK_CUR));
	check(fcntl(fd, F_GETFL) == flags, "flags 0%o, were 0%o", fcntl(fd, F_GETFL), flags);
	same_file(fd, reader);
	check(read(reader, text, 16) == 8 && !memcmp(text, "nameless", 8), "contents");
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	check(linkat(AT_FDCWD, self, AT_FDCWD, in("published"), AT_SYMLINK_FOLLOW) == 0, "it cannot be given a name: %m");
	check(access(in("published"), F_OK) == 0 && of(fd).st_nlink == 1, "it has no name");
}

/* Another name is left. */
static void linked(void)
{
	char *path = in("linked"), *other = in("other name"), text[8];
	int fd = open(path, O_RDWR | O_CREAT, 0600), reader = open(path, O_RDONLY);

	check(link(path, other) == 0 && write(fd, "linked", 6) == 6, "link: %m");
	unlink(path);
	pause_here();
	struct stat st;
	check(stat(other, &st) == 0 && st.st_ino == of(fd).st_ino && st.st_nlink == 1, "%d links", (int)st.st_nlink);
	same_file(fd, reader);
	check_fd_link(fd, deleted(path));
	check(read(reader, text, 8) == 6 && !memcmp(text, "linked", 6), "contents");
}

/* Another name is left, and another file has the old one. */
static void replaced(void)
{
	char *path = in("replaced"), *other = in("other name"), text[8];
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	check(link(path, other) == 0 && write(fd, "old", 3) == 3, "link: %m");
	unlink(path);
	int new = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	check(write(new, "new", 3) == 3, "write: %m");
	pause_here();
	struct stat st;
	check(stat(other, &st) == 0 && st.st_ino == of(fd).st_ino && st.st_nlink == 1, "%d links", (int)st.st_nlink);
	check(stat(path, &st) == 0 && st.st_ino == of(new).st_ino && st.st_nlink == 1, "%d links", (int)st.st_nlink);
	check(pread(fd, text, 8, 0) == 3 && !memcmp(text, "old", 3), "the old has %.3s", text);
	check(pread(new, text, 8, 0) == 3 && !memcmp(text, "new", 3), "the new has %.3s", text);
}

/* What is neither file nor directory, by path only. */
static void paths(void)
{
	char target[64], *link = in("symlink"), *fifo = in("fifo"), *device = in("device");

	check(symlink("to nowhere", link) == 0 && mkfifo(fifo, 0620) == 0 && mknod(device, S_IFCHR | 0604, makedev(1, 3)) == 0, "mknod: %m");
	int fds[] = { open(link, O_PATH | O_NOFOLLOW), open(fifo, O_PATH), open(device, O_PATH) };
	struct stat before[3];
	for (int i = 0; i < 3; i++)
		before[i] = of(fds[i]);
	unlink(link);
	unlink(fifo);
	unlink(device);
	pause_here();
	for (int i = 0; i < 3; i++) {
		struct stat st = of(fds[i]);
		check(st.st_mode == before[i].st_mode && st.st_rdev == before[i].st_rdev && st.st_nlink == 0, "%d: mode 0%o", i, st.st_mode);
	}
	check_fd_link(fds[0], deleted(link));
	check(readlinkat(fds[0], "", target, 64) == 10 && !memcmp(target, "to nowhere", 10), "the link leads elsewhere");
}

/* The directory is on a read-only mount since. */
static void readonly(void)
{
	char *path = in("readonly"), text[16];
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	check(write(fd, "readonly", 8) == 8, "write: %m");
	close(fd);
	fd = open(path, O_RDONLY);
	unlink(path);
	pause_here();
	check(read(fd, text, 16) == 8 && !memcmp(text, "readonly", 8), "contents");
	check_fd_link(fd, deleted(path));
}

/* A size to be told: argv[4] MiB. */
/* What chattr(1) sets, when the file can be changed no more: its descriptions can, and are open for writing. */
static void flags(void)
{
	const int wanted[] = { FS_NODUMP_FL | FS_NOATIME_FL, FS_IMMUTABLE_FL, FS_APPEND_FL | FS_SYNC_FL, FS_NODUMP_FL };
	int fds[4], has;

	for (int i = 0; i < 4; i++) {
		char *path = in("flagged");

		if (i == 3)
			check(mkdir(path, 0700) == 0 && (fds[i] = open(path, O_RDONLY)) >= 0 && rmdir(path) == 0, "directory: %m");
		else
			check((fds[i] = open(path, O_RDWR | O_CREAT, 0600)) >= 0 && write(fds[i], "contents", 8) == 8 && unlink(path) == 0, "file: %m");
		check(ioctl(fds[i], FS_IOC_GETFLAGS, &has) == 0 && (has |= wanted[i], ioctl(fds[i], FS_IOC_SETFLAGS, &has) == 0), "set flags: %m");
	}
	pause_here();
	for (int i = 0; i < 4; i++)
		check(ioctl(fds[i], FS_IOC_GETFLAGS, &has) == 0 && (has & FS_FL_USER_MODIFIABLE & ~FS_EXTENT_FL) == wanted[i], "flags %x instead of %x", has, wanted[i]);
	check(write(fds[0], "more", 4) == 4, "write: %m");
}

static void large(int mebibytes)
{
	static char block[1 << 20], text[1 << 20];
	int fd = open(in("large"), O_RDWR | O_CREAT, 0600);

	unlink(in("large"));
	for (int i = 0; i < mebibytes; i++) {
		memset(block, 'a' + i % 26, sizeof(block));
		check(pwrite(fd, block, sizeof(block), (off_t)i << 21) == sizeof(block), "write: %m");
	}
	pause_here();
	for (int i = 0; i < mebibytes; i++) {
		memset(block, 'a' + i % 26, sizeof(block));
		check(pread(fd, text, sizeof(text), (off_t)i << 21) == sizeof(text) && !memcmp(block, text, sizeof(text)), "block %d", i);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} kinds[] = {
		{ "file", file }, { "names", names }, { "taken", taken }, { "again", again }, { "directory", directory }, { "mapped", mapped },
		{ "tmpfile", tmpfile_ }, { "linked", linked }, { "replaced", replaced }, { "paths", paths }, { "readonly", readonly }, { "flags", flags },
	};

	if (argc < 4)
		return 2;
	snprintf(go, sizeof(go), "%s", argv[1]);
	snprintf(dir, sizeof(dir), "%s", argv[2]);
	mkdir(dir, 0755);
	loses = argc > 4 && !strcmp(argv[4], "loses");
	umask(0);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(argv[3], kinds[i].name))
			kinds[i].run();
	if (!strcmp(argv[3], "large"))
		large(atoi(argv[4]));
	return done();
}
