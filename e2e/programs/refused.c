/* Holds one thing (argv[2]) that crts refuses, and goes on unharmed. */
#include "check.h"
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/landlock.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

static void *idle(void *nothing)
{
	for (;;)
		pause();
	return nothing;
}

static void *idle_apart(void *flags)
{
	check(unshare((int)(long)flags) == 0, "unshare: %m");
	return idle(NULL);
}

/* What it creates has its directories with it. */
static void *idle_apart_with_another(void *nothing)
{
	pthread_t other;

	check(unshare(CLONE_FS) == 0 && pthread_create(&other, NULL, idle, NULL) == 0, "thread: %m");
	return idle(nothing);
}

static void *outlive(void *file)
{
	/* The main thread is gone when its state says so; the test looks for that. */
	ready();
	wait_for(file);
	exit(done());
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";
	int pair[2] = { -1, -1 }, child = 0, deep = -1;
	char path[4096], other[4096], byte = 0;
	pthread_t thread;

	if (!strcmp(what, "socket"))
		check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair: %m");
	if (!strcmp(what, "waiting-data") || !strcmp(what, "waiting-closed")) {
		/* Connected, written, and for the second closed, before anyone accepts: three numbers, of which the last is closed. */
		struct sockaddr_un name = { .sun_family = AF_UNIX };
		socklen_t size = sizeof(name);

		pair[0] = socket(AF_UNIX, SOCK_STREAM, 0);
		check(bind(pair[0], (void *)&name, sizeof(sa_family_t)) == 0 && listen(pair[0], 2) == 0 && getsockname(pair[0], (void *)&name, &size) == 0, "listen: %m");
		pair[1] = socket(AF_UNIX, SOCK_STREAM, 0);
		check(connect(pair[1], (void *)&name, size) == 0 && write(pair[1], "early", 5) == 5, "connect: %m");
		if (!strcmp(what, "waiting-closed"))
			close(pair[1]);
	}
	if (!strcmp(what, "io_uring")) {
		struct io_uring_params params = { 0 };
		check((pair[0] = syscall(SYS_io_uring_setup, 1, &params)) >= 0, "io_uring_setup: %m");
	}
	if (!strcmp(what, "bpf")) {
		union bpf_attr map = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1 };
		check(syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map)) >= 0, "bpf: %m");
	}
	if (!strcmp(what, "perf")) {
		struct perf_event_attr event = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(event), .config = PERF_COUNT_SW_CPU_CLOCK };
		check(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0) >= 0, "perf_event_open: %m");
	}
	if (!strcmp(what, "userfaultfd-alone"))
		check(syscall(SYS_userfaultfd, O_CLOEXEC) >= 0, "userfaultfd: %m");
	if (!strncmp(what, "landlocked", 10)) {
		struct landlock_ruleset_attr rules = { .handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_BLOCK };
		int set = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);

		if (!strcmp(what, "landlocked-user"))
			check(setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0, "uid: %m");
		check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_landlock_restrict_self, set, 0) == 0, "landlock: %m");
		close(set);
	}
	if (!strcmp(what, "landlock")) {
		struct landlock_ruleset_attr rules = { .handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE };
		check(syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0) >= 0, "landlock: %m");
	}
	if (!strcmp(what, "secret"))
		check((pair[0] = (int)syscall(SYS_memfd_secret, 0)) >= 0 && ftruncate(pair[0], 4096) == 0, "memfd_secret: %m");
	if (!strcmp(what, "queue"))
		check(mq_open("/crts-refused", O_RDWR | O_CREAT, 0600, NULL) >= 0 && mq_unlink("/crts-refused") == 0, "mq_open: %m");
	if (!strcmp(what, "block"))
		/* Any one; it may have no medium. */
		check(open("/dev/loop0", O_RDONLY) >= 0, "loop0: %m");
	if (!strcmp(what, "deep")) {
		check(chdir(argv[3]) == 0, "chdir: %m");
		memset(path, 'd', 200);
		path[200] = 0;
		for (int i = 0; i < 22; i++)
			check(mkdir(path, 0700) == 0 && chdir(path) == 0, "mkdir: %m");
		check((deep = open(".", O_RDONLY)) >= 0 && open("file", O_RDWR | O_CREAT, 0600) >= 0 && chdir("/") == 0, "open: %m");
	}
	if (!strcmp(what, "thread"))
		check(pthread_create(&thread, NULL, idle, NULL) == 0, "thread: %m");
	if (!strcmp(what, "own-files") || !strcmp(what, "own-net")) {
		long flags = !strcmp(what, "own-files") ? CLONE_FILES : CLONE_NEWNET;

		check(pthread_create(&thread, NULL, idle_apart, (void *)flags) == 0, "thread: %m");
		usleep(100000);
	}
	if (!strcmp(what, "own-fs-of-two")) {
		check(pthread_create(&thread, NULL, idle_apart_with_another, NULL) == 0, "thread: %m");
		usleep(100000);
	}
	if (!strcmp(what, "pid-namespace"))
		check(unshare(CLONE_NEWPID) == 0, "unshare: %m");
	if (!strcmp(what, "dead-main")) {
		check(pthread_create(&thread, NULL, outlive, argv[1]) == 0, "thread: %m");
		pthread_exit(NULL);
	}
	if (!strcmp(what, "child") && (child = fork()) == 0)
		for (;;)
			pause();
	if (!strcmp(what, "unlinked")) {
		snprintf(path, sizeof(path), "%s/unlinked", argv[3]);
		pair[0] = open(path, O_RDWR | O_CREAT, 0600);
		snprintf(other, sizeof(other), "%s/linked", argv[3]);
		check(write(pair[0], "x", 1) == 1 && link(path, other) == 0 && unlink(path) == 0, "unlink: %m");
	}
	if (!strcmp(what, "userfaultfd")) {
		struct uffdio_api api = { .api = UFFD_API };
		struct uffdio_register area = { .range = { .len = 4096 }, .mode = UFFDIO_REGISTER_MODE_MISSING };
		int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

		area.range.start = (unsigned long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		check(ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &area) == 0, "userfaultfd: %m");
	}
	if (!strcmp(what, "timer")) {
		timer_t timer;
		clockid_t other;
		check(clock_getcpuclockid(getppid(), &other) == 0 && timer_create(other, NULL, &timer) == 0, "timer: %m");
	}
	if (!strcmp(what, "keyring"))
		/* KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, made where there is none. */
		check(syscall(SYS_keyctl, 0, -2, 1) > 0, "keyring: %m");
	if (!strcmp(what, "lock")) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };
		snprintf(path, sizeof(path), "%s/locked", argv[3]);
		pair[0] = open(path, O_RDWR | O_CREAT, 0600);
		check(fcntl(pair[0], F_SETLK, &lock) == 0, "lock: %m");
	}
	if (!strcmp(what, "seccomp")) {
		struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
		struct sock_fprog filter = { 1, allow };
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0, "seccomp: %m");
	}
	ready();
	wait_for(argv[1]);
	if (!strncmp(what, "waiting", 7)) {
		int accepted = accept(pair[0], NULL, NULL);
		check(read(accepted, path, 16) == 5 && !memcmp(path, "early", 5), "what came before accept: %m");
	}
	if (!strcmp(what, "socket"))
		check(write(pair[1], "y", 1) == 1 && read(pair[0], &byte, 1) == 1 && byte == 'y', "the pair is broken");
	if (deep >= 0) {
		/* Nobody else can take away what has such a name. */
		check(unlinkat(deep, "file", 0) == 0 && fchdir(deep) == 0, "unlinkat: %m");
		for (int i = 0; i < 22; i++)
			check(chdir("..") == 0 && rmdir(path) == 0, "rmdir: %m");
	}
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return done();
}
