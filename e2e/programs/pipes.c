/*
 * Pipes: pipes GO KIND. Ends, contents, sizes, flags, and what is half closed.
 *   stream   all that CRIU carries as well
 *   packets  packet mode, which it refuses
 *   more     what it loses: owner and permissions, the size for writers without readers, read-write ends
 */
#include "check.h"
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define HUGE (1 << 20)

static char big[1 << 17];

static int reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int again = open(path, flags);
	check(again >= 0, "open %s: %m", path);
	return again;
}

static int move(int fd, int to)
{
	check(dup2(fd, to) == to, "dup2: %m");
	close(fd);
	return to;
}

static ino_t inode(int fd)
{
	struct stat st;

	check(fstat(fd, &st) == 0, "fstat %d: %m", fd);
	return st.st_ino;
}

static int get(int fd, void *to, int size)
{
	int got = read(fd, to, size);

	return got < 0 ? -errno : got;
}

static void stream(const char *go)
{
	int plain[2], full[2], eof[2], broken[2], empty[2], crossed[2], twice[2];
	char text[64];

	/* Half read, larger than usual, one end alone not blocking. */
	check(pipe2(plain, O_CLOEXEC) == 0, "pipe2: %m");
	check(fcntl(plain[0], F_SETFL, O_NONBLOCK) == 0, "F_SETFL: %m");
	check(fcntl(plain[1], F_SETPIPE_SZ, sizeof(big)) == sizeof(big), "F_SETPIPE_SZ: %m");
	check(write(plain[1], "0123456789", 10) == 10 && read(plain[0], text, 4) == 4, "plain: %m");
	/* Not one byte more fits. */
	check(pipe2(full, O_NONBLOCK) == 0, "pipe2: %m");
	for (unsigned i = 0; i < sizeof(big); i++)
		big[i] = i * 7 + i / 251;
	check(write(full[1], big, sizeof(big)) == 65536 && write(full[1], "x", 1) < 0, "full: %m");
	check(pipe(eof) == 0 && write(eof[1], "last", 4) == 4 && close(eof[1]) == 0, "eof: %m");
	check(pipe(broken) == 0 && close(broken[0]) == 0, "broken: %m");
	check(pipe(empty) == 0, "empty: %m");
	/* The read end has the higher number, and there are gaps. */
	check(pipe(crossed) == 0 && write(crossed[1], "crossed", 7) == 7, "crossed: %m");
	crossed[0] = move(crossed[0], 210);
	crossed[1] = move(crossed[1], 200);
	int shared = dup(crossed[0]);
	/* Several descriptions of one end, of different flags. */
	check(pipe(twice) == 0 && write(twice[1], "twice", 5) == 5, "twice: %m");
	int again = reopen(twice[0], O_RDONLY | O_NONBLOCK), append = reopen(twice[1], O_WRONLY | O_APPEND);
	ready();
	wait_for(go);

	check(inode(plain[0]) == inode(plain[1]) && inode(plain[0]) != inode(full[0]), "the ends are of different pipes");
	check(fcntl(plain[0], F_GETFL) == O_NONBLOCK && fcntl(plain[1], F_GETFL) == O_WRONLY, "flags: %o %o", fcntl(plain[0], F_GETFL), fcntl(plain[1], F_GETFL));
	check(fcntl(plain[0], F_GETFD) == FD_CLOEXEC && fcntl(full[0], F_GETFD) == 0, "close-on-exec differs");
	check(fcntl(plain[0], F_GETPIPE_SZ) == sizeof(big), "size %d", fcntl(plain[0], F_GETPIPE_SZ));
	check(get(plain[0], text, 64) == 6 && !memcmp(text, "456789", 6), "contents of the plain pipe");
	check(get(plain[0], text, 64) == -EAGAIN, "O_NONBLOCK is lost");
	check(write(plain[1], "abc", 3) == 3 && get(plain[0], text, 64) == 3 && !memcmp(text, "abc", 3), "the ends are not connected");
	check(write(full[1], "x", 1) < 0 && errno == EAGAIN, "the full pipe takes more");
	static char back[1 << 17];
	check(get(full[0], back, sizeof(back)) == 65536 && !memcmp(back, big, 65536), "contents of the full pipe");
	check(get(eof[0], text, 64) == 4 && !memcmp(text, "last", 4) && get(eof[0], text, 64) == 0, "no end of file");
	signal(SIGPIPE, SIG_IGN);
	check(write(broken[1], "x", 1) < 0 && errno == EPIPE, "somebody reads the broken pipe");
	int waiting = -1;
	check(ioctl(empty[0], FIONREAD, &waiting) == 0 && waiting == 0, "the empty pipe is not");
	check(get(shared, text, 3) == 3 && get(crossed[0], text + 3, 64) == 4 && !memcmp(text, "crossed", 7), "the crossed pipe");
	check(write(crossed[1], "!", 1) == 1 && get(shared, text, 64) == 1, "the crossed ends");
	check((fcntl(again, F_GETFL) & ~0100000) == O_NONBLOCK, "flags of the second reader: %o", fcntl(again, F_GETFL));
	check((fcntl(append, F_GETFL) & ~0100000) == (O_WRONLY | O_APPEND), "flags of the second writer: %o", fcntl(append, F_GETFL));
	check(get(again, text, 2) == 2 && get(twice[0], text + 2, 64) == 3 && !memcmp(text, "twice", 5), "two readers, one pipe");
	close(twice[1]);
	check(write(append, "more", 4) == 4 && get(again, text, 64) == 4 && get(again, text, 64) == -EAGAIN, "the second writer keeps it open");
}

