/* Sockets between parent and children: a pair, a listener whose connections belong to others, descriptors in flight to a child. */
#include "check.h"
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static struct sockaddr_un un = { .sun_family = AF_UNIX };

static void put(int fd, const char *text)
{
	check(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text), "send %s: %m", text);
}

static void expect(int fd, const char *text)
{
	char got[64] = "";

	/* Waits: the other side may be slower. */
	check(recv(fd, got, strlen(text), MSG_WAITALL) == (ssize_t)strlen(text) && !strcmp(got, text), "got %s instead of %s (%m)", got, text);
}

static void meet(int up, int down)
{
	char byte = 'x';

	check(write(up, &byte, 1) == 1 && read(down, &byte, 1) == 1, "the parent is silent: %m");
}

/* Holds the accepted end, as a backend of a server does. */
static int serve(int accepted, int up, int down)
{
	expect(accepted, "hello");
	put(accepted, "left for the client");
	meet(up, down);
	expect(accepted, "after");
	put(accepted, "fine");
	return failures != 0;
}

static int rights = 1;

static int visit(int own, int up, int down)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };

	check(connect(fd, (void *)&un, sizeof(un)) == 0, "connect: %m");
	put(fd, "hello");
	put(own, "pair");
	meet(up, down);
	expect(fd, "left for the client");
	put(fd, "after");
	expect(fd, "fine");
	expect(own, "for the child");
	if (rights) {
		struct cmsghdr *message = recvmsg(own, &header, 0) == 1 ? CMSG_FIRSTHDR(&header) : NULL;

		check(message && read(*(int *)CMSG_DATA(message), &byte, 1) == 1 && byte == 'p', "the pipe in flight: %m");
	}
	return failures != 0;
}

int main(int argc, char **argv)
{
	int own[2], ends[2], up[2][2], down[2][2], status;
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { "x", 1 };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };

	/* CRIU gives descriptors too early to who reads what comes before them. */
	rights = argc < 4;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/tree", argv[2]);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	check(bind(listener, (void *)&un, sizeof(un)) == 0 && listen(listener, 4) == 0, "listen: %m");
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, own) == 0 && pipe(ends) == 0 && write(ends[1], "p", 1) == 1, "pair: %m");
	for (int i = 0; i < 2; i++)
		check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, up[i]) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, down[i]) == 0, "pairs: %m");
	pid_t client = fork();
	if (client == 0) {
		close(listener);
		close(own[0]);
		_exit(visit(own[1], up[0][1], down[0][1]));
	}
	close(own[1]);
	int accepted = accept(listener, NULL, NULL);
	pid_t server = fork();
	if (server == 0) {
		close(listener);
		close(own[0]);
		_exit(serve(accepted, up[1][1], down[1][1]));
	}
	close(accepted);
	char byte;
	check(read(up[0][0], &byte, 1) == 1 && read(up[1][0], &byte, 1) == 1, "the children are silent: %m");
	put(own[0], "for the child");
	memset(control, 0, sizeof(control));
	struct cmsghdr *message = CMSG_FIRSTHDR(&header);
	message->cmsg_level = SOL_SOCKET;
	message->cmsg_type = SCM_RIGHTS;
	message->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(message), ends, sizeof(int));
	check(!rights || sendmsg(own[0], &header, 0) == 1, "sendmsg: %m");
	close(ends[0]);
	ready();
	wait_for(argv[1]);
	expect(own[0], "pair");
	for (int i = 0; i < 2; i++)
		check(write(down[i][0], "x", 1) == 1, "write: %m");
	check(waitpid(client, &status, 0) == client && status == 0, "the client: %x (%m)", status);
	check(waitpid(server, &status, 0) == server && status == 0, "the server: %x (%m)", status);
	int fresh = socket(AF_UNIX, SOCK_STREAM, 0);
	check(connect(fresh, (void *)&un, sizeof(un)) == 0, "connect: %m");
	put(fresh, "new");
	expect(accept(listener, NULL, NULL), "new");
	return done();
}
