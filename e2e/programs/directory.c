/* Half of a directory is read before the dump, the other half after it: each name comes exactly once. */
#include "check.h"
#include <dirent.h>
#include <sys/stat.h>

#define FILES 600

int main(int argc, char **argv)
{
	static unsigned char seen[FILES];
	char path[4096];
	int number, count = 0;

	(void)argc;
	snprintf(path, sizeof(path), "%s/many", argv[2]);
	mkdir(path, 0700);
	for (int i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s/many/%d", argv[2], i);
		close(open(path, O_WRONLY | O_CREAT, 0600));
	}
	snprintf(path, sizeof(path), "%s/many", argv[2]);
	DIR *list = opendir(path);
	for (struct dirent *entry; (entry = readdir(list));) {
		if (sscanf(entry->d_name, "%d", &number) == 1)
			seen[number]++;
		if (++count == FILES / 2) {
			ready();
			wait_for(argv[1]);
		}
	}
	for (int i = 0; i < FILES; i++)
		check(seen[i] == 1, "file %d was seen %d times", i, seen[i]);
	return done();
}
