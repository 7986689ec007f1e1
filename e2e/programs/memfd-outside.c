/* A memfd that the restore gets from its caller: memfd-outside GO. */
#include "check.h"
#include <sys/mman.h>

int main(int argc, char **argv)
{
	char text[16];
	int fd = memfd_create("box", 0);

	(void)argc;
	check(fd >= 0 && write(fd, "mine", 4) == 4, "memfd: %m");
	ready();
	wait_for(argv[1]);
	check(read(fd, text, sizeof(text)) == 6 && !memcmp(text, "theirs", 6), "it is not what was handed back");
	return done();
}
