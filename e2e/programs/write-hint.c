/* How long the contents of a file are to live, F_SET_RW_HINT. argv[3]: "reset" takes the hint away, as a reboot does. */
#include "check.h"
#include <stdint.h>

int main(int argc, char **argv)
{
	char path[4096];
	uint64_t hint = argc > 3 ? 0 : 3;

	snprintf(path, sizeof(path), "%s/file", argv[2]);
	int fd = open(path, O_RDWR | O_CREAT, 0644);
	check(fcntl(fd, 1024 + 12, &hint) == 0, "F_SET_RW_HINT: %m");
	ready();
	wait_for(argv[1]);

	check(fcntl(fd, 1024 + 11, &hint) == 0 && hint == (argc > 3 ? 0 : 3), "the hint is %lu", (unsigned long)hint);
	return done();
}
