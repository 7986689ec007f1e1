/*
 * Files where opening by name is not enough: file-corners GO DIR KIND.
 *   overlay   DIR/mount is an overlay with lower files a, b, c, d: read below, copied up, removed, and open from both layers
 *   chroot    the root directory is another since
 *   dropped   open and a working directory from before the program gave up its rights
 *   limit     a number above the limit that was lowered since
 *   nested    directories in directories that are gone, and a file in the innermost
 *   again     a working directory that is gone, and another one of its name
 *   covered   a mount lies over the file: refused
 *   detached  the mount of the file was detached: refused
 */
#include "check.h"
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static char *dir, *go;

static char *in(const char *name)
{
	static char paths[8][4096];
	static int next;
	char *path = paths[next++ % 8];

	snprintf(path, 4096, "%s/%s", dir, name);
	return path;
}

static void pause_here(void)
{
	ready();
	wait_for(go);
}

static int made(const char *name, const char *text, int flags)
{
	int fd = open(in(name), flags | O_CREAT, 0600);

	check(fd >= 0 && pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text), "%s: %m", name);
	return fd;
}

static void has(int fd, const char *text, const char *what)
{
	char got[64] = "";

	check(pread(fd, got, sizeof(got), 0) == (ssize_t)strlen(text) && !strcmp(got, text), "%s is %s, not %s (%m)", what, got, text);
}

static void overlay(void)
{
	int a = open(in("mount/a"), O_RDONLY), b = open(in("mount/b"), O_RDWR), c = open(in("mount/c"), O_RDONLY);
	int below = open(in("mount/d"), O_RDONLY), above = open(in("mount/d"), O_RDWR), top = open(in("mount"), O_RDONLY);
	int new = made("mount/new", "without a name", O_RDWR);
	char got[8] = "";

	check(pwrite(b, "UP", 2, 0) == 2 && pwrite(above, "UP", 2, 0) == 2 && read(a, got, 2) == 2, "write: %m");
	check(unlink(in("mount/c")) == 0 && unlink(in("mount/new")) == 0, "unlink: %m");
	char *mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, a, 0);
	check(mkdir(in("mount/sub"), 0700) == 0 && chdir(in("mount/sub")) == 0, "chdir: %m");
	pause_here();
	check(lseek(a, 0, SEEK_CUR) == 2 && !memcmp(mapped, "lower a", 7), "offset and mapping");
	has(a, "lower a", "what is below");
	has(b, "UPwer b", "what was copied up");
	has(c, "lower c", "what was removed");
	has(above, "UPwer d", "what was copied up while open");
	check(fcntl(below, F_GETFL) >= 0, "the one from below is closed");
	has(new, "without a name", "what has no name");
	check(faccessat(top, "c", F_OK, 0) < 0 && faccessat(top, "new", F_OK, 0) < 0 && faccessat(top, "sub", F_OK, 0) == 0, "names of the directory");
	check(access("../a", F_OK) == 0 && chdir("/") == 0, "the working directory: %m");
}

static void chrooted(void)
{
	int out = made("out", "outside", O_RDWR), top = open(dir, O_RDONLY);

	check(mkdir(in("root"), 0700) == 0, "mkdir: %m");
	close(made("root/in", "inside", O_RDWR));
	check(chroot(in("root")) == 0 && chdir("/") == 0, "chroot: %m");
	int inside = open("/in", O_RDONLY);
	ready();
	/* The go file is in the directory too. */
	while (faccessat(top, strrchr(go, '/') + 1, F_OK, 0) != 0)
		usleep(2000);
	has(out, "outside", "what is outside");
	has(inside, "inside", "what is inside");
	check(access("/in", F_OK) == 0 && access("/out", F_OK) < 0 && faccessat(top, "out", F_OK, 0) == 0, "the root: %m");
}

static void dropped(void)
{
	int secret = made("secret", "secret", O_RDWR);

	check(mkdir(in("own"), 0700) == 0 && chdir(in("own")) == 0, "chdir: %m");
	int inner = made("own/inner", "inner", O_RDWR);
	check(fchmod(secret, 0) == 0 && setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0, "setresuid: %m");
	pause_here();
	has(secret, "secret", "the secret");
	has(inner, "inner", "what is in the directory");
	check(open(in("secret"), O_RDONLY) < 0 && errno == EACCES && access(".", R_OK) < 0, "it has rights again");
}

static void limit(void)
{
	struct rlimit low = { 16, 16 }, now;
	int fd = made("file", "file", O_RDWR);

	check(dup2(fd, 500) == 500 && lseek(500, 3, SEEK_SET) == 3 && setrlimit(RLIMIT_NOFILE, &low) == 0, "setrlimit: %m");
	pause_here();
	check(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == 16 && now.rlim_max == 16, "the limit is %ld", (long)now.rlim_cur);
	check(lseek(500, 1, SEEK_CUR) == 4 && lseek(fd, 0, SEEK_CUR) == 4, "500 and %d are two", fd);
}

