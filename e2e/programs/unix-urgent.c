/* Out-of-band data in streams: bytes that wait, before, between and behind others, and marks of those that were read. */
#include "check.h"
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/sockios.h>

enum { CASES = 12 };

static int from[CASES], to[CASES], count, signals;

static void urged(int number)
{
	signals += number == SIGURG;
}

/* Lower case is sent as it is, upper case with MSG_OOB; '!' reads the urgent byte; '/' parts sends. */
static void queue(const char *what)
{
	int pair[2];
	char byte;

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair: %m");
	from[count] = pair[0];
	to[count++] = pair[1];
	for (; *what; what++)
		if (*what == '!')
			check(recv(pair[1], &byte, 1, MSG_OOB) == 1, "read the urgent byte: %m");
		else if (*what != '/')
			check(send(pair[0], what, 1, *what < 'a' ? MSG_OOB : 0) == 1, "send: %m");
}

/* What a reader gets: '|' where a read stopped, '@' where it was at the mark then, the urgent byte first. */
static void expect(int index, const char *what)
{
	char got[256], *end = got, bytes[64], byte;
	struct pollfd poll_for = { .fd = to[index], .events = POLLPRI };
	int is_at_mark;
	ssize_t size;

	poll(&poll_for, 1, 0);
	if (poll_for.revents & POLLPRI)
		*end++ = '^';
	if (recv(to[index], &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) == 1)
		*end++ = byte;
	do {
		check(ioctl(to[index], SIOCATMARK, &is_at_mark) == 0, "SIOCATMARK: %m");
		*end++ = is_at_mark ? '@' : '|';
		size = recv(to[index], bytes, sizeof(bytes), MSG_DONTWAIT);
		if (size > 0)
			end = (char *)memcpy(end, bytes, size) + size;
	} while (size > 0);
	*end = 0;
	check(strcmp(got, what) == 0, "%d: %s instead of %s", index, got, what);
}

int main(int argc, char **argv)
{
	int one = 1;

	check(argc > 1, "no go file");
	signal(SIGURG, urged);
	queue("abcX!def");
	queue("X!def");
	queue("X!");
	queue("abcX!defY!ghi");
	queue("abcXdef");
	queue("abcX");
	queue("Xdef");
	queue("X");
	queue("abcX");
	queue("Xabc");
	queue("X!abcY!");
	queue("aX!b");
	for (int index = 8; index < 10; index++)
		check(setsockopt(to[index], SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one)) == 0, "SO_OOBINLINE: %m");
	check(setsockopt(to[11], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) == 0, "SO_PASSCRED: %m");
	check(fcntl(to[4], F_SETOWN, getpid()) == 0, "F_SETOWN: %m");
	/* The sender of this one is gone. */
	close(from[3]);

	ready();
	wait_for(argv[1]);
	check(signals == 0, "%d signals of urgent bytes", signals);
	expect(0, "|abc@def|");
	expect(1, "@def|");
	expect(2, "@");
	expect(3, "|abc@def@ghi|");
	expect(4, "^X|abc@def|");
	expect(5, "^X|abc@");
	expect(6, "^X@def|");
	expect(7, "^X@");
	expect(8, "^|abc@X|");
	expect(9, "^@Xabc|");
	/* The mark behind the last byte is not seen. */
	check(recv(to[10], (char[8]){ 0 }, 8, MSG_DONTWAIT) == 3, "before the last mark");
	expect(11, "|a@b|");
	check(send(from[4], "Z", 1, MSG_OOB) == 1 && signals == 1, "no signal of an urgent byte");
	return done();
}
