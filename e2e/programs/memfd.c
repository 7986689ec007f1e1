/* Memfds (argv[2]): files in memory without a name. */
#include "check.h"
#include "pattern.h"
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PAGE 4096ul
#define RW (PROT_READ | PROT_WRITE)
#define SEAL_FUTURE_WRITE 0x10
#define SEAL_EXEC 0x20
#define NOEXEC_SEAL 8u

static int memfd(const char *name, unsigned int flags, off_t size)
{
	int fd = memfd_create(name, flags);

	check(fd >= 0 && ftruncate(fd, size) == 0, "memfd %s: %m", name);
	return fd;
}

static int again(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, flags);
	check(fd >= 0, "open %s: %m", path);
	return fd;
}

static void *map(int fd, size_t size, int prot, int flags, off_t offset)
{
	void *at = mmap(NULL, size, prot, flags, fd, offset);

	check(at != MAP_FAILED, "mmap: %m");
	return at;
}

static void plain(const char *go)
{
	unsigned char bytes[3 * PAGE], back[3 * PAGE];
	struct stat stat;
	int fd = memfd("plain", 0, 5 * PAGE + 100), twin = dup(fd), reader = again(fd, O_RDONLY), adder = again(fd, O_RDWR | O_APPEND | O_NONBLOCK);
	int same = memfd("plain", MFD_CLOEXEC | MFD_ALLOW_SEALING, 0), strange = memfd("a/b \xff\n(deleted)", 0, 1l << 40);
	char name[64], link[64] = "";

	fill(bytes, sizeof(bytes), 1);
	check(pwrite(fd, bytes, sizeof(bytes), 2 * PAGE + 100) == sizeof(bytes), "pwrite: %m");
	check(pwrite(strange, "far", 3, (1l << 40) - 3) == 3, "pwrite: %m");
	check(lseek(fd, 77, SEEK_SET) == 77 && lseek(reader, 2 * PAGE + 100, SEEK_SET) > 0, "lseek: %m");
	check(fchmod(fd, 0640) == 0 && fchown(fd, 12, 34) == 0, "fchmod: %m");
	ready();
	wait_for(go);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", strange);
	check(readlink(name, link, sizeof(link) - 1) > 0 && !strcmp(link, "/memfd:a/b \xff\n(deleted) (deleted)"), "the name is %s", link);
	check(fstat(fd, &stat) == 0 && stat.st_size == 5 * PAGE + 100 && stat.st_uid == 12 && stat.st_gid == 34, "size %ld, owner %u:%u", (long)stat.st_size, stat.st_uid, stat.st_gid);
	check((stat.st_mode & 07777) == 0640, "mode %o", stat.st_mode);
	check(lseek(twin, 0, SEEK_CUR) == 77 && lseek(fd, 5, SEEK_SET) == 5 && lseek(twin, 0, SEEK_CUR) == 5, "the offset is not shared");
	check(read(reader, back, sizeof(back)) == sizeof(back) && !memcmp(bytes, back, sizeof(bytes)), "contents differ");
	check(pread(fd, back, PAGE, 0) == PAGE && back[0] == 0 && back[PAGE - 1] == 0, "the hole is filled");
	check(stat.st_blocks * 512l <= (long)(5 * PAGE), "%ld blocks", (long)stat.st_blocks);
	check(write(adder, "end", 3) == 3 && pread(reader, back, 3, 5 * PAGE + 100) == 3 && !memcmp(back, "end", 3), "not one file");
	check((fcntl(adder, F_GETFL) & (O_APPEND | O_NONBLOCK | O_ACCMODE)) == (O_APPEND | O_NONBLOCK | O_RDWR), "flags of the third");
	check(write(reader, "x", 1) < 0, "the second can be written");
	check(pread(strange, back, 3, (1l << 40) - 3) == 3 && !memcmp(back, "far", 3), "contents at the end differ");
	check(fstat(same, &stat) == 0 && stat.st_size == 0, "the other of that name has a size");
	check(fcntl(fd, F_GET_SEALS) == F_SEAL_SEAL && fcntl(same, F_GET_SEALS) == 0, "seals");
}

static void mapped(const char *go)
{
	int fd = memfd("mapped", 0, 16 * PAGE), other = memfd("mapped", 0, 4 * PAGE), kept = memfd("kept", 0, 4 * PAGE);
	unsigned char *shared = map(fd, 16 * PAGE, RW, MAP_SHARED, 0), *view = map(fd, 4 * PAGE, PROT_READ, MAP_SHARED, 8 * PAGE);
	unsigned char *private = map(fd, 8 * PAGE, RW, MAP_PRIVATE, 4 * PAGE), *alone = map(other, 4 * PAGE, RW, MAP_SHARED, 0);
	unsigned char *both = map(kept, 4 * PAGE, RW, MAP_SHARED, 0);

	fill(shared, 12 * PAGE, 1);
	fill(private + 2 * PAGE, PAGE, 2);
	fill(alone, 2 * PAGE, 3);
	fill(both, 4 * PAGE, 4);
	close(fd);
	close(other);
	ready();
	wait_for(go);
	check(filled(shared, 12 * PAGE, 1) && shared[12 * PAGE] == 0 && filled(alone, 2 * PAGE, 3), "contents differ");
	check(!memcmp(view, shared + 8 * PAGE, 4 * PAGE), "the second mapping differs");
	check(filled(private + 2 * PAGE, PAGE, 2) && !memcmp(private, shared + 4 * PAGE, 2 * PAGE), "private contents differ");
	shared[9 * PAGE] = 99;
	shared[6 * PAGE] = 98;
	check(view[PAGE] == 99 && private[5 * PAGE] == 99 && private[2 * PAGE] != 98, "the mappings are apart");
	private[0] = 97;
	check(shared[4 * PAGE] != 97, "the private mapping is shared");
	alone[0] = 96;
	check(shared[0] != 96, "two memfds of one name are one");
	check(pwrite(kept, "now", 3, PAGE) == 3 && !memcmp(both + PAGE, "now", 3), "mapping and descriptor are apart");
}

