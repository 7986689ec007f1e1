/* Attributes of a thread that CRIU loses, set up by argv[2] and compared before and after. */
#include "check.h"
#include <linux/filter.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <cpuid.h>

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif
#define ARCH_GET_CPUID 0x1011
#define ARCH_SET_CPUID 0x1012
#define THP_EXCEPT_ADVISED 2

struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

static sigjmp_buf back;
static char selector;
static volatile int dispatched;

static void on_fault(int signal)
{
	(void)signal;
	siglongjmp(back, 1);
}

/* The selector is back at ALLOW before anything else is called. */
static void on_dispatch(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	selector = 0;
	dispatched = info->si_syscall;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = 4711;
}

static void get(struct attributes *attributes)
{
	memset(attributes, 0, sizeof(*attributes));
	check(syscall(SYS_sched_getattr, 0, attributes, sizeof(*attributes), 0) == 0, "sched_getattr: %m");
}

static void describe(char *out, size_t size)
{
	char *end = out + size;
	struct attributes attributes;
	unsigned long nodes[64] = { 0 };
	int mode = -1, tsc = 0, fd;
	char text[256] = "";

#define say(...) out += snprintf(out, (size_t)(end - out), __VA_ARGS__)
	get(&attributes);
	say("policy %u flags %lx nice %d prio %u runtime %lu deadline %lu period %lu util %u %u\n", attributes.policy, attributes.flags, attributes.nice,
	    attributes.priority, attributes.runtime, attributes.deadline, attributes.period, attributes.util_min, attributes.util_max);
	syscall(SYS_get_mempolicy, &mode, nodes, sizeof(nodes) * 8, NULL, 0);
	say("mempolicy %x %lx\n", mode, nodes[0]);
	for (int i = 0; i < 3; i++)
		say("speculation %d: %d\n", i, prctl(PR_GET_SPECULATION_CTRL, i, 0, 0, 0));
	prctl(PR_GET_TSC, &tsc);
	say("tsc %d cpuid %ld memory failure %d\n", tsc, syscall(SYS_arch_prctl, ARCH_GET_CPUID, 0), prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
	unsigned long components = 0;
	syscall(SYS_arch_prctl, 0x1022, &components);
	say("components %lx\n", components);
	say("thp %d merge %d\n", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0));
	fd = open("/proc/self/autogroup", O_RDONLY);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
		say("autogroup %s", strchr(text, ' '));
	close(fd);
}

static void set_up(const char *what)
{
	struct attributes attributes;
	unsigned long nodes[1] = { 1 };

	get(&attributes);
	if (!strcmp(what, "deadline")) {
		attributes = (struct attributes){ .size = sizeof(attributes), .policy = 6, .flags = 2, .runtime = 10000000, .deadline = 30000000, .period = 31000000 };
		check(syscall(SYS_sched_setattr, 0, &attributes, 0) == 0, "deadline: %m");
	}
	if (!strcmp(what, "slice")) {
		attributes.policy = SCHED_BATCH;
		attributes.flags = 1;
		attributes.nice = 3;
		attributes.runtime = 10000000;
		check(syscall(SYS_sched_setattr, 0, &attributes, 0) == 0, "slice: %m");
	}
	if (!strcmp(what, "memory")) {
		check(syscall(SYS_set_mempolicy, 3 | 0x8000, nodes, 64) == 0, "set_mempolicy: %m");
		check(prctl(PR_SET_THP_DISABLE, 1, THP_EXCEPT_ADVISED, 0, 0) == 0 || errno == EINVAL, "thp: %m");
		check(prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) == 0 || errno == EINVAL, "merge: %m");
		int fd = open("/proc/self/autogroup", O_WRONLY);
		check(fd < 0 || write(fd, "5", 1) == 1, "autogroup: %m");
		close(fd);
	}
	if (!strcmp(what, "cpu")) {
		for (int i = 0; i < 2; i++)
			check(prctl(PR_SET_SPECULATION_CTRL, i, i ? PR_SPEC_FORCE_DISABLE : PR_SPEC_DISABLE, 0, 0) == 0 || errno == ENXIO || errno == EPERM, "speculation %d: %m", i);
		check(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) == 0, "memory failure: %m");
		check(syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0) == 0 || errno == ENODEV, "cpuid: %m");
		check(prctl(PR_SET_TSC, PR_TSC_SIGSEGV) == 0, "tsc: %m");
		/* ARCH_REQ_XCOMP_PERM: AMX tiles, where the CPU has them. */
		syscall(SYS_arch_prctl, 0x1023, 18);
	}
}

/* Calls of libc and of this program go through, unless the selector says otherwise. */
static void set_up_dispatch(void)
{
	struct sigaction action = { .sa_sigaction = on_dispatch, .sa_flags = SA_SIGINFO };

	sigaction(SIGSYS, &action, NULL);
	check(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector) == 0, "dispatch: %m");
}

static void check_dispatch(void)
{
	/* No call between the two lines but the one that is dispatched. */
	selector = 1;
	long answer = syscall(SYS_getpid);
	check(answer == 4711 && dispatched == SYS_getpid, "a call is not dispatched: %ld", answer);
	check(selector == 0, "the selector is %d", selector);
}

static void check_faults(void)
{
	unsigned int a, b, c, d;

	signal(SIGSEGV, on_fault);
	if (!sigsetjmp(back, 1)) {
		__builtin_ia32_rdtsc();
		fail("reading the TSC does not fault");
	}
	if (syscall(SYS_arch_prctl, ARCH_GET_CPUID, 0) == 0 && !sigsetjmp(back, 1)) {
		__cpuid(0, a, b, c, d);
		fail("cpuid does not fault");
	}
}

int main(int argc, char **argv)
{
	static char before[4096], after[4096];
	const char *what = argc > 2 ? argv[2] : "";

	set_up(what);
	if (!strcmp(what, "dispatch"))
		set_up_dispatch();
	describe(before, sizeof(before));
	ready();
	wait_for(argv[1]);
	describe(after, sizeof(after));
	check(!strcmp(before, after), "was %s, is %s", before, after);
	if (!strcmp(what, "dispatch"))
		check_dispatch();
	if (!strcmp(what, "cpu"))
		check_faults();
	return done();
}
