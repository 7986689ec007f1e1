/* The leader of a session on a terminal that a process outside made: terminal-outside GO TERMINAL [alone]. It has the terminal by two descriptions. */
#include "check.h"
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

/* A member of the session has its terminal by this name, and no other process. */
static int has_terminal(void)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int main(int argc, char **argv)
{
	int alone = argc > 3, fd = open(argv[2], O_RDWR | O_NOCTTY), other = open(argv[2], O_WRONLY | O_NOCTTY | O_NONBLOCK);
	struct winsize size = { .ws_row = 33, .ws_col = 77 };
	struct termios settings;
	char text[16];
	pid_t child = 0;

	check(fd >= 0 && other >= 0, "open %s: %m", argv[2]);
	check(!ioctl(fd, TIOCSCTTY, 0), "TIOCSCTTY: %m");
	check(!ioctl(fd, TIOCSWINSZ, &size), "TIOCSWINSZ: %m");
	check(!tcgetattr(fd, &settings), "tcgetattr: %m");
	settings.c_lflag &= ~(ICANON | ECHO);
	settings.c_oflag &= ~OPOST;
	settings.c_cc[VMIN] = 5;
	check(!tcsetattr(fd, TCSANOW, &settings), "tcsetattr: %m");
	if (!alone) {
		child = fork();
		if (child == 0) {
			wait_for(argv[1]);
			_exit(has_terminal() ? 0 : 1);
		}
	}
	ready();
	wait_for(argv[1]);
	check(has_terminal(), "no controlling terminal");
	check(tcgetsid(fd) == getpid(), "session %d", tcgetsid(fd));
	check(tcgetpgrp(fd) == getpid(), "foreground %d", tcgetpgrp(fd));
	memset(&settings, 0, sizeof(settings));
	memset(&size, 0, sizeof(size));
	tcgetattr(fd, &settings);
	check((settings.c_lflag & (ICANON | ECHO | ISIG)) == ISIG && settings.c_cc[VMIN] == 5, "settings 0%o", settings.c_lflag);
	ioctl(other, TIOCGWINSZ, &size);
	check(size.ws_row == 33 && size.ws_col == 77, "%d x %d", size.ws_row, size.ws_col);
	check((fcntl(fd, F_GETFL) & (O_ACCMODE | (alone ? 0 : O_NONBLOCK))) == O_RDWR, "flags 0%o", fcntl(fd, F_GETFL));
	/* criu gives both the one description that it was handed. */
	check(alone || (fcntl(other, F_GETFL) & O_NONBLOCK) != 0, "flags of the other 0%o", fcntl(other, F_GETFL));
	check(read(fd, text, sizeof(text)) == 5 && !memcmp(text, "hello", 5), "nothing to read");
	check(write(other, "world", 5) == 5, "write: %m");
	if (child > 0) {
		int status;

		check(waitpid(child, &status, 0) == child && status == 0, "the child has no controlling terminal: %x", status);
	}
	return done();
}
