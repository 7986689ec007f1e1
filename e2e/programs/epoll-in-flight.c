/* An epoll that is open nowhere and waits in the socket that it watches: epoll-in-flight GO. */
#include "check.h"
#include <sys/epoll.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 0x123456789abcull };
	int pair[2], quiet[2], epoll = epoll_create1(0);

	(void)argc;
	check(!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) && !pipe(quiet), "socketpair: %m");
	check(!epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], &event) && !epoll_ctl(epoll, EPOLL_CTL_ADD, quiet[0], &event), "epoll_ctl: %m");
	struct cmsghdr *message = CMSG_FIRSTHDR(&header);
	message->cmsg_level = SOL_SOCKET;
	message->cmsg_type = SCM_RIGHTS;
	message->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(message), &epoll, sizeof(int));
	check(sendmsg(pair[0], &header, 0) == 1, "sendmsg: %m");
	close(epoll);
	ready();
	wait_for(argv[1]);
	check(recvmsg(pair[1], &header, MSG_PEEK) == 1, "recvmsg: %m");
	epoll = *(int *)CMSG_DATA(CMSG_FIRSTHDR(&header));
	event.data.u64 = 0;
	check(epoll_wait(epoll, &event, 1, 0) == 1 && event.events == EPOLLIN && event.data.u64 == 0x123456789abcull, "no event");
	check(read(pair[1], &byte, 1) == 1 && epoll_wait(epoll, &event, 1, 0) == 0, "an event too many");
	check(write(quiet[1], "x", 1) == 1 && epoll_wait(epoll, &event, 1, 0) == 1, "the pipe is not watched");
	return done();
}
