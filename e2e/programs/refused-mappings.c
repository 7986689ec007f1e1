/* Maps what crts refuses (argv[2]), and goes on unharmed. No descriptor is left of it. */
#include "check.h"
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PAGE 4096ul
#define RW (PROT_READ | PROT_WRITE)

static __attribute__((noinline, noclone)) int probed(int number)
{
	return number * 3 + 1;
}

/* Sets a uprobe on probed(), meets it, and removes it. What the kernel has mapped for it stays. 0: there are no uprobes. */
static int meet_probe(void)
{
	unsigned long at = (unsigned long)probed, start, end, offset, found = 0;
	unsigned int type = 0;
	char path[512] = "", line[512];
	struct perf_event_attr event = { .size = sizeof(event) };
	volatile int number;
	int fd;
	FILE *file = fopen("/sys/bus/event_source/devices/uprobe/type", "r");

	if (file == NULL || fscanf(file, "%u", &type) != 1)
		return 0;
	fclose(file);
	file = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &offset) == 3 && start <= at && at < end)
			found = at - start + offset;
	fclose(file);
	check(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0, "readlink: %m");
	event.type = type;
	event.config1 = (unsigned long)path;
	event.config2 = found;
	fd = (int)syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);
	if (fd < 0)
		return 0;
	number = probed(getpid());
	close(fd);
	return number != 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";
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
	if (!strcmp(what, "inherited-aio")) {
		unsigned long context = 0;
		int none[2];
		char byte;

		check(syscall(SYS_io_setup, 4, &context) == 0 && pipe(none) == 0, "io_setup: %m");
		if (fork() == 0) {
			/* As long as the parent lives. */
			close(none[1]);
			_exit(read(none[0], &byte, 1) != 0);
		}
	}
	if (!strcmp(what, "io_uring")) {
		struct io_uring_params params = { 0 };
		int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

		at = mmap(NULL, PAGE, RW, MAP_SHARED, fd, IORING_OFF_SQ_RING);
		close(fd);
	}
	if (!strcmp(what, "userfaultfd")) {
		struct uffdio_api api = { .api = UFFD_API };
		struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
		int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

		at = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		range.range.start = (unsigned long)at;
		range.range.len = PAGE;
		check(ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &range) == 0, "userfaultfd: %m");
	}
	if (!strcmp(what, "uprobes") && !meet_probe()) {
		printf("none\n");
		ready();
		return done();
	}
	if (!strcmp(what, "perf_event")) {
		struct perf_event_attr event = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(event), .config = PERF_COUNT_SW_DUMMY };
		int fd = (int)syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);

		at = fd < 0 ? MAP_FAILED : mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
		close(fd);
		if (at == MAP_FAILED) {
			printf("none\n");
			ready();
			return done();
		}
	}
	check(at != MAP_FAILED, "%s: %m", what);
	ready();
	wait_for(argv[1]);
	return done();
}