static void packets(const char *go)
{
	int direct[2], mixed[2], left[2], one[2];
	char text[8192];

	check(pipe2(direct, O_DIRECT) == 0, "pipe2: %m");
	check(write(direct[1], "one", 3) == 3 && write(direct[1], "three", 5) == 5 && write(direct[1], big, 5000) == 5000, "write: %m");
	/* A stream before and after packets. One that fits into the page of a stream would become part of it: pipe_write(), fs/pipe.c. */
	check(pipe(mixed) == 0 && write(mixed[1], big, 3990) == 3990 && write(mixed[1], "stream", 6) == 6 && read(mixed[0], text, 3990) == 3990, "mixed: %m");
	check(fcntl(mixed[1], F_SETFL, O_DIRECT) == 0 && write(mixed[1], big, 200) == 200 && write(mixed[1], "qq", 2) == 2, "mixed: %m");
	check(fcntl(mixed[1], F_SETFL, 0) == 0 && write(mixed[1], "tail", 4) == 4, "mixed: %m");
	/* Nothing but the buffers knows that these were packets. */
	check(pipe2(left, O_DIRECT) == 0 && write(left[1], "gone", 4) == 4 && write(left[1], "too", 3) == 3, "left: %m");
	check(fcntl(left[0], F_SETFL, 0) == 0 && close(left[1]) == 0, "left: %m");
	check(pipe2(one, O_DIRECT) == 0 && write(one[1], "1", 1) == 1 && fcntl(one[1], F_SETFL, 0) == 0 && write(one[1], "2", 1) == 1, "one: %m");
	ready();
	wait_for(go);

	check(fcntl(direct[1], F_GETFL) == (O_WRONLY | O_DIRECT), "flags of the writer: %o", fcntl(direct[1], F_GETFL));
	check(get(direct[0], text, 8192) == 3 && get(direct[0], text, 2) == 2, "packets of 3 and 5");
	check(get(direct[0], text, 8192) == 4096 && get(direct[0], text, 8192) == 904, "packets of a page and the rest");
	check(write(direct[1], "a", 1) == 1 && write(direct[1], "b", 1) == 1 && get(direct[0], text, 8) == 1, "packet mode is lost");
	check(get(mixed[0], text, 8192) == 206 && !memcmp(text, "stream", 6), "a read ends with the first packet");
	check(get(mixed[0], text, 8192) == 2 && !memcmp(text, "qq", 2), "the second packet");
	check(write(mixed[1], "!", 1) == 1 && get(mixed[0], text, 8192) == 5 && !memcmp(text, "tail!", 5), "the stream behind");
	check(get(left[0], text, 8192) == 4 && get(left[0], text, 8192) == 3 && get(left[0], text, 8192) == 0, "packets of nobody");
	check(get(one[0], text, 8192) == 1 && get(one[0], text, 8192) == 1, "a packet of one byte");
}

static void more(const char *go)
{
	struct stat st;
	int fds[2], broken[2], both[2], huge[2];
	char text[64];

	check(pipe(fds) == 0 && fchown(fds[0], 1234, 2345) == 0 && fchmod(fds[0], 0640) == 0, "fchown: %m");
	check(pipe(broken) == 0 && fcntl(broken[1], F_SETPIPE_SZ, 4096) == 4096 && close(broken[0]) == 0, "broken: %m");
	/* Read and written through one descriptor, the ends that pipe made are gone; a second that is only a name of it. */
	check(pipe(both) == 0 && write(both[1], "both", 4) == 4, "both: %m");
	int readwrite = reopen(both[0], O_RDWR), name = reopen(both[0], O_PATH);
	close(both[0]);
	close(both[1]);
	/* As large as anybody may have it, and full. */
	check(pipe2(huge, O_NONBLOCK) == 0 && fcntl(huge[1], F_SETPIPE_SZ, HUGE) == HUGE, "F_SETPIPE_SZ: %m");
	for (unsigned i = 0; i < HUGE / sizeof(big); i++) {
		memset(big, 'a' + i, sizeof(big));
		check(write(huge[1], big, sizeof(big)) == sizeof(big), "write: %m");
	}
	ready();
	wait_for(go);
	check(fcntl(huge[0], F_GETPIPE_SZ) == HUGE && write(huge[1], "x", 1) < 0 && errno == EAGAIN, "the huge pipe takes more");
	for (unsigned i = 0; i < HUGE; i += sizeof(big)) {
		char want = (char)('a' + i / sizeof(big));
		check(get(huge[0], big, sizeof(big)) == sizeof(big) && big[0] == want && !memcmp(big, big + 1, sizeof(big) - 1), "contents of the huge pipe at %u", i);
	}
	check(get(huge[0], text, 1) == -EAGAIN, "more in the huge pipe");
	check(fcntl(broken[1], F_GETPIPE_SZ) == 4096, "size of the broken pipe");
	check((fcntl(readwrite, F_GETFL) & O_ACCMODE) == O_RDWR, "access mode of both ends in one");
	check(get(readwrite, text, 64) == 4 && !memcmp(text, "both", 4), "contents of both ends in one");
	check(write(readwrite, "to me", 5) == 5 && get(readwrite, text, 64) == 5, "writing to oneself");
	check(fcntl(name, F_GETFL) == O_PATH && inode(name) == inode(readwrite), "O_PATH of the same pipe");
	check(fstat(fds[1], &st) == 0 && st.st_uid == 1234 && st.st_gid == 2345 && st.st_mode == (S_IFIFO | 0640), "owner %d:%d %o", st.st_uid, st.st_gid, st.st_mode);
}

int main(int argc, char **argv)
{
	(void)argc;
	if (!strcmp(argv[2], "stream"))
		stream(argv[1]);
	if (!strcmp(argv[2], "packets"))
		packets(argv[1]);
	if (!strcmp(argv[2], "more"))
		more(argv[1]);
	return done();
}
