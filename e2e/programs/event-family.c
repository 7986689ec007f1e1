/* Pipes, counters, epolls and pidfds between a parent, a child, and a child that is dead already: event-family GO [more]. */
#include "check.h"
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int down[2], up[2], private_end[2], shared, target, more;

static void add(int epoll, int fd, uint64_t data)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = data };

	check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "add %d: %m", fd);
}

static uint64_t ready_one(int epoll, int timeout)
{
	struct epoll_event event = { 0 };

	return epoll_wait(epoll, &event, 1, timeout) == 1 ? event.data.u64 : 0;
}

static int alive(int pidfd)
{
	return syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0;
}

static int text_is(int fd, const char *want)
{
	char text[64];
	int length = read(fd, text, sizeof(text));

	return length == (int)strlen(want) && memcmp(text, want, length) == 0;
}

static int child(const char *go)
{
	int epoll = epoll_create1(0), parent = syscall(SYS_pidfd_open, getppid(), 0), number = target;
	char byte;

	close(down[1]);
	close(up[0]);
	close(private_end[1]);
	add(epoll, down[0], 1);
	if (more) {
		/* Watched here, open only in the parent, and its number is another's here. */
		add(epoll, target, 2);
		check(dup2(shared, number) == number, "dup2: %m");
	}
	check(write(up[1], "ready", 5) == 5, "write: %m");
	wait_for(go);

	check(alive(parent), "the parent is gone");
	check(text_is(down[0], "down, in flight"), "what was on its way down");
	check(ready_one(epoll, 0) == 0, "something is ready");
	check(write(up[1], "first", 5) == 5, "write: %m");
	/* The parent makes ready what it alone has. */
	if (more)
		check(ready_one(epoll, 30000) == 2, "the counter of the parent");
	check(read(down[0], &byte, 1) == 1 && byte == 'x', "a byte from the parent");
	check(read(down[0], &byte, 1) == 0, "no end of file: somebody else writes");
	check(write(shared, &(uint64_t){ 5 }, 8) == 8, "write: %m");
	check(read(private_end[0], &byte, 1) == 1 && byte == 'p' && read(private_end[0], &byte, 1) == 0, "the end that the parent has not");
	fflush(stdout);
	return failures;
}

int main(int argc, char **argv)
{
	char text[64];
	int status;

	more = argc > 2;
	check(pipe(down) == 0 && pipe(up) == 0 && pipe(private_end) == 0, "pipe: %m");
	shared = eventfd(3, EFD_NONBLOCK);
	target = eventfd(0, 0);
	int epoll = epoll_create1(0);
	add(epoll, up[0], 1);
	int pid = fork();
	if (pid == 0)
		_exit(child(argv[1]));
	close(down[0]);
	close(up[1]);
	close(private_end[0]);
	int pidfd = syscall(SYS_pidfd_open, pid, 0), dead = fork();
	if (dead == 0)
		_exit(7);
	siginfo_t info;
	int zombie = syscall(SYS_pidfd_open, dead, 0);
	check(waitid(P_PID, dead, &info, WEXITED | WNOWAIT) == 0, "waitid: %m");
	check(read(up[0], text, 64) == 5, "read: %m");
	check(write(down[1], "down, in flight", 15) == 15 && write(private_end[1], "p", 1) == 1, "write: %m");
	close(private_end[1]);
	ready();
	wait_for(argv[1]);

	check(alive(pidfd), "the child is gone");
	check(ready_one(epoll, 30000) == 1 && text_is(up[0], "first"), "the first word of the child");
	if (more)
		check(write(target, &(uint64_t){ 1 }, 8) == 8, "write: %m");
	check(write(down[1], "x", 1) == 1 && close(down[1]) == 0, "write: %m");
	check(waitid(P_PIDFD, pidfd, &info, WEXITED) == 0 && info.si_status == 0, "the child says %d", info.si_status);
	uint64_t count = 0;
	check(read(shared, &count, 8) == 8 && count == 8, "the shared counter is %llu", (unsigned long long)count);
	check(read(up[0], text, 64) == 0, "no end of file: somebody else writes");
	check(waitpid(dead, &status, 0) == dead && WIFEXITED(status) && WEXITSTATUS(status) == 7, "the dead child");
	check(!alive(zombie), "the dead child lives");
	return done();
}
