/*
 * State that few programs set: corners GO WHAT. Each thread of the program, and a child, writes down what it has before the dump, and
 * compares afterwards.
 */
#include "check.h"
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
#define MEMBARRIER_GET_REGISTRATIONS 512
#define MEMBARRIER_REGISTER_PRIVATE_EXPEDITED 16
#define MEMBARRIER_REGISTER_GLOBAL_EXPEDITED 4
#define MEMBARRIER_REGISTER_SYNC_CORE 64
#define UTIL_CLAMP_MIN 0x20
#define UTIL_CLAMP_MAX 0x40
#define KEEP_POLICY 0x08
#define KEEP_PARAMS 0x10
#define THREADS 5
#define TEXT 8192

struct attributes {
	unsigned int size, policy;
	unsigned long flags;
	int nice;
	unsigned int priority;
	unsigned long runtime, deadline, period;
	unsigned int util_min, util_max;
};

struct header {
	unsigned int version;
	int pid;
};

static const char *what, *go;

static void file(const char *name, char *out, size_t size)
{
	int fd = open(name, O_RDONLY);
	ssize_t length = fd < 0 ? 0 : read(fd, out, size - 1);

	out[length > 0 ? length : 0] = 0;
	if (fd >= 0)
		close(fd);
}

static void put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY);

	check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %m", name);
	close(fd);
}

static void describe(char *out)
{
	char *end = out + TEXT, text[256];
	struct attributes attributes = { 0 };
	struct header header = { 0x20080522, 0 };
	unsigned int caps[6] = { 0 };
	uid_t a, b, c;
	gid_t groups[64];
	int value = 0;

#define say(...) out += snprintf(out, (size_t)(end - out), __VA_ARGS__)
	getresuid(&a, &b, &c);
	say("uid %u %u %u %d", a, b, c, setfsuid(-1));
	getresgid(&a, &b, &c);
	say(" gid %u %u %u %d groups", a, b, c, setfsgid(-1));
	for (int i = 0, n = getgroups(64, groups); i < n; i++)
		say(" %u", groups[i]);
	syscall(SYS_capget, &header, caps);
	say("\ncaps %x %x %x %x %x %x\n", caps[0], caps[1], caps[2], caps[3], caps[4], caps[5]);
	for (int i = 0; i <= 40; i++)
		say("%d%d ", prctl(PR_CAPBSET_READ, i), prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0));
	say("\nsecurebits %x keepcaps %d nnp %d dumpable %d\n", prctl(PR_GET_SECUREBITS), prctl(PR_GET_KEEPCAPS), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
	    prctl(PR_GET_DUMPABLE));
	prctl(PR_GET_PDEATHSIG, &value);
	say("pdeath %d slack %d mdwe %d membarrier %ld\n", value, prctl(PR_GET_TIMERSLACK), prctl(PR_GET_MDWE, 0, 0, 0, 0),
	    syscall(SYS_membarrier, MEMBARRIER_GET_REGISTRATIONS, 0, 0));
	syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0);
	say("util %u %u ioprio %ld\n", attributes.util_min, attributes.util_max, syscall(SYS_ioprio_get, 1, 0));
	static const char *const FILES[] = { "oom_score_adj", "coredump_filter", "loginuid", "timerslack_ns" };
	for (int i = 0; i < 4; i++) {
		char path[64];
		snprintf(path, sizeof(path), "/proc/self/%s", FILES[i]);
		file(path, text, sizeof(text));
		say("%s %s\n", FILES[i], text);
	}
}

static void capabilities(unsigned int effective, unsigned int permitted, unsigned int inheritable)
{
	struct header header = { 0x20080522, 0 };
	unsigned int caps[6] = { effective, permitted, inheritable, 0, 0, 0 };

	check(syscall(SYS_capset, &header, caps) == 0, "capset: %m");
}

