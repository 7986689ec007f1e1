/* Descriptors in flight: open elsewhere or not, in the middle of a stream, sockets with queues of their own, circles; credentials. */
#include "check.h"
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

static void pair(int type, int *ends)
{
	check(socketpair(AF_UNIX, type, 0, ends) == 0, "socketpair: %m");
}

static void give(int socket, const char *text, const int *fds, int count)
{
	char control[CMSG_SPACE(sizeof(int) * 8)];
	struct iovec iov = { (void *)text, strlen(text) };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };

	memset(control, 0, sizeof(control));
	if (count > 0) {
		header.msg_control = control;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		struct cmsghdr *message = CMSG_FIRSTHDR(&header);
		message->cmsg_level = SOL_SOCKET;
		message->cmsg_type = SCM_RIGHTS;
		message->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(message), fds, sizeof(int) * count);
	}
	check(sendmsg(socket, &header, MSG_DONTWAIT) == (ssize_t)strlen(text), "sendmsg %s: %m", text);
}

static int take(int socket, size_t size, const char *text, int *fds, struct ucred *who, const char *what)
{
	char control[512], got[256] = "";
	struct iovec iov = { got, size };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int count = 0;
	ssize_t length = recvmsg(socket, &header, MSG_DONTWAIT);

	check(length == (ssize_t)strlen(text) && !strcmp(got, text), "%s: got %zd bytes %s instead of %s (%m)", what, length, got, text);
	for (struct cmsghdr *message = length < 0 ? NULL : CMSG_FIRSTHDR(&header); message; message = CMSG_NXTHDR(&header, message)) {
		if (message->cmsg_type == SCM_CREDENTIALS && who)
			memcpy(who, CMSG_DATA(message), sizeof(*who));
		if (message->cmsg_type != SCM_RIGHTS)
			continue;
		count = (int)((message->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(message), sizeof(int) * (size_t)count);
	}
	return count;
}

int main(int argc, char **argv)
{
	int stream[2], datagrams[2], packets[2], inner[2], circle[2], credentials[2], ends[2], twice[2], fds[8], one = 1;
	char path[4096], text[64];
	struct ucred who;
	int all = argc < 4;

	snprintf(path, sizeof(path), "%s/in-flight", argv[2]);
	int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	check(write(file, "0123456789", 10) == 10 && lseek(file, 4, SEEK_SET) == 4, "write: %m");
	int shared = dup(file);
	check(pipe(ends) == 0 && write(ends[1], "in the pipe", 11) == 11, "pipe: %m");
	pair(SOCK_STREAM, stream);
	/* The end of the pipe to read is nowhere else; the file is. */
	fds[0] = ends[0];
	fds[1] = file;
	give(stream[0], "with two", fds, 2);
	give(stream[0], "tail", NULL, 0);
	close(ends[0]);
	close(file);
	/* One description, twice in flight and open nowhere. */
	int lone = open(path, O_RDONLY);
	pair(SOCK_DGRAM, datagrams);
	pair(SOCK_SEQPACKET, packets);
	give(datagrams[0], "plain", NULL, 0);
	fds[0] = lone;
	give(datagrams[0], "lone", fds, 1);
	give(packets[1], "lone too", fds, 1);
	close(lone);
	/* A socket in flight with a queue of its own, in which a descriptor is in flight; the socket's other end is here. */
	pair(SOCK_STREAM, inner);
	fds[0] = open("/dev/null", O_WRONLY);
	give(inner[0], "null", fds, 1);
	give(inner[0], "inside", NULL, 0);
	close(fds[0]);
	give(packets[1], "a socket", &inner[1], 1);
	close(inner[1]);
	/* A pair that is in flight as a whole. */
	pair(SOCK_SEQPACKET, twice);
	give(twice[0], "nobody has this", NULL, 0);
	give(packets[1], "a pair", twice, 2);
	close(twice[0]);
	close(twice[1]);
	/* A socket that brings itself. */
	pair(SOCK_DGRAM, circle);
	give(circle[0], "myself", &circle[1], 1);
	pair(SOCK_DGRAM, credentials);
	check(!all || setsockopt(credentials[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) == 0, "SO_PASSCRED: %m");
	give(credentials[0], "who", NULL, 0);
	ready();
	wait_for(argv[1]);

	check(take(stream[1], 8, "with two", fds, NULL, "two") == 2, "two are gone");
	struct stat st;
	check(fstat(fds[0], &st) == 0 && S_ISFIFO(st.st_mode) && read(fds[0], text, 64) == 11 && !memcmp(text, "in the pipe", 11), "pipe: %m");
	check(write(ends[1], "x", 1) == 1 && read(fds[0], text, 64) == 1, "pipe: %m");
	check(read(fds[1], text, 2) == 2 && !memcmp(text, "45", 2) && lseek(shared, 0, SEEK_CUR) == 6, "the file is not shared");
	check(take(stream[1], 64, "tail", fds, NULL, "tail") == 0, "tail brings descriptors");
	check(take(datagrams[1], 64, "plain", fds, NULL, "plain") == 0, "plain brings descriptors");
	check(take(datagrams[1], 64, "lone", fds, NULL, "lone") == 1 && take(packets[0], 64, "lone too", fds + 1, NULL, "lone too") == 1, "the lone one is gone");
	check(read(fds[0], text, 3) == 3 && !memcmp(text, "012", 3) && lseek(fds[1], 0, SEEK_CUR) == 3, "the lone one is not one");
	check(take(packets[0], 64, "a socket", &inner[1], NULL, "socket") == 1, "the socket is gone");
	check(take(inner[1], 64, "null", fds, NULL, "inside") == 1 && write(fds[0], "x", 1) == 1, "null: %m");
	check(take(inner[1], 64, "inside", fds, NULL, "inside") == 0, "inside brings descriptors");
	check(send(inner[0], "x", 1, 0) == 1 && recv(inner[1], text, 64, MSG_DONTWAIT) == 1, "inner pair: %m");
	check(take(packets[0], 64, "a pair", twice, NULL, "pair") == 2 && take(twice[1], 64, "nobody has this", fds, NULL, "pair") == 0, "pair");
	check(send(twice[1], "x", 1, 0) == 1 && recv(twice[0], text, 64, MSG_DONTWAIT) == 1, "pair: %m");
	check(take(circle[1], 64, "myself", fds, NULL, "circle") == 1, "circle");
	check(send(circle[0], "x", 1, 0) == 1 && recv(fds[0], text, 64, MSG_DONTWAIT) == 1, "circle: %m");
	memset(&who, 0, sizeof(who));
	take(credentials[1], 64, "who", fds, &who, "credentials");
	check(!all || (who.pid == getpid() && who.uid == getuid()), "credentials: pid %d uid %u", who.pid, who.uid);
	return done();
}
