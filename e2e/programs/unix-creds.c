/* SO_PEERCRED of sockets that their maker has given away: unix-creds GO. The pair is the child's alone, and one of the parent's is the child's work. */
#include "check.h"
#include <sys/socket.h>
#include <sys/wait.h>

static void made_by(int fd, pid_t pid, const char *what)
{
	struct ucred who = { 0 };
	socklen_t size = sizeof(who);

	check(!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) && who.pid == pid, "%s: made by %d, not %d", what, who.pid, pid);
}

static void give(int via, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *message = CMSG_FIRSTHDR(&header);

	message->cmsg_level = SOL_SOCKET;
	message->cmsg_type = SCM_RIGHTS;
	message->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(message), &fd, sizeof(int));
	check(sendmsg(via, &header, 0) == 1, "sendmsg: %m");
}

static int take(int via)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *message = recvmsg(via, &header, 0) == 1 ? CMSG_FIRSTHDR(&header) : NULL;

	return message ? *(int *)CMSG_DATA(message) : -1;
}

/* Makes a pair with a descriptor of /dev/null in flight, for the parent. */
static int child(const char *go, int via, const int *parents, pid_t parent)
{
	int own[2], null = open("/dev/null", O_RDONLY);
	char text[8];

	check(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, own), "socketpair: %m");
	give(own[0], null);
	give(via, own[0]);
	give(via, own[1]);
	close(own[0]);
	close(own[1]);
	close(null);
	wait_for(go);
	made_by(parents[0], parent, "the parent's pair");
	made_by(parents[1], parent, "its other end");
	check(write(parents[0], "hello", 5) == 5 && read(parents[1], text, 8) == 5, "the pair does not work: %m");
	fflush(stdout);
	_exit(failures);
}

int main(int argc, char **argv)
{
	int pair[2], via[2], theirs[2], status;
	pid_t own = getpid();

	(void)argc;
	check(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair) && !socketpair(AF_UNIX, SOCK_DGRAM, 0, via), "socketpair: %m");
	pid_t pid = fork();
	if (pid == 0)
		child(argv[1], via[1], pair, own);
	close(pair[0]);
	close(pair[1]);
	theirs[0] = take(via[0]);
	theirs[1] = take(via[0]);
	made_by(theirs[0], pid, "the child's pair");
	ready();
	wait_for(argv[1]);
	made_by(theirs[0], pid, "the child's pair");
	made_by(theirs[1], pid, "its other end");
	check(take(theirs[1]) >= 0, "nothing is in flight: %m");
	check(waitpid(pid, &status, 0) == pid && status == 0, "child: %x", status);
	return done();
}