static void link_is(int fd, const char *want)
{
	char name[64], text[4200];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	ssize_t size = readlink(name, text, sizeof(text) - 1);
	text[size < 0 ? 0 : size] = 0;
	check(!strncmp(text, want, strlen(want)) && !strcmp(text + strlen(want), " (deleted)"), "%d is %s, not %s", fd, text, want);
}

static void nested(void)
{
	char value[8];

	check(!mkdir(in("x"), 0700) && !mkdir(in("x/y"), 0700) && !mkdir(in("x/y/z"), 0700), "mkdir: %m");
	int x = open(in("x"), O_RDONLY), y = open(in("x/y"), O_RDONLY), z = open(in("x/y/z"), O_RDONLY), file = made("x/y/z/file", "deep", O_RDWR);
	int has_xattr = fsetxattr(z, "user.crts", "1", 1, 0) == 0;
	check(!unlink(in("x/y/z/file")) && !rmdir(in("x/y/z")) && !rmdir(in("x/y")) && !rmdir(in("x")), "rmdir: %m");
	pause_here();
	has(file, "deep", "the file");
	link_is(x, in("x"));
	link_is(y, in("x/y"));
	link_is(z, in("x/y/z"));
	link_is(file, in("x/y/z/file"));
	check(!has_xattr || (fgetxattr(z, "user.crts", value, 8) == 1 && value[0] == '1'), "the attribute: %m");
	check(access(in("x"), F_OK) < 0 && openat(z, "new", O_CREAT | O_RDWR, 0600) < 0, "they are back");
}

static void again(void)
{
	struct stat here, there;

	check(!mkdir(in("x"), 0700) && !chdir(in("x")) && !rmdir(in("x")) && !mkdir(in("x"), 0700), "mkdir: %m");
	close(made("x/file", "other", O_RDWR));
	pause_here();
	check(stat(".", &here) == 0 && stat(in("x"), &there) == 0 && here.st_ino != there.st_ino && access("file", F_OK) < 0, "it is in the other one");
	check(access(in("x/file"), F_OK) == 0, "the other one was touched");
}

static void hidden(int is_detached)
{
	check(mkdir(in("point"), 0700) == 0, "mkdir: %m");
	int under = made("point/file", "under", O_RDWR);
	check(mount("none", in("point"), "tmpfs", 0, NULL) == 0, "mount: %m");
	int over = made("point/file", "over", O_RDWR);
	if (is_detached) {
		close(under);
		check(umount2(in("point"), MNT_DETACH) == 0, "umount: %m");
	} else
		close(over);
	pause_here();
	has(is_detached ? over : under, is_detached ? "over" : "under", "the file");
	if (!is_detached)
		umount2(in("point"), MNT_DETACH);
}

/* Mounted by itself, deleted, and the mount gone: a name of nothing. */
static void nameless(void)
{
	int mounted = made("source", "mounted", O_RDWR);

	close(mounted);
	close(made("over", "over", O_RDWR));
	check(mount(in("source"), in("over"), NULL, MS_BIND, NULL) == 0, "mount: %m");
	mounted = open(in("over"), O_RDWR);
	check(mounted >= 0 && unlink(in("source")) == 0 && umount2(in("over"), MNT_DETACH) == 0, "umount: %m");
	pause_here();
	has(mounted, "mounted", "the file");
}

/* Closed to writers while one has it open. */
static void made_immutable(int flag)
{
	int fd = open(in("protected"), O_RDWR | O_CREAT, 0600), flags;

	check(fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags |= flag, ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0), "set flags: %m");
	pause_here();
	check((flags &= ~flag, ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0) && pwrite(fd, "still", 5, 0) == 5, "written: %m");
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	go = argv[1];
	dir = argv[2];
	umask(0);
	if (!strcmp(argv[3], "overlay"))
		overlay();
	if (!strcmp(argv[3], "chroot"))
		chrooted();
	if (!strcmp(argv[3], "dropped"))
		dropped();
	if (!strcmp(argv[3], "immutable") || !strcmp(argv[3], "append-only"))
		made_immutable(!strcmp(argv[3], "immutable") ? FS_IMMUTABLE_FL : FS_APPEND_FL);
	if (!strcmp(argv[3], "limit"))
		limit();
	if (!strcmp(argv[3], "nested"))
		nested();
	if (!strcmp(argv[3], "again"))
		again();
	if (!strcmp(argv[3], "nameless"))
		nameless();
	if (!strcmp(argv[3], "covered") || !strcmp(argv[3], "detached"))
		hidden(!strcmp(argv[3], "detached"));
	return done();
}
