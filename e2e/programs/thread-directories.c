/* Threads that have directories and umasks of their own, in and out of a root of their own. argv[2]: a directory; argv[3] "jail": the process
 * itself lives in a root of its own. */
#include "check.h"
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define THREADS 6

static struct look {
	ino_t root, cwd;
	mode_t mask;
} before[THREADS + 1];
static pthread_barrier_t barrier;
static char base[PATH_MAX];

static struct look look(int number)
{
	struct stat root, cwd;
	struct look at;

	check(stat("/", &root) == 0 && stat(".", &cwd) == 0, "%d: stat: %m", number);
	at.root = root.st_ino;
	at.cwd = cwd.st_ino;
	at.mask = umask(0);
	umask(at.mask);
	return at;
}

/* In the root of the process. */
static const char *in(const char *name)
{
	static __thread char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/%s", base, name);
	return path;
}

static void settle(int number)
{
	/* 0 has what the process has. */
	if (number == 0)
		return;
	check(unshare(CLONE_FS) == 0, "unshare: %m");
	umask((mode_t)(number << 3));
	if (number == 1)
		check(chdir(in("one")) == 0, "chdir: %m");
	if (number == 2)
		check(chroot(in("two")) == 0 && chdir("/sub") == 0, "chroot: %m");
	if (number == 3)
		/* Outside of its own root. */
		check(chdir(in("one")) == 0 && chroot(in("two")) == 0, "chroot: %m");
	if (number == 4)
		check(chdir("/") == 0, "chdir: %m");
	/* 5 has what the process has, and would not see it change. */
}

static void *work(void *arg)
{
	int number = (int)(long)arg;
	struct look now;

	settle(number);
	before[number] = look(number);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	now = look(number);
	check(now.root == before[number].root && now.cwd == before[number].cwd, "%d: root %lu cwd %lu, was %lu %lu", number,
	      (unsigned long)now.root, (unsigned long)now.cwd, (unsigned long)before[number].root, (unsigned long)before[number].cwd);
	check(now.mask == before[number].mask, "%d: umask %o, was %o", number, now.mask, before[number].mask);
	/* What the process changes now only threads without their own see. */
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	now = look(number);
	check(now.mask == (number == 0 ? 0123 : before[number].mask), "%d: umask %o after the process changed its own", number, now.mask);
	check((now.cwd == before[number].cwd) == (number != 0), "%d: cwd is %sthat of before", number, number == 0 ? "" : "not ");
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	struct look now;

	if (argc < 3)
		return 2;
	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	snprintf(base, sizeof(base), "%s", argv[2]);
	mkdir(in("one"), 0755);
	mkdir(in("two"), 0755);
	mkdir(in("two/sub"), 0755);
	if (argc > 3) {
		check(chroot(base) == 0 && chdir("/two") == 0, "chroot: %m");
		base[0] = 0;
	}
	umask(0777 & 027);
	for (long number = 0; number < THREADS; number++)
		check(pthread_create(&threads[number], NULL, work, (void *)number) == 0, "thread: %m");
	pthread_barrier_wait(&barrier);
	before[THREADS] = look(THREADS);
	ready();
	wait_for(argv[1]);
	pthread_barrier_wait(&barrier);
	now = look(THREADS);
	check(now.root == before[THREADS].root && now.cwd == before[THREADS].cwd && now.mask == before[THREADS].mask, "main differs");
	pthread_barrier_wait(&barrier);
	umask(0123);
	check(chdir(in("two/sub")) == 0, "chdir: %m");
	pthread_barrier_wait(&barrier);
	for (int number = 0; number < THREADS; number++)
		pthread_join(threads[number], NULL);
	return done();
}
