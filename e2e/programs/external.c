/* Two descriptions of a file that somebody else hands back: offset, flags, access. */
#include "check.h"

int main(int argc, char **argv)
{
	char text[32];
	int fd = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0640), append = open(argv[2], O_WRONLY | O_APPEND | O_NONBLOCK);

	(void)argc;
	check(write(fd, "0123456789", 10) == 10 && lseek(fd, 4, SEEK_SET) == 4, "write: %m");
	ready();
	wait_for(argv[1]);
	check(read(fd, text, 3) == 3 && !memcmp(text, "456", 3), "the offset is lost: %.3s", text);
	check(lseek(append, 0, SEEK_CUR) == 0 && write(append, "X", 1) == 1, "write: %m");
	check(pread(fd, text, 32, 0) == 11 && text[10] == 'X', "they are two files");
	check((fcntl(append, F_GETFL) & (O_APPEND | O_NONBLOCK | O_ACCMODE)) == (O_APPEND | O_NONBLOCK | O_WRONLY), "flags 0%o", fcntl(append, F_GETFL));
	check((fcntl(fd, F_GETFL) & (O_APPEND | O_ACCMODE)) == O_RDWR, "flags 0%o", fcntl(fd, F_GETFL));
	return done();
}
