/* Describes everything a task can find out about itself, before and after, and compares. argv[2]: a variant. */
#include "check.h"
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

static volatile sig_atomic_t alarms, vtalarms, profs;

static void on_alarm(int signal)
{
	if (signal == SIGALRM)
		alarms++;
	else if (signal == SIGVTALRM)
		vtalarms++;
	else
		profs++;
}

static void describe(char *out, size_t size)
{
	char *end = out + size;
	unsigned long words[16];
	gid_t groups[64];
	uid_t a, b, c;
	gid_t d, e, f;
	int value = 0;
	char text[256] = "";
	stack_t stack;
	struct {
		unsigned int version;
		int pid;
	} header = { 0x20080522, 0 };
	unsigned int caps[6];
	cpu_set_t cpus;
	void *head = NULL;
	size_t length = 0;
	struct itimerval timer;

#define say(...) out += snprintf(out, (size_t)(end - out), __VA_ARGS__)
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit limit = { 0, 0 };
		getrlimit(i, &limit);
		say("rlimit %d %lu %lu\n", i, (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
	}
	for (int i = 1; i <= 64; i++) {
		memset(words, 0, sizeof(words));
		syscall(SYS_rt_sigaction, i, NULL, words, 8);
		say("sigaction %d %lx %lx %lx %lx\n", i, words[0], words[1], words[2], words[3]);
	}
	syscall(SYS_rt_sigprocmask, 0, NULL, words, 8);
	say("mask %lx\n", words[0]);
	sigaltstack(NULL, &stack);
	say("altstack %p %d %zu\n", stack.ss_sp, stack.ss_flags, stack.ss_size);
	getresuid(&a, &b, &c);
	getresgid(&d, &e, &f);
	say("ids %u %u %u %u %u %u pid %d ppgid %d sid %d\n", a, b, c, d, e, f, getpid(), getpgid(0) == getpid(), getsid(0) == getpid());
	say("groups");
	for (int i = 0, n = getgroups(64, groups); i < n; i++)
		say(" %u", groups[i]);
	memset(caps, 0, sizeof(caps));
	syscall(SYS_capget, &header, caps);
	say("\ncaps %x %x %x %x %x %x\n", caps[0], caps[1], caps[2], caps[3], caps[4], caps[5]);
	for (int i = 0; i <= 40; i++)
		say("%d%d ", prctl(PR_CAPBSET_READ, i), prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0));
	say("\nsecurebits %x nnp %d dumpable %d slack %d", prctl(PR_GET_SECUREBITS), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_DUMPABLE), prctl(PR_GET_TIMERSLACK));
	prctl(PR_GET_PDEATHSIG, &value);
	say(" pdeath %d", value);
	prctl(PR_GET_CHILD_SUBREAPER, &value);
	say(" subreaper %d thp %d", value, prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	prctl(PR_GET_NAME, text);
	mode_t mask = umask(0);
	umask(mask);
	say("\nname %s personality %x umask %o\n", text, personality(0xffffffff), mask);
	say("cwd %s", getcwd(text, sizeof(text)));
	text[readlink("/proc/self/exe", text, sizeof(text) - 1)] = 0;
	say(" exe %s\n", text);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	say("sched %d nice %d cpus %d ioprio %ld\n", sched_getscheduler(0), getpriority(PRIO_PROCESS, 0), CPU_COUNT(&cpus), syscall(SYS_ioprio_get, 1, 0));
	syscall(SYS_get_robust_list, 0, &head, &length);
	prctl(PR_GET_TID_ADDRESS, words);
	say("robust %p %zu tid %lx brk %p\n", head, length, words[0], sbrk(0));
	for (int i = 0; i < 3; i++) {
		getitimer(i, &timer);
		say("itimer %d every %ld.%06ld armed %d\n", i, (long)timer.it_interval.tv_sec, (long)timer.it_interval.tv_usec,
		    timer.it_value.tv_sec || timer.it_value.tv_usec);
	}
	for (int i = 0; i < 60; i++)
		say("aux %d %lx\n", i, i == AT_NULL ? 0 : getauxval(i));
	int fd = open("/proc/self/auxv", O_RDONLY);
	unsigned long hash = 0, word;
	while (fd >= 0 && read(fd, &word, 8) == 8)
		hash = hash * 31 + word;
	close(fd);
	say("auxv file %lx\n", hash);
	static char line[4096];
	for (int i = 0; i < 2; i++) {
		fd = open(i ? "/proc/self/environ" : "/proc/self/cmdline", O_RDONLY);
		ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line));
		hash = 0;
		for (ssize_t j = 0; j < n; j++)
			hash = hash * 31 + (unsigned char)line[j];
		say("%s %zd %lx\n", i ? "environ" : "cmdline", n, hash);
		close(fd);
	}
}

