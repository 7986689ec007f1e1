/* AIO contexts (io_setup): argv[2] events were completed, argv[3] of them read; the ring goes on where it was. */
#include "check.h"
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct ring {
	unsigned int id, nr, head, tail, magic, compat, incompat, length;
	struct io_event events[];
};

static int submit(aio_context_t context, int fd, unsigned long data)
{
	static char byte;
	struct iocb request = { .aio_data = data, .aio_fildes = (unsigned int)fd, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_buf = (unsigned long)&byte, .aio_nbytes = 1 };
	struct iocb *list = &request;

	return (int)syscall(SYS_io_submit, context, 1, &list);
}

/* The next event, or 0. */
static unsigned long next(aio_context_t context)
{
	struct io_event event;
	struct timespec none = { 0, 0 };

	return syscall(SYS_io_getevents, context, 0, 1, &event, &none) == 1 ? event.data : 0;
}

int main(int argc, char **argv)
{
	unsigned long completed = argc > 2 ? strtoul(argv[2], NULL, 0) : 0, consumed = argc > 3 ? strtoul(argv[3], NULL, 0) : 0, read = 0;
	aio_context_t context = 0, large = 0, unused = 0;
	int fd = open("/dev/null", O_WRONLY);

	check(syscall(SYS_io_setup, 16, &context) == 0 && syscall(SYS_io_setup, 1000, &large) == 0 && syscall(SYS_io_setup, 1, &unused) == 0, "io_setup: %m");
	volatile struct ring *ring = (struct ring *)context;
	unsigned int nr = ring->nr, head, tail, large_nr = ((struct ring *)large)->nr;
	for (unsigned long i = 1; i <= completed; i++) {
		check(submit(context, fd, i) == 1, "io_submit %lu: %m", i);
		if (read < consumed) {
			++read;
			check(next(context) == read, "event %lu", read);
		}
	}
	check(submit(large, fd, 77) == 1, "io_submit: %m");
	head = ring->head;
	tail = ring->tail;
	/* What is tested here is not to be had by chance. */
	check(tail == completed % nr && head == consumed % nr, "head %u, tail %u", head, tail);
	ready();
	wait_for(argv[1]);
	check(ring->nr == nr && ring->head == head && ring->tail == tail && ((struct ring *)large)->nr == large_nr, "head %u, tail %u of %u, that were %u, %u of %u", ring->head, ring->tail, ring->nr, head, tail, nr);
	/* All that wait, then a whole turn of new ones. */
	for (unsigned long i = read + 1; i <= completed; i++)
		check(next(context) == i, "event %lu is lost", i);
	check(next(context) == 0, "there are more events");
	for (unsigned long i = 1; i <= 2 * nr; i++)
		check(submit(context, fd, 1000 + i) == 1 && next(context) == 1000 + i, "event %lu of a new turn: %m", i);
	check(next(large) == 77 && next(unused) == 0 && submit(unused, fd, 5) == 1 && next(unused) == 5, "other contexts differ");
	/* As many as fit, at once. */
	unsigned long fitting = 0;
	while (fitting < nr && submit(context, fd, 5000 + fitting) == 1)
		fitting++;
	check(fitting >= nr / 2, "only %lu of %u fit", fitting, nr);
	check(syscall(SYS_io_destroy, context) == 0 && syscall(SYS_io_destroy, large) == 0 && syscall(SYS_io_destroy, unused) == 0, "io_destroy: %m");
	return done();
}
