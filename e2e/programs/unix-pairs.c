/* Socketpairs: queues both ways, boundaries, shutdown, closed ends, flags, options. */
#include "check.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define BIG 150000

static char big[BIG], text[BIG];

static void fill(char seed)
{
	for (int i = 0; i < BIG; i++)
		big[i] = (char)(seed + i * 7 + (i >> 8));
}

static void pair(int type, int *ends)
{
	check(socketpair(AF_UNIX, type, 0, ends) == 0, "socketpair: %m");
}

static void put(int fd, const char *data, size_t size)
{
	check(send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size, "send %zu: %m", size);
}

static void expect(int fd, const char *data, ssize_t size, const char *what)
{
	memset(text, '?', sizeof(text));
	ssize_t got = recv(fd, text, sizeof(text), MSG_DONTWAIT);

	check(got == size && (size <= 0 || !memcmp(text, data, (size_t)size)), "%s: got %zd instead of %zd (%m)", what, got, size);
}

static void expect_empty(int fd, const char *what)
{
	ssize_t got = recv(fd, text, sizeof(text), MSG_DONTWAIT);

	check(got < 0 && errno == EAGAIN, "%s: %zd (%m) instead of nothing", what, got);
}

static int option(int fd, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	check(getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0, "getsockopt %d: %m", name);
	return value;
}