static void set_up_signals(void)
{
	struct sigaction action;
	sigset_t blocked;

	for (int i = 34; i <= 64; i += 3) {
		memset(&action, 0, sizeof(action));
		action.sa_handler = i % 2 ? SIG_IGN : on_alarm;
		action.sa_flags = i % 4 ? SA_RESTART | SA_NODEFER : SA_ONSTACK | SA_SIGINFO;
		sigaddset(&action.sa_mask, i - 1);
		sigaction(i, &action, NULL);
	}
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	sigaddset(&blocked, 50);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	static char stack[65536];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	sigaltstack(&alternate, NULL);
	/* A blocked signal waits over the dump, with what came along. */
	union sigval value = { .sival_int = 4711 };
	sigqueue(getpid(), 50, value);
}

static void set_up_timers(void)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval every = { { 0, 20000 }, { 0, 20000 } };

	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGVTALRM, &action, NULL);
	sigaction(SIGPROF, &action, NULL);
	for (int i = 0; i < 3; i++)
		setitimer(i, &every, NULL);
}

static void set_up_attributes(const char *directory)
{
	struct rlimit files = { 500, 700 }, core = { 4096, 8192 };

	setrlimit(RLIMIT_NOFILE, &files);
	setrlimit(RLIMIT_CORE, &core);
	prctl(PR_SET_NAME, "a b) (c");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_TIMERSLACK, 123456);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	setpriority(PRIO_PROCESS, 0, 7);
	syscall(SYS_ioprio_set, 1, 0, (2 << 13) | 6);
	personality(ADDR_NO_RANDOMIZE);
	cpu_set_t cpus;
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	check(chdir(directory) == 0, "chdir: %m");
	umask(027);
	sbrk(123456);
}

static void set_up_credentials(void)
{
	gid_t groups[] = { 5, 77, 1234 };
	struct {
		unsigned int version;
		int pid;
	} header = { 0x20080522, 0 };
	/* CAP_CHOWN, CAP_NET_BIND_SERVICE. */
	unsigned int caps[6] = { 1 << 0, (1 << 0) | (1 << 10), 1 << 10, 0, 0, 0 };

	check(setgroups(3, groups) == 0, "setgroups: %m");
	prctl(PR_CAPBSET_DROP, 12);
	prctl(PR_CAPBSET_DROP, 33);
	prctl(PR_SET_KEEPCAPS, 1);
	check(setresgid(1001, 1002, 1003) == 0, "setresgid: %m");
	check(setresuid(2001, 2002, 2003) == 0, "setresuid: %m");
	check(syscall(SYS_capset, &header, caps) == 0, "capset: %m");
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 10, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int main(int argc, char **argv)
{
	static char before[65536], after[65536];
	const char *variant = argc > 2 ? argv[2] : "";

	if (!strcmp(variant, "signals"))
		set_up_signals();
	if (!strcmp(variant, "timers"))
		set_up_timers();
	if (!strcmp(variant, "attributes"))
		set_up_attributes(argv[3]);
	if (!strcmp(variant, "chroot"))
		check(chroot(argv[3]) == 0 && chdir("/") == 0, "chroot: %m");
	if (!strcmp(variant, "credentials"))
		set_up_credentials();
	describe(before, sizeof(before));
	ready();
	wait_for(argv[1]);
	describe(after, sizeof(after));
	if (strcmp(before, after)) {
		char *a = before, *b = after;
		while (*a && *b) {
			size_t la = strcspn(a, "\n"), lb = strcspn(b, "\n");
			if (la != lb || strncmp(a, b, la))
				fail("was \"%.*s\", is \"%.*s\"", (int)la, a, (int)lb, b);
			a += la + (a[la] != 0);
			b += lb + (b[lb] != 0);
		}
	}
	if (!strcmp(variant, "signals")) {
		struct timespec none = { 0, 0 };
		siginfo_t info;
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, 50);
		check(sigtimedwait(&set, &info, &none) == 50, "the pending signal is lost: %m");
		check(info.si_value.sival_int == 4711 && info.si_code == SI_QUEUE, "its siginfo is another");
	}
	if (!strcmp(variant, "timers")) {
		int had[3] = { alarms, vtalarms, profs };
		time_t until = time(NULL) + 5;
		while ((alarms < had[0] + 3 || vtalarms < had[1] + 3 || profs < had[2] + 3) && time(NULL) < until)
			;
		check(alarms >= had[0] + 3 && vtalarms >= had[1] + 3 && profs >= had[2] + 3, "timers do not fire: %d %d %d", alarms, vtalarms, profs);
	}
	return done();
}
