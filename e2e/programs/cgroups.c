/*
 * cgroups GO DIR...: processes in cgroups: the program is in one already, its child goes to the first DIR, a thread of the child to the second where
 * there is one. All find themselves in the same cgroups afterwards.
 */
#include "check.h"
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define TEXT 4096

static const char *go, *thread_directory;

static void join_cgroup(const char *directory, const char *file, int id)
{
	char path[512], text[16];
	int fd, length = snprintf(text, sizeof(text), "%d", id);

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	fd = open(path, O_WRONLY);
	check(fd >= 0 && write(fd, text, length) == length, "%s: %m", path);
	close(fd);
}

static void look(char *text)
{
	char path[64];
	int fd, size;

	snprintf(path, sizeof(path), "/proc/self/task/%ld/cgroup", syscall(SYS_gettid));
	fd = open(path, O_RDONLY);
	size = read(fd, text, TEXT - 1);
	text[size < 0 ? 0 : size] = 0;
	close(fd);
}

static void compare(const char *who, const char *before)
{
	char after[TEXT];

	look(after);
	check(strcmp(before, after) == 0, "%s was in\n%s\nand is in\n%s", who, before, after);
}

static pthread_barrier_t barrier;

static void *thread(void *unused)
{
	char before[TEXT];

	if (thread_directory != NULL)
		join_cgroup(thread_directory, "tasks", syscall(SYS_gettid));
	look(before);
	pthread_barrier_wait(&barrier);
	wait_for(go);
	compare("the thread", before);
	return unused;
}

int main(int argc, char **argv)
{
	char before[TEXT], byte;
	int ends[2], status = 0;
	pthread_t other;

	go = argv[1];
	check(pipe(ends) == 0, "pipe: %m");
	pid_t child = fork();
	if (child == 0) {
		thread_directory = argc > 3 ? argv[3] : NULL;
		join_cgroup(argv[2], "cgroup.procs", getpid());
		pthread_barrier_init(&barrier, NULL, 2);
		pthread_create(&other, NULL, thread, NULL);
		pthread_barrier_wait(&barrier);
		look(before);
		check(write(ends[1], "x", 1) == 1, "pipe: %m");
		wait_for(go);
		compare("the child", before);
		pthread_join(other, NULL);
		fflush(stdout);
		_exit(failures != 0);
	}
	check(read(ends[0], &byte, 1) == 1, "the child: %m");
	look(before);
	ready();
	wait_for(go);
	compare("the program", before);
	check(waitpid(child, &status, 0) == child && status == 0, "the child ended with %x", (unsigned int)status);
	return done();
}
