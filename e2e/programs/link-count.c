/* link-count GO DIR: looks all the time how many names its file has, whose own name is gone and which has another. */
#include "check.h"
#include <sys/stat.h>

int main(int argc, char **argv)
{
	char first[4096], second[4096];
	int fd, most = 0;

	(void)argc;
	snprintf(first, sizeof(first), "%s/first", argv[2]);
	snprintf(second, sizeof(second), "%s/second", argv[2]);
	fd = open(first, O_CREAT | O_RDWR, 0600);
	check(fd >= 0 && link(first, second) == 0 && unlink(first) == 0, "%s: %m", first);
	ready();
	while (access(argv[1], F_OK) != 0)
		for (int look = 0; look < 1000; look++) {
			struct stat file;

			check(fstat(fd, &file) == 0, "fstat: %m");
			if ((int)file.st_nlink > most)
				most = (int)file.st_nlink;
		}
	check(most == 1, "the file had %d names", most);
	return done();
}
