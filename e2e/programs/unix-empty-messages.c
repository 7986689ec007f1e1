/* Messages without bytes: first, in the middle, last, alone. */
#include "check.h"
#include <sys/socket.h>

static const char *const QUEUES[4][6] = { { "", "after", NULL }, { "before", "", "", "after", NULL }, { "before", "", NULL }, { "", NULL } };

int main(int argc, char **argv)
{
	int ends[8][2];
	char text[64];

	(void)argc;
	for (int i = 0; i < 8; i++) {
		check(socketpair(AF_UNIX, i < 4 ? SOCK_DGRAM : SOCK_SEQPACKET, 0, ends[i]) == 0, "socketpair: %m");
		for (int j = 0; QUEUES[i % 4][j]; j++)
			check(send(ends[i][0], QUEUES[i % 4][j], strlen(QUEUES[i % 4][j]), 0) >= 0, "send: %m");
	}
	ready();
	wait_for(argv[1]);
	for (int i = 0; i < 8; i++) {
		for (int j = 0; QUEUES[i % 4][j]; j++) {
			ssize_t got = recv(ends[i][1], text, sizeof(text), MSG_DONTWAIT);

			check(got == (ssize_t)strlen(QUEUES[i % 4][j]) && !memcmp(text, QUEUES[i % 4][j], (size_t)got), "queue %d message %d: %zd (%m)", i, j, got);
		}
		check(recv(ends[i][1], text, sizeof(text), MSG_DONTWAIT) < 0 && errno == EAGAIN, "queue %d has more: %m", i);
	}
	return done();
}
