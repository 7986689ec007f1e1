/* Has a copy of a program open for reading: open-file GO FILE SOURCE. */
#include "check.h"
#include <sys/sendfile.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
	char head[4];
	struct stat st;
	int source = open(argv[3], O_RDONLY), copy = open(argv[2], O_WRONLY | O_CREAT, 0755);

	(void)argc;
	check(!fstat(source, &st) && sendfile(copy, source, NULL, (size_t)st.st_size) == st.st_size && !fchmod(copy, 0755), "copy: %m");
	close(source);
	close(copy);
	int fd = open(argv[2], O_RDONLY);
	check(fd >= 0, "open %s: %m", argv[2]);
	ready();
	wait_for(argv[1]);
	check(pread(fd, head, 4, 0) == 4 && !memcmp(head, "\177ELF", 4), "it is another file");
	return done();
}
