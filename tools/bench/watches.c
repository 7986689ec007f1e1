/* watches READY DIRECTORY COUNT: makes COUNT directories below DIRECTORY, watches each with one inotify, says so, and rests. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	close_range(3, ~0U, 0);
	int count = atoi(argv[3]), inotify = inotify_init1(0);
	char path[4200];

	mkdir(argv[2], 0700);
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%d", argv[2], i);
		mkdir(path, 0700);
		if (inotify_add_watch(inotify, path, IN_CREATE | IN_DELETE | IN_MOVED_TO) < 0)
			return 3;
	}
	int ready = open(argv[1], O_WRONLY | O_CREAT, 0600);
	if (ready < 0)
		return 4;
	close(ready);
	for (;;)
		pause();
}