static void set_up_attributes(void)
{
	struct attributes attributes = { 0 };

	syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0);
	attributes.size = sizeof(attributes);
	attributes.flags = UTIL_CLAMP_MIN | UTIL_CLAMP_MAX | KEEP_POLICY | KEEP_PARAMS;
	attributes.util_min = 100;
	attributes.util_max = 700;
	check(syscall(SYS_sched_setattr, 0, &attributes, 0) == 0 || errno == EOPNOTSUPP, "clamps: %m");
	put("/proc/self/oom_score_adj", "321");
	put("/proc/self/coredump_filter", "0x5");
	check(syscall(SYS_membarrier, MEMBARRIER_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0, "membarrier: %m");
	check(syscall(SYS_membarrier, MEMBARRIER_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0, "membarrier: %m");
	check(syscall(SYS_membarrier, MEMBARRIER_REGISTER_SYNC_CORE, 0, 0) == 0, "membarrier: %m");
	check(prctl(PR_SET_MDWE, 1, 0, 0, 0) == 0 || errno == EINVAL, "mdwe: %m");
	prctl(PR_SET_TIMERSLACK, 77777);
	/* The auditing of some kernels takes it once. */
	char text[64];
	file("/proc/self/loginuid", text, sizeof(text));
	if (!strcmp(text, "4294967295")) {
		int fd = open("/proc/self/loginuid", O_WRONLY);
		check(fd < 0 || write(fd, "1234", 4) == 4 || errno == EPERM, "loginuid: %m");
		close(fd);
	}
}

/* SECBIT_NOROOT, _NO_SETUID_FIXUP, _KEEP_CAPS, _NO_CAP_AMBIENT_RAISE, the last one locked. */
static void set_up_securebits(void)
{
	check(prctl(PR_SET_SECUREBITS, 0x01 | 0x04 | 0x10 | 0x40 | 0x80) == 0, "securebits: %m");
	for (int i = 20; i <= 40; i++)
		prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	check(syscall(SYS_setfsuid, 4321) >= 0 && syscall(SYS_setfsgid, 1234) >= 0, "fsuid");
	capabilities(0x00f0, 0x00ff, 0x0f0f);
	prctl(PR_SET_DUMPABLE, 0);
}

/* By the system calls themselves: those of libc change all threads. */
static void set_up_thread(int index)
{
	gid_t groups[] = { 7, 70 + (gid_t)index, 700 };

	check(syscall(SYS_setgroups, 1 + index % 3, groups) == 0, "setgroups: %m");
	prctl(PR_SET_KEEPCAPS, index % 2);
	for (int i = 30; i < 30 + index; i++)
		prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	check(syscall(SYS_setresgid, 100 + index, 200 + index, 300 + index) == 0, "setresgid: %m");
	if (index % 2) {
		check(syscall(SYS_setresuid, 1000 + index, 2000 + index, 3000 + index) == 0, "setresuid: %m");
		/* CAP_NET_BIND_SERVICE. */
		capabilities(index == 1 ? 0 : 1 << 10, 0xfff, 1 << 10);
		check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 10, 0, 0) == 0, "ambient: %m");
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	}
	prctl(PR_SET_TIMERSLACK, 60000 + index);
}

static char before[THREADS][TEXT], after[THREADS][TEXT];
static volatile int ready_threads;
static int pipes[2];

static void *thread(void *argument)
{
	int index = (int)(intptr_t)argument;

	set_up_thread(index);
	describe(before[index]);
	__atomic_add_fetch(&ready_threads, 1, __ATOMIC_SEQ_CST);
	wait_for(go);
	describe(after[index]);
	check(!strcmp(before[index], after[index]), "thread %d was %s, is %s", index, before[index], after[index]);
	return NULL;
}

static int child(int signal)
{
	static char had[TEXT], has[TEXT];

	prctl(PR_SET_PDEATHSIG, signal);
	set_up_thread(1);
	/* A change of uid takes it away. */
	prctl(PR_SET_PDEATHSIG, signal);
	describe(had);
	check(write(pipes[1], "x", 1) == 1, "pipe");
	close(pipes[0]);
	close(pipes[1]);
	wait_for(go);
	describe(has);
	check(strstr(has, "pdeath 10 ") && !strcmp(had, has), "the child was %s, is %s", had, has);
	fflush(stdout);
	return failures;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	static char own[TEXT], now[TEXT];
	pid_t pid = 0;
	int status = 0;

	go = argv[1];
	what = argc > 2 ? argv[2] : "";
	if (!strcmp(what, "child")) {
		check(pipe(pipes) == 0, "pipe: %m");
		if ((pid = fork()) == 0)
			return child(SIGUSR1);
		char byte;

		check(read(pipes[0], &byte, 1) == 1, "the child: %m");
		close(pipes[0]);
		close(pipes[1]);
	}
	if (!strcmp(what, "threads")) {
		for (int i = 0; i < THREADS; i++)
			pthread_create(&threads[i], NULL, thread, (void *)(intptr_t)i);
		while (ready_threads < THREADS)
			usleep(1000);
	}
	if (!strcmp(what, "attributes"))
		set_up_attributes();
	if (!strcmp(what, "securebits"))
		set_up_securebits();
	describe(own);
	ready();
	wait_for(go);
	describe(now);
	check(!strcmp(own, now), "was %s, is %s", own, now);
	if (!strcmp(what, "threads"))
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
	if (pid > 0)
		check(waitpid(pid, &status, 0) == pid && status == 0, "the child ended with %x", (unsigned int)status);
	return done();
}
