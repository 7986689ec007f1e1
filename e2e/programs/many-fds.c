/*
 * Tables of descriptors: argv[3] is sparse (low numbers and some near the limit), full (every number up to the limit but a few), or a count of descriptors.
 * Every descriptor has an offset of its own. With argv[4] the limit is so much lower than it could be.
 */
#include "check.h"
#include <sys/resource.h>

int main(int argc, char **argv)
{
	struct rlimit limit;
	char path[4096];
	static char kept[1 << 20];

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_max -= argc > 4 ? atoi(argv[4]) : 0;
	limit.rlim_cur = limit.rlim_max;
	check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit: %m");
	int max = (int)limit.rlim_max, sparse = !strcmp(argv[3], "sparse"), wanted = !strcmp(argv[3], "full") ? max : atoi(argv[3]);
	snprintf(path, sizeof(path), "%s/file", argv[2]);
	int fd = open(path, O_RDWR | O_CREAT, 0644);
	check(ftruncate(fd, max) == 0, "ftruncate: %m");
	for (int i = 3; i < max; i++) {
		int far = i > max - 3 || i == max / 2 || i == 255 || i == 256 || i == 1023;
		if (sparse ? !far : i >= wanted || i == max - 20 || (wanted == max && i > max - 18 && i < max - 10))
			continue;
		if (i != fd && i % 3 == 0)
			check(dup2(fd, i) == i, "dup2 %d: %m", i);
		else if (i != fd) {
			int own = open(path, O_RDONLY);
			check(own >= 0 && lseek(own, i, SEEK_SET) == i, "open: %m");
			if (own != i)
				check(dup2(own, i) == i && close(own) == 0, "dup2 %d: %m", i);
		}
		kept[i] = 1;
	}
	if (!kept[fd])
		close(fd);
	ready();
	wait_for(argv[1]);

	for (int i = 3; i < max; i++) {
		off_t at = lseek(i, 0, SEEK_CUR);
		off_t right = !kept[i] ? -1 : i == fd || i % 3 == 0 ? 0 : i;
		if (at != right)
			fail("fd %d is at %ld, not %ld", i, (long)at, (long)right);
	}
	check(getrlimit(RLIMIT_NOFILE, &limit) == 0 && (int)limit.rlim_cur == max, "the limit is %ld", (long)limit.rlim_cur);
	return done();
}
