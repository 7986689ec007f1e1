/* A file that is mapped, shared and private, and no longer open: mapped-outside GO FILE. */
#include "check.h"
#include <sys/mman.h>

int main(int argc, char **argv)
{
	int fd = open(argv[2], O_RDWR | O_CREAT, 0600);

	(void)argc;
	check(fd >= 0 && write(fd, "its own", 7) == 7 && ftruncate(fd, 8192) == 0, "write: %m");
	char *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4096);
	check(shared != MAP_FAILED && private != MAP_FAILED, "mmap: %m");
	strcpy(private, "kept");
	close(fd);
	ready();
	wait_for(argv[1]);
	check(!memcmp(shared, "handed", 6), "the mapping is not of what was handed back");
	check(!strcmp(private, "kept"), "the private page is lost");
	memcpy(shared + 8, "written", 7);
	return done();
}
