/* Holds an event counter, which crts itself refuses and the example plugin carries. */
#include "check.h"
#include <stdint.h>
#include <sys/eventfd.h>

int main(int argc, char **argv)
{
	uint64_t start = 0x123456789abcull, value = 0;
	int fd = eventfd(0, EFD_NONBLOCK);

	(void)argc;
	check(write(fd, &start, 8) == 8, "write: %m");
	ready();
	wait_for(argv[1]);
	check(read(fd, &value, 8) == 8 && value == start, "the counter is %llx", (unsigned long long)value);
	check(read(fd, &value, 8) == -1 && errno == EAGAIN, "O_NONBLOCK is lost: %m");
	return done();
}
