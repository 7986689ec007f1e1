/* Event counters: eventfds GO [more]. Without the argument what CRIU carries as well. */
#include "check.h"
#include <stdint.h>
#include <sys/eventfd.h>

static uint64_t take(int fd)
{
	uint64_t value = 0;

	return read(fd, &value, 8) == 8 ? value : 0;
}

static void add(int fd, uint64_t value)
{
	check(write(fd, &value, 8) == 8, "write %d: %m", fd);
}

int main(int argc, char **argv)
{
	int plain = eventfd(5, EFD_NONBLOCK | EFD_CLOEXEC), zero = eventfd(0, EFD_NONBLOCK), waits = eventfd(1, 0);
	int shared = dup(plain), large = -1, semaphore = -1;

	if (argc > 2) {
		large = eventfd(0, EFD_NONBLOCK);
		add(large, UINT64_MAX - 1);
		semaphore = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
	}
	ready();
	wait_for(argv[1]);

	check(fcntl(plain, F_GETFL) == (O_RDWR | O_NONBLOCK) && fcntl(waits, F_GETFL) == O_RDWR, "flags differ");
	check(fcntl(plain, F_GETFD) == FD_CLOEXEC && fcntl(shared, F_GETFD) == 0, "close-on-exec differs");
	add(shared, 2);
	check(take(plain) == 7 && take(shared) == 0 && errno == EAGAIN, "the counter of 5");
	check(take(zero) == 0 && errno == EAGAIN, "the counter of 0");
	check(take(waits) == 1, "the counter of 1");
	uint64_t one = 1;
	if (argc > 2) {
		check(write(large, &one, 8) < 0 && errno == EAGAIN && take(large) == UINT64_MAX - 1, "the counter at its end");
		check(take(semaphore) == 1 && take(semaphore) == 1 && take(semaphore) == 1 && take(semaphore) == 0, "the semaphore of 3");
	}
	return done();
}
