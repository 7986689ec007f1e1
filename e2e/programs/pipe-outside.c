/* One end of a pipe whose other end a process outside has: pipe-outside GO PATH read|write. */
#include "check.h"

int main(int argc, char **argv)
{
	char text[16];

	(void)argc;
	int reads = !strcmp(argv[3], "read"), fd = open(argv[2], (reads ? O_RDONLY : O_WRONLY) | O_APPEND);
	check(fd >= 0, "open %s: %m", argv[2]);
	ready();
	wait_for(argv[1]);
	check((fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND)) == ((reads ? O_RDONLY : O_WRONLY) | O_APPEND), "flags: %o", fcntl(fd, F_GETFL));
	if (reads)
		check(read(fd, text, sizeof(text)) == 5 && !memcmp(text, "hello", 5), "nothing to read");
	else
		check(write(fd, "world", 5) == 5, "write: %m");
	return done();
}
