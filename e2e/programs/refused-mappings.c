/* Maps what crts refuses (argv[2]), and goes on unharmed. No descriptor is left of it. */
#include "check.h"
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PAGE 4096ul
#define RW (PROT_READ | PROT_WRITE)

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";
	aio_context_t context = 0;
	char *at = NULL;

	if (!strcmp(what, "secretmem")) {
		/* The kernel may have it switched off (secretmem.enable): then there is nothing to refuse. */
		int fd = (int)syscall(447 /* memfd_secret */, 0);

		if (fd < 0) {
			printf("none\n");
			ready();
			return done();
		}
		check(ftruncate(fd, PAGE) == 0, "ftruncate: %m");
		at = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
		close(fd);
	}
	if (!strcmp(what, "aio"))
		check(syscall(SYS_io_setup, 4, &context) == 0, "io_setup: %m");
	if (!strcmp(what, "io_uring")) {
		struct io_uring_params params = { 0 };
		int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

		at = mmap(NULL, PAGE, RW, MAP_SHARED, fd, IORING_OFF_SQ_RING);
		close(fd);
	}
	check(at != MAP_FAILED, "%s: %m", what);
	ready();
	wait_for(argv[1]);
	return done();
}
