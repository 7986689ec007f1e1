/* A UDP socket and a device that stay outside: socket-outside GO DEVICE. */
#include "check.h"
#include <sys/socket.h>

int main(int argc, char **argv)
{
	char text[16];
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), device = open(argv[2], O_RDWR), again = dup(fd);

	(void)argc;
	check(fd == 3 && device >= 0, "open %s: %m", argv[2]);
	ready();
	wait_for(argv[1]);
	check((fcntl(again, F_GETFL) & O_NONBLOCK) != 0, "flags %o", fcntl(again, F_GETFL));
	check(recv(again, text, sizeof(text), 0) == 5 && !memcmp(text, "hello", 5), "nothing came: %m");
	check((fcntl(device, F_GETFL) & O_ACCMODE) == O_RDWR, "device: %m");
	return done();
}