static void sealed(const char *go)
{
	int full = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int fd = memfd("sealed", MFD_ALLOW_SEALING, 2 * PAGE), future = memfd("future", MFD_ALLOW_SEALING, 2 * PAGE), noexec;
	unsigned char bytes[PAGE], *readable, *writable = map(future, 2 * PAGE, RW, MAP_SHARED, 0);
	struct stat stat;

	fill(bytes, PAGE, 1);
	check(pwrite(fd, bytes, PAGE, PAGE) == PAGE && fcntl(fd, F_ADD_SEALS, full) == 0, "seal: %m");
	readable = map(fd, 2 * PAGE, PROT_READ, MAP_SHARED, 0);
	fill(writable, PAGE, 2);
	check(fcntl(future, F_ADD_SEALS, SEAL_FUTURE_WRITE) == 0, "seal: %m");
	noexec = memfd_create("noexec", NOEXEC_SEAL);
	ready();
	wait_for(go);
	check(fcntl(fd, F_GET_SEALS) == full && fcntl(future, F_GET_SEALS) == SEAL_FUTURE_WRITE, "seals 0x%x, 0x%x", fcntl(fd, F_GET_SEALS), fcntl(future, F_GET_SEALS));
	check(filled(readable + PAGE, PAGE, 1) && filled(writable, PAGE, 2), "contents differ");
	check(pwrite(fd, "x", 1, 0) < 0 && errno == EPERM && ftruncate(fd, 1) < 0 && fcntl(fd, F_ADD_SEALS, SEAL_FUTURE_WRITE) < 0, "the seals do not hold");
	writable[PAGE] = 7;
	check(mmap(NULL, PAGE, RW, MAP_SHARED, future, 0) == MAP_FAILED && errno == EPERM && mprotect(readable, PAGE, RW) < 0, "the seals do not hold");
	/* Linux 6.3. */
	if (noexec >= 0)
		check((fcntl(noexec, F_GET_SEALS) & SEAL_EXEC) != 0 && fchmod(noexec, 0755) < 0 && fstat(noexec, &stat) == 0 && (stat.st_mode & 0111) == 0, "it can be made executable");
}

static void executed(const char *go)
{
	static char buffer[1 << 20];
	char *arguments[] = { "true", NULL };
	int program = open("/bin/true", O_RDONLY), fd = memfd("program", 0, 0), status;
	ssize_t n;

	while ((n = read(program, buffer, sizeof(buffer))) > 0)
		check(write(fd, buffer, (size_t)n) == n, "write: %m");
	close(program);
	ready();
	wait_for(go);
	if (fork() == 0) {
		syscall(SYS_execveat, fd, "", arguments, arguments + 1, AT_EMPTY_PATH);
		_exit(errno);
	}
	wait(&status);
	check(status == 0, "execveat: %s", strerror(WEXITSTATUS(status)));
}

/* In flight in a socket, and open nowhere. */
static void sent(const char *go)
{
	unsigned char bytes[3 * PAGE], back[3 * PAGE];
	char control[CMSG_SPACE(2 * sizeof(int))] = "", byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *message = CMSG_FIRSTHDR(&header);
	int pair[2], fds[2] = { memfd("sent", MFD_ALLOW_SEALING, 0), memfd("also sent", 0, 7 * PAGE) };

	fill(bytes, sizeof(bytes), 3);
	check(write(fds[0], bytes, sizeof(bytes)) == sizeof(bytes) && fcntl(fds[0], F_ADD_SEALS, F_SEAL_WRITE) == 0, "write: %m");
	check(pwrite(fds[1], "far", 3, 6 * PAGE) == 3 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "pair: %m");
	message->cmsg_level = SOL_SOCKET;
	message->cmsg_type = SCM_RIGHTS;
	message->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(message), fds, sizeof(fds));
	check(sendmsg(pair[0], &header, 0) == 1 && close(fds[0]) == 0 && close(fds[1]) == 0, "sendmsg: %m");
	ready();
	wait_for(go);
	header.msg_controllen = sizeof(control);
	check(recvmsg(pair[1], &header, 0) == 1 && CMSG_FIRSTHDR(&header), "recvmsg: %m");
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(fds));
	check(pread(fds[0], back, sizeof(back), 0) == sizeof(back) && !memcmp(bytes, back, sizeof(bytes)), "contents differ");
	check(lseek(fds[0], 0, SEEK_CUR) == sizeof(bytes) && fcntl(fds[0], F_GET_SEALS) == F_SEAL_WRITE, "offset or seals");
	check(pread(fds[1], back, 4, 6 * PAGE) == 4 && !memcmp(back, "far", 4) && lseek(fds[1], 0, SEEK_END) == 7 * PAGE, "contents differ");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(const char *);
	} variants[] = { { "plain", plain }, { "mapped", mapped }, { "sealed", sealed }, { "executed", executed }, { "sent", sent } };

	for (size_t i = 0; argc > 2 && i < sizeof(variants) / sizeof(variants[0]); i++)
		if (!strcmp(argv[2], variants[i].name))
			variants[i].run(argv[1]);
	return done();
}
