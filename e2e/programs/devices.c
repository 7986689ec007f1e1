/* Devices by name. argv[3]: all, or the path of one that is only opened. */
#include "check.h"
#include <sys/stat.h>

static int is(int fd, int major, int minor)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == (dev_t)(major << 8 | minor);
}

int main(int argc, char **argv)
{
	char text[16];

	(void)argc;
	if (strcmp(argv[3], "all")) {
		int fd = open(argv[3], O_RDWR);
		struct stat st;
		check(fstat(fd, &st) == 0, "open %s: %m", argv[3]);
		ready();
		wait_for(argv[1]);
		check(is(fd, (int)(st.st_rdev >> 8), (int)(st.st_rdev & 255)), "it is another device");
		return done();
	}
	int null = open("/dev/null", O_RDWR | O_NONBLOCK), zero = open("/dev/zero", O_RDONLY), full = open("/dev/full", O_WRONLY);
	int random = open("/dev/random", O_RDONLY), urandom = open("/dev/urandom", O_RDWR | O_APPEND), kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	ready();
	wait_for(argv[1]);

	check(is(null, 1, 3) && is(zero, 1, 5) && is(full, 1, 7) && is(random, 1, 8) && is(urandom, 1, 9) && is(kmsg, 1, 11), "other devices");
	check((fcntl(null, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == (O_RDWR | O_NONBLOCK) && fcntl(urandom, F_GETFL) & O_APPEND, "flags");
	check(fcntl(kmsg, F_GETFD) == FD_CLOEXEC && (fcntl(kmsg, F_GETFL) & O_ACCMODE) == O_WRONLY, "flags of kmsg");
	check(write(null, "x", 1) == 1 && write(full, "x", 1) == -1 && errno == ENOSPC, "null and full");
	check(read(zero, text, 8) == 8 && read(random, text, 8) == 8 && read(urandom, text, 8) == 8, "zero and random");
	return done();
}
