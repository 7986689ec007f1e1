/*
 * An epoll that is open nowhere and waits in the socket that it watches: epoll-in-flight GO. With argv[2] = targets: epolls
 * whose targets wait in a socket, open nowhere, one of them under a number that another file has now.
 */
#include "check.h"
#include <sys/epoll.h>
#include <sys/socket.h>

static void put(int socket, const int *fds, int count)
{
	char control[CMSG_SPACE(4 * sizeof(int))] = "", byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *message = CMSG_FIRSTHDR(&header);

	message->cmsg_level = SOL_SOCKET;
	message->cmsg_type = SCM_RIGHTS;
	message->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(message), fds, count * sizeof(int));
	check(sendmsg(socket, &header, 0) == 1, "sendmsg: %m");
}

static void take(int socket, int *fds, int count, int flags)
{
	char control[CMSG_SPACE(4 * sizeof(int))] = "", byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };

	check(recvmsg(socket, &header, flags) == 1 && CMSG_FIRSTHDR(&header), "recvmsg: %m");
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&header)), count * sizeof(int));
}

static void watch(int epoll, int fd, unsigned events, unsigned long data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	check(!epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl %d: %m", fd);
}

static void told(int epoll, unsigned events, unsigned long data, const char *what)
{
	struct epoll_event event[2];
	int count = epoll_wait(epoll, event, 2, 0);

	if (events == 0)
		check(count == 0, "%s: %d events", what, count);
	else
		check(count == 1 && event->events == events && event->data.u64 == data, "%s: %d events, %x of %lx", what, count, event->events, (long)event->data.u64);
}

static int targets(const char *go)
{
	int pair[2], first[2], second[2], third[2], got[4], epoll = epoll_create1(0), other = epoll_create1(0);

	check(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair) && !pipe(first) && !pipe(second) && !pipe(third), "pipe: %m");
	watch(epoll, first[0], EPOLLIN, 0x111);
	watch(epoll, second[0], EPOLLIN | EPOLLONESHOT, 0x222);
	watch(other, third[0], EPOLLIN | EPOLLET, 0x333);
	check(write(second[1], "x", 1) == 1, "write: %m");
	told(epoll, EPOLLIN, 0x222, "one-shot");
	int inside[] = { first[0], second[0], third[0], other };
	put(pair[0], inside, 4);
	check(dup2(pair[0], first[0]) == first[0], "dup2: %m");
	close(second[0]);
	close(third[0]);
	close(other);
	ready();
	wait_for(go);
	told(epoll, 0, 0, "a one-shot that has fired");
	check(write(first[1], "y", 1) == 1 && write(third[1], "z", 1) == 1, "write: %m");
	told(epoll, EPOLLIN, 0x111, "a target in flight");
	take(pair[1], got, 4, 0);
	told(got[3], EPOLLIN, 0x333, "an epoll in flight with its target");
	told(got[3], 0, 0, "an edge that was told");
	char byte;
	check(read(got[0], &byte, 1) == 1 && byte == 'y' && read(got[1], &byte, 1) == 1 && byte == 'x', "the pipes: %m");
	told(epoll, 0, 0, "what was read");
	/* Registered under the number that it had, for its file. */
	check(write(first[1], "y", 1) == 1, "write: %m");
	told(epoll, EPOLLIN, 0x111, "a target that was in flight");
	return done();
}

int main(int argc, char **argv)
{
	struct epoll_event event;
	int pair[2], quiet[2], epoll;
	char byte;

	if (argc > 2)
		return targets(argv[1]);
	epoll = epoll_create1(0);
	check(!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) && !pipe(quiet), "socketpair: %m");
	watch(epoll, pair[1], EPOLLIN, 0x123456789abcul);
	watch(epoll, quiet[0], EPOLLIN, 0x123456789abcul);
	put(pair[0], &epoll, 1);
	close(epoll);
	ready();
	wait_for(argv[1]);
	take(pair[1], &epoll, 1, MSG_PEEK);
	event.data.u64 = 0;
	told(epoll, EPOLLIN, 0x123456789abcul, "the socket that brings it");
	check(read(pair[1], &byte, 1) == 1 && epoll_wait(epoll, &event, 1, 0) == 0, "an event too many");
	check(write(quiet[1], "x", 1) == 1 && epoll_wait(epoll, &event, 1, 0) == 1, "the pipe is not watched");
	return done();
}
