/* Runs argv[1] with descriptors 0, 1 and 2 only: the shells and tools around a test leak others into it. */
#define _GNU_SOURCE
#include <unistd.h>

int main(int argc, char **argv)
{
	(void)argc;
	close_range(3, ~0U, 0);
	execvp(argv[1], argv + 1);
	return 127;
}
