/* Files of /proc: of dead processes (files and a directory), of the program itself and its thread, of nobody. argv[2]: and of a thread, or what CRIU opens. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define DEAD 10

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

static volatile int tid, is_over;

static void *other(void *unused)
{
	struct timespec pause = { 0, 2000000 };

	tid = syscall(SYS_gettid);
	while (!is_over)
		nanosleep(&pause, NULL);
	return unused;
}

static pthread_t second;
static int of_thread[4], twin;
static char was[4][256];

/* Of a thread that is not the main one: a file twice, with an offset, its directory, a file to be written, a path. */
static void open_thread(void)
{
	static const char *const formats[4] = { "/task/%d/status", "/task/%d", "/task/%d/comm", "/task/%d/comm" };
	static const int flags[4] = { O_RDONLY | O_NONBLOCK, O_RDONLY | O_DIRECTORY, O_RDWR | O_CLOEXEC, O_PATH };
	char name[64];

	check(pthread_create(&second, NULL, other, NULL) == 0, "pthread_create: %m");
	while (tid == 0)
		;
	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), formats[i], tid);
		of_thread[i] = open_in(getpid(), name, flags[i]);
		link_of(of_thread[i], was[i]);
	}
	twin = dup(of_thread[0]);
	check(lseek(twin, 6, SEEK_SET) == 6, "lseek: %m");
}

static void check_thread(int main_comm)
{
	char now[256];

	for (int i = 0; i < 4; i++) {
		link_of(of_thread[i], now);
		check(!strcmp(was[i], now), "%s is %s", was[i], now);
	}
	check(lseek(twin, 0, SEEK_CUR) == 6 && lseek(twin, 7, SEEK_SET) == 7 && lseek(of_thread[0], 0, SEEK_CUR) == 7, "the offset");
	check(fcntl(twin, F_GETFL) & O_NONBLOCK, "flags of the thread's file");
	check(fcntl(of_thread[2], F_GETFD) == FD_CLOEXEC && fcntl(twin, F_GETFD) == 0, "FD_CLOEXEC");
	check(write(of_thread[2], "renamed", 7) == 7, "write: %m");
	check(begins(openat(of_thread[1], "comm", O_RDONLY), "renamed") && begins(main_comm, "proc-files"), "the thread's directory");
	is_over = 1;
	pthread_join(second, NULL);
}

int main(int argc, char **argv)
{
	char before[DEAD][256], after[256], name[64];
	int one = fork();

	if (one == 0)
		return pause();
	int two = fork();
	if (two == 0)
		return pause();
	int dead[DEAD] = { open_in(one, "/mountinfo", O_RDONLY), open_in(one, "/cmdline", O_RDONLY | O_NONBLOCK), open_in(two, "", O_RDONLY | O_DIRECTORY),
			   open_in(two, "/net", O_RDONLY | O_DIRECTORY), open_in(two, "/fd", O_RDONLY), open_in(two, "/fdinfo", O_RDONLY | O_DIRECTORY),
			   open_in(two, "/ns", O_RDONLY), open_in(one, "/map_files", O_RDONLY), open_in(one, "/attr/current", O_RDWR), open_in(one, "/task", O_RDONLY) };
	kill(one, SIGKILL);
	kill(two, SIGKILL);
	waitpid(one, NULL, 0);
	waitpid(two, NULL, 0);
	int dead_count = argc > 2 && !strcmp(argv[2], "criu") ? 4 : DEAD;
	for (int i = dead_count; i < DEAD; i++)
		close(dead[i]);
	for (int i = 0; i < dead_count; i++)
		link_of(dead[i], before[i]);
	snprintf(name, sizeof(name), "/task/%d/comm", getpid());
	int self = open_in(getpid(), "/comm", O_RDONLY), thread = open_in(getpid(), name, O_RDONLY), here = open("/proc/self", O_RDONLY | O_DIRECTORY);
	int nobody = open("/proc/sys/kernel/ostype", O_RDONLY), version = open("/proc/version", O_RDONLY);
	int has_thread = argc > 2 && !strcmp(argv[2], "threads");
	if (has_thread)
		open_thread();
	ready();
	wait_for(argv[1]);

	for (int i = 0; i < dead_count; i++) {
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
	if (has_thread)
		check_thread(self);
	check(begins(nobody, "Linux") && begins(version, "Linux"), "files of nobody");
	return done();
}