int main(int argc, char **argv)
{
	enum { STREAM, DGRAM, SEQ };
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	int empty[3][2], full[3][2], large[3][2], shut[6][2], gone[3][2], reset[2][2], peeked[2], tuned[2], far[2];
	struct timeval timeout = { 3, 250000 }, now;
	struct linger linger = { 1, 7 }, kept;
	socklen_t size;

	/* CRIU keeps neither errors nor SO_PEEK_OFF nor SO_TIMESTAMP, nor that a datagram socket has a closed peer. */
	int all = argc < 3;
	fill(3);
	for (int i = 0; i < 3; i++) {
		pair(types[i], empty[i]);
		pair(types[i] | SOCK_NONBLOCK, full[i]);
		put(full[i][0], "first", 5);
		put(full[i][0], "second one", 10);
		put(full[i][1], "back", 4);
		pair(types[i], large[i]);
		put(large[i][1], big, BIG);
		put(large[i][1], "end", 3);
		pair(types[i], gone[i]);
		put(gone[i][0], "left behind", 11);
		close(gone[i][0]);
	}
	static const int ways[] = { SHUT_RD, SHUT_WR, SHUT_RDWR, SHUT_WR, SHUT_WR, SHUT_RD };
	static const int kinds[] = { STREAM, STREAM, STREAM, SEQ, DGRAM, DGRAM };
	for (int i = 0; i < 6; i++) {
		pair(types[kinds[i]], shut[i]);
		put(shut[i][0], "before", 6);
		check(shutdown(shut[i][0], ways[i]) == 0, "shutdown: %m");
	}
	for (int i = 0; i < 2; i++) {
		pair(i ? SOCK_SEQPACKET : SOCK_STREAM, reset[i]);
		put(reset[i][1], "never read", 10);
		if (!i)
			put(reset[i][0], "but this", 8);
		close(reset[i][0]);
	}
	pair(SOCK_STREAM, peeked);
	put(peeked[0], "0123456789", 10);
	int offset = 4;
	check(setsockopt(peeked[1], SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) == 0, "SO_PEEK_OFF: %m");
	pair(SOCK_STREAM, tuned);
	int value = 77777, one = 1, five = 5, lowat = 9;
	check(setsockopt(tuned[0], SOL_SOCKET, SO_SNDBUF, &value, 4) == 0 && setsockopt(tuned[0], SOL_SOCKET, SO_RCVBUF, &value, 4) == 0 &&
		      setsockopt(tuned[0], SOL_SOCKET, SO_PRIORITY, &five, 4) == 0 && setsockopt(tuned[0], SOL_SOCKET, SO_MARK, &value, 4) == 0 &&
		      setsockopt(tuned[0], SOL_SOCKET, SO_RCVLOWAT, &lowat, 4) == 0 && setsockopt(tuned[0], SOL_SOCKET, SO_KEEPALIVE, &one, 4) == 0 &&
		      setsockopt(tuned[0], SOL_SOCKET, SO_PASSCRED, &one, 4) == 0 && setsockopt(tuned[0], SOL_SOCKET, SO_TIMESTAMP, &one, 4) == 0 &&
		      setsockopt(tuned[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0 &&
		      setsockopt(tuned[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0,
	      "setsockopt: %m");
	pair(SOCK_STREAM, far);
	check(dup2(far[0], 400) == 400 && dup3(far[1], 300, O_CLOEXEC) == 300 && close(far[1]) == 0, "dup: %m");
	int sndbuf = option(empty[0][0], SO_SNDBUF), locks = option(empty[0][0], SO_BUF_LOCK);
	ready();
	wait_for(argv[1]);

	for (int i = 0; i < 3; i++) {
		const char *kind = i == STREAM ? "stream" : i == DGRAM ? "dgram" : "seqpacket";

		expect_empty(empty[i][0], kind);
		put(empty[i][0], "works", 5);
		put(empty[i][1], "too", 3);
		expect(empty[i][1], "works", 5, kind);
		expect(empty[i][0], "too", 3, kind);
		check((fcntl(full[i][0], F_GETFL) & O_NONBLOCK) && !(fcntl(empty[i][0], F_GETFL) & O_NONBLOCK), "%s: O_NONBLOCK", kind);
		if (i == STREAM)
			expect(full[i][1], "firstsecond one", 15, kind);
		else {
			expect(full[i][1], "first", 5, kind);
			expect(full[i][1], "second one", 10, kind);
		}
		expect_empty(full[i][1], kind);
		expect(full[i][0], "back", 4, kind);
		expect_empty(full[i][0], kind);
		if (i == STREAM) {
			int left = 0;
			check(ioctl(large[i][0], FIONREAD, &left) == 0 && left == BIG + 3, "%d bytes left", left);
			for (int done = 0; done < BIG;) {
				ssize_t got = recv(large[i][0], text, (size_t)(BIG - done), MSG_DONTWAIT);
				check(got > 0 && !memcmp(text, big + done, (size_t)got), "large stream at %d: %zd", done, got);
				if (got <= 0)
					break;
				done += (int)got;
			}
		} else
			expect(large[i][0], big, BIG, kind);
		expect(large[i][0], "end", 3, kind);
		expect_empty(large[i][0], kind);
		expect(gone[i][1], "left behind", 11, "message of a closed end");
		if (i == DGRAM) {
			expect_empty(gone[i][1], "dgram without peer");
			check(!all || (send(gone[i][1], "x", 1, MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED), "dgram to a closed end: %m");
		} else {
			expect(gone[i][1], "", 0, "end of a closed connection");
			check(send(gone[i][1], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "%s to a closed end: %m", kind);
		}
	}
	for (int i = 0; i < 6; i++) {
		int reads = ways[i] != SHUT_WR, writes = ways[i] != SHUT_RD, both = kinds[i] != DGRAM;

		expect(shut[i][1], "before", 6, "sent before shutdown");
		check((send(shut[i][0], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) == writes, "shutdown %d: own sending", i);
		check((send(shut[i][1], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) == reads, "shutdown %d: sending to it", i);
		if (writes && both)
			expect(shut[i][1], "", 0, "end of what was shut");
	}
	if (all) {
		struct pollfd poller = { reset[0][1], POLLIN, 0 };
		check(poll(&poller, 1, 0) == 1 && (poller.revents & (POLLERR | POLLHUP)) == (POLLERR | POLLHUP), "events %x", poller.revents);
		expect(reset[0][1], "but this", 8, "data before a reset");
		check(recv(reset[0][1], text, 9, 0) < 0 && errno == ECONNRESET, "reset is lost: %m");
		expect(reset[0][1], "", 0, "end after a reset");
		check(recv(reset[1][1], text, 9, 0) < 0 && errno == ECONNRESET, "reset of packets is lost: %m");
	}
	check(!all || (option(peeked[1], SO_PEEK_OFF) == 4 && recv(peeked[1], text, 3, MSG_PEEK) == 3 && !memcmp(text, "456", 3)), "SO_PEEK_OFF");
	expect(peeked[1], "0123456789", 10, "all of what was peeked at");
	check(option(tuned[0], SO_SNDBUF) == 2 * value && option(tuned[0], SO_RCVBUF) == 2 * value && option(tuned[0], SO_PRIORITY) == 5 &&
		      option(tuned[0], SO_MARK) == value && option(tuned[0], SO_RCVLOWAT) == 9 && option(tuned[0], SO_KEEPALIVE) == 1 &&
		      option(tuned[0], SO_PASSCRED) == 1 && (!all || option(tuned[0], SO_TIMESTAMP) == 1) && option(tuned[0], SO_BUF_LOCK) == 3,
	      "options: %d %d %d %d", option(tuned[0], SO_SNDBUF), option(tuned[0], SO_MARK), option(tuned[0], SO_RCVLOWAT), option(tuned[0], SO_BUF_LOCK));
	size = sizeof(kept);
	check(getsockopt(tuned[0], SOL_SOCKET, SO_LINGER, &kept, &size) == 0 && kept.l_onoff == 1 && kept.l_linger == 7, "SO_LINGER");
	size = sizeof(now);
	check(getsockopt(tuned[0], SOL_SOCKET, SO_RCVTIMEO, &now, &size) == 0 && now.tv_sec == 3 && now.tv_usec >= 240000, "SO_RCVTIMEO");
	check(option(empty[0][0], SO_SNDBUF) == sndbuf && option(empty[0][0], SO_BUF_LOCK) == locks && option(empty[0][0], SO_PASSCRED) == 0, "defaults");
	put(400, "dup", 3);
	expect(300, "dup", 3, "dup'ed socket");
	put(far[0], "dup too", 7);
	expect(300, "dup too", 7, "dup'ed socket");
	check(fcntl(300, F_GETFD) == FD_CLOEXEC && fcntl(400, F_GETFD) == 0, "close-on-exec");
	return done();
}
