/* FIFOs: fifos GO DIR [more]. Named, with contents; with the argument unlinked, and a reader that has met nobody yet. */
#include "check.h"
#include <poll.h>
#include <sys/stat.h>

static int get(int fd, void *to, int size)
{
	int got = read(fd, to, size);

	return got < 0 ? -errno : got;
}

static const char *make(const char *directory, const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	check(mkfifo(path, 0640) == 0, "mkfifo: %m");
	return path;
}

static int hung_up(int fd)
{
	struct pollfd ask = { .fd = fd, .events = POLLIN };

	check(poll(&ask, 1, 0) >= 0, "poll: %m");
	return (ask.revents & POLLHUP) != 0;
}

int main(int argc, char **argv)
{
	char text[64];
	int more = argc > 3;
	const char *path = make(argv[2], "both");
	int reader = open(path, O_RDONLY | O_NONBLOCK), writer = open(path, O_WRONLY | O_APPEND);
	check(fcntl(reader, F_SETFL, 0) == 0 && fcntl(writer, F_SETPIPE_SZ, 8192) == 8192, "both: %m");
	check(write(writer, "0123456789", 10) == 10 && read(reader, text, 4) == 4, "write: %m");
	int readwrite = open(make(argv[2], "one"), O_RDWR);
	check(write(readwrite, "self", 4) == 4, "write: %m");
	path = make(argv[2], "left");
	int left = open(path, O_RDONLY | O_NONBLOCK), gone = open(path, O_WRONLY);
	check(write(gone, "last", 4) == 4 && close(gone) == 0, "left: %m");
	int unmet = -1, unlinked = -1;
	if (more) {
		unmet = open(make(argv[2], "unmet"), O_RDONLY | O_NONBLOCK);
		path = make(argv[2], "unlinked");
		unlinked = open(path, O_RDWR | O_NONBLOCK);
		check(write(unlinked, "ghost", 5) == 5 && unlink(path) == 0, "unlink: %m");
	}
	ready();
	wait_for(argv[1]);

	check((fcntl(reader, F_GETFL) & ~0100000) == O_RDONLY && (fcntl(writer, F_GETFL) & ~0100000) == (O_WRONLY | O_APPEND), "flags differ");
	check(fcntl(reader, F_GETPIPE_SZ) == 8192, "size %d", fcntl(reader, F_GETPIPE_SZ));
	check(get(reader, text, 64) == 6 && !memcmp(text, "456789", 6), "contents");
	check(write(writer, "abc", 3) == 3 && get(reader, text, 64) == 3, "the ends are not connected");
	close(writer);
	check(get(reader, text, 64) == 0, "somebody else writes");
	check(get(readwrite, text, 64) == 4 && !memcmp(text, "self", 4), "contents of the one that is read and written");
	check(hung_up(left) && get(left, text, 64) == 4 && !memcmp(text, "last", 4) && get(left, text, 64) == 0, "what the writer left");
	if (more) {
		check(!hung_up(unmet), "a reader that has met nobody is told so");
		check(get(unlinked, text, 64) == 5 && !memcmp(text, "ghost", 5) && get(unlinked, text, 64) == -EAGAIN, "the unlinked FIFO");
		struct stat st;
		check(fstat(unlinked, &st) == 0 && st.st_nlink == 0, "it has a name");
	}
	return done();
}
