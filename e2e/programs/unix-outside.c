/* Connected to a socket of another program: argv[2] is its type, argv[3] its path. */
#include "check.h"
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX }, peer;
	socklen_t size = sizeof(peer);

	(void)argc;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", argv[3]);
	int fd = socket(AF_UNIX, strcmp(argv[2], "stream") ? SOCK_DGRAM : SOCK_STREAM, 0);
	check(connect(fd, (void *)&un, sizeof(un)) == 0 && send(fd, "before", 6, 0) == 6, "connect: %m");
	ready();
	wait_for(argv[1]);
	memset(&peer, 0, sizeof(peer));
	check(argc > 4 || (getpeername(fd, (void *)&peer, &size) == 0 && !strcmp(peer.sun_path, argv[3])), "the peer is %s (%m)", peer.sun_path);
	check(send(fd, "after", 5, MSG_NOSIGNAL) == 5, "send: %m");
	return done();
}
