/* program READY MIB: dirties MIB mebibytes with noise (nothing that could be skipped or packed), says so, and rests. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	/* What a CI runner left open is none of the program's. */
	close_range(3, ~0U, 0);
	size_t words = strtoul(argv[2], NULL, 10) << 17;
	unsigned long noise = 88172645463325252ul;

	if (words > 0) {
		unsigned long *memory = mmap(NULL, words * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			return 3;
		for (size_t i = 0; i < words; i++) {
			noise ^= noise << 13;
			noise ^= noise >> 7;
			noise ^= noise << 17;
			memory[i] = noise;
		}
	}
	int ready = open(argv[1], O_WRONLY | O_CREAT, 0600);
	if (ready < 0)
		return 4;
	close(ready);
	for (;;)
		pause();
}
