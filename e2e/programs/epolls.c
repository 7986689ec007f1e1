/* epoll: epolls GO [more]. Without the argument what CRIU carries as well. */
#include "check.h"
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

static void add(int epoll, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "add %d: %m", fd);
}

static void modify(int epoll, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	check(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) == 0, "modify %d: %m", fd);
}

/* What is ready, as one text: "DATA:EVENTS ..." in the order of data. */
static const char *ready_of(int epoll)
{
	static char text[512];
	struct epoll_event events[32];
	int count = epoll_wait(epoll, events, 32, 0), length = 0;

	check(count >= 0, "epoll_wait: %m");
	for (int i = 0; i < count; i++)
		for (int j = i + 1; j < count; j++)
			if (events[j].data.u64 < events[i].data.u64) {
				struct epoll_event swap = events[i];
				events[i] = events[j];
				events[j] = swap;
			}
	text[0] = 0;
	for (int i = 0; i < count; i++)
		length += snprintf(text + length, sizeof(text) - length, "%s%llx:%x", i ? " " : "", (unsigned long long)events[i].data.u64, events[i].events);
	return text;
}

static void expect(int epoll, const char *want, const char *what)
{
	const char *got = ready_of(epoll);

	check(strcmp(got, want) == 0, "%s: ready is \"%s\", not \"%s\"", what, got, want);
}

static void put(int fd, uint64_t value)
{
	check(write(fd, &value, 8) == 8, "write %d: %m", fd);
}

static void take(int fd)
{
	uint64_t value;

	check(read(fd, &value, 8) == 8, "read %d: %m", fd);
}

static void number_is(int fd, int to)
{
	check(dup2(fd, to) == to && close(fd) == 0, "dup2: %m");
}

int main(int argc, char **argv)
{
	int ends[2], more = argc > 2;
	int epoll = epoll_create1(EPOLL_CLOEXEC), other = epoll_create1(0), outer = epoll_create1(0);
	int set = eventfd(1, 0), clear = eventfd(0, 0), twice = eventfd(0, 0), again = dup(twice);
	int edge = eventfd(0, 0), once = eventfd(0, 0), exclusive = eventfd(1, 0);

	check(fcntl(other, F_SETFL, O_NONBLOCK) == 0, "F_SETFL: %m");
	check(pipe(ends) == 0, "pipe: %m");
	add(epoll, set, EPOLLIN, 0x1);
	add(epoll, clear, EPOLLIN, 0xfedcba9876543210);
	add(epoll, twice, EPOLLIN, 0x3);
	add(epoll, again, EPOLLIN | EPOLLPRI, 0x4);
	add(epoll, ends[0], EPOLLIN | EPOLLRDHUP, 0x5);
	add(epoll, ends[1], EPOLLOUT, 0x6);
	add(other, edge, EPOLLIN | EPOLLET, 0x7);
	add(other, once, EPOLLIN | EPOLLONESHOT, 0x8);
	add(other, exclusive, EPOLLIN | EPOLLEXCLUSIVE, 0x9);
	add(outer, epoll, EPOLLIN, 0xa);
	add(outer, other, EPOLLIN | EPOLLWAKEUP, 0xb);
	expect(outer, "a:1 b:1", "before");
	int deep = epoll_create1(0);
	add(deep, outer, EPOLLIN, 0xd);

	int moved = -1, idle = -1, fired = -1, high = -1, lost = -1;
	if (more) {
		/* Registered under a number that is another's now; one under a number above all others, closed; one of two. */
		int number = eventfd(0, 0), shadow = eventfd(0, 0);
		add(epoll, number, EPOLLIN, 0x10);
		moved = dup(number);
		number_is(shadow, number);
		add(epoll, number, EPOLLIN, 0x11);
		lost = number;
		high = eventfd(0, 0);
		check(dup2(high, 700) == 700, "dup2: %m");
		add(epoll, 700, EPOLLIN, 0x12);
		close(700);
		/* One-shots that have fired: what is ready must not be told again before it is armed. */
		fired = eventfd(1, 0);
		idle = eventfd(1, 0);
		add(other, fired, EPOLLIN | EPOLLONESHOT, 0x13);
		add(other, idle, EPOLLIN | EPOLLOUT | EPOLLONESHOT | EPOLLET, 0x14);
		expect(other, "9:1 13:1 14:5", "one-shots");
	}
	ready();
	wait_for(argv[1]);

	check(fcntl(epoll, F_GETFD) == FD_CLOEXEC && fcntl(other, F_GETFL) == (O_RDWR | O_NONBLOCK), "flags differ");
	expect(deep, "d:1", "three deep");
	expect(outer, "a:1 b:1", "the outer epoll");
	expect(epoll, "1:1 6:4", "level triggered");
	expect(epoll, "1:1 6:4", "level triggered, again");
	put(twice, 1);
	put(clear, 1);
	check(write(ends[1], "x", 1) == 1, "write: %m");
	expect(epoll, "1:1 3:1 4:1 5:1 6:4 fedcba9876543210:1", "all");
	take(again);
	take(clear);
	take(set);
	close(ends[1]);
	expect(epoll, "5:11", "the writer is gone");
	close(ends[0]);
	expect(epoll, "", "nothing");
	expect(other, "9:1", "an event for one");
	put(edge, 1);
	expect(other, "7:1 9:1", "an edge");
	expect(other, "9:1", "no edge any more");
	put(edge, 1);
	put(once, 1);
	expect(other, "7:1 8:1 9:1", "an edge and a shot");
	expect(other, "9:1", "neither any more");
	modify(other, once, EPOLLIN | EPOLLONESHOT, 0xc);
	expect(other, "9:1 c:1", "armed again");
	struct epoll_event none = { .events = EPOLLIN };
	check(epoll_ctl(other, EPOLL_CTL_MOD, exclusive, &none) < 0 && errno == EINVAL, "EPOLLEXCLUSIVE is lost");
	if (more) {
		put(moved, 1);
		expect(epoll, "10:1", "one whose number is another's");
		put(lost, 1);
		expect(epoll, "10:1 11:1", "the one that has the number");
		put(high, 1);
		expect(epoll, "10:1 11:1 12:1", "one whose number is closed");
		/* As the kernel has it: by file and number. */
		check(epoll_ctl(epoll, EPOLL_CTL_DEL, moved, NULL) < 0 && errno == ENOENT, "it is known by another number");
		check(dup2(high, 700) == 700 && epoll_ctl(epoll, EPOLL_CTL_DEL, 700, NULL) == 0, "its number is not 700: %m");
		expect(epoll, "10:1 11:1", "without it");
		expect(other, "9:1", "one-shots that had fired");
		modify(other, fired, EPOLLIN | EPOLLONESHOT, 0x15);
		modify(other, idle, EPOLLIN | EPOLLONESHOT, 0x16);
		expect(other, "9:1 15:1 16:1", "armed by the program");
	}
	return done();
}
