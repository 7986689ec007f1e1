/* Files of /proc: of dead processes (files and a directory), of the program itself and its thread, of nobody. */
#include "check.h"
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define DEAD 4

static int open_in(int pid, const char *name, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/%d%s", pid, name);
	int fd = open(path, flags);
	check(fd >= 0, "%s: %m", path);
	return fd;
}

static void link_of(int fd, char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t size = readlink(path, text, 255);
	text[size < 0 ? 0 : size] = 0;
}

static int begins(int fd, const char *want)
{
	char text[256];
	ssize_t size = pread(fd, text, sizeof(text) - 1, 0);

	text[size < 0 ? 0 : size] = 0;
	return !strncmp(text, want, strlen(want));
}

int main(int argc, char **argv)
{
	char before[DEAD][256], after[256], name[64];
	int one = fork();

	(void)argc;
	if (one == 0)
		return pause();
	int two = fork();
	if (two == 0)
		return pause();
	int dead[DEAD] = { open_in(one, "/mountinfo", O_RDONLY), open_in(one, "/cmdline", O_RDONLY | O_NONBLOCK), open_in(two, "", O_RDONLY | O_DIRECTORY),
			   open_in(two, "/net", O_RDONLY | O_DIRECTORY) };
	kill(one, SIGKILL);
	kill(two, SIGKILL);
	waitpid(one, NULL, 0);
	waitpid(two, NULL, 0);
	for (int i = 0; i < DEAD; i++)
		link_of(dead[i], before[i]);
	snprintf(name, sizeof(name), "/task/%d/comm", getpid());
	int self = open_in(getpid(), "/comm", O_RDONLY), thread = open_in(getpid(), name, O_RDONLY), here = open("/proc/self", O_RDONLY | O_DIRECTORY);
	int nobody = open("/proc/sys/kernel/ostype", O_RDONLY), version = open("/proc/version", O_RDONLY);
	ready();
	wait_for(argv[1]);

	for (int i = 0; i < DEAD; i++) {
		link_of(dead[i], after);
		check(!strcmp(before[i], after), "%s is %s", before[i], after);
	}
	/* An open mountinfo holds its mount namespace, and answers for ever. */
	check(read(dead[0], after, 16) == 16 && read(dead[1], after, 16) <= 0, "a dead process answers wrongly");
	check(openat(dead[2], "status", O_RDONLY) == -1, "a dead process has files");
	check(fcntl(dead[1], F_GETFL) & O_NONBLOCK, "flags");
	check(kill(one, 0) == -1 && kill(two, 0) == -1 && waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "a helper is left");
	check(begins(self, "proc-files") && begins(thread, "proc-files"), "the program's own files");
	int status = openat(here, "comm", O_RDONLY);
	check(begins(status, "proc-files"), "the program's own directory");
	check(begins(nobody, "Linux") && begins(version, "Linux"), "files of nobody");
	return done();
}
