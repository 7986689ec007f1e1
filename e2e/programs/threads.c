/*
 * Threads that differ in all that a thread has for itself, each blocked in a call of its own over the dump. argv[2] may be
 * "epoll": one of them waits in an epoll; "criu": what CRIU 4.2 does not keep may
 * be lost: CPUs, timer slack, the time left of a call.
 */
#include "check.h"
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER, guard = PTHREAD_MUTEX_INITIALIZER, robust;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static sem_t semaphore;
static volatile int over, word, set_up, by_criu;
static int ends[2] = { -1, -1 }, epoll = -1;
static __thread long local = -1;
static __thread char big[5000];
static pthread_key_t key;

static double milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

/* A call that lasts until the time it was given is over, whatever happened meanwhile. */
#define LAST 4000.0

static int ended(int in_time)
{
	return in_time || (by_criu && errno == EINTR);
}

static struct timespec rest(void)
{
	return (struct timespec){ (long)LAST / 1000, 0 };
}

static void wait_mutex(void)
{
	pthread_mutex_lock(&held);
	check(over, "a mutex was free too early");
	pthread_mutex_unlock(&held);
}

static void wait_condition(void)
{
	pthread_mutex_lock(&guard);
	while (!over)
		pthread_cond_wait(&changed, &guard);
	pthread_mutex_unlock(&guard);
}

static void wait_writer(void)
{
	check(pthread_rwlock_wrlock(&lock) == 0 && over, "a lock was free too early");
	pthread_rwlock_unlock(&lock);
}

static void wait_semaphore(void)
{
	while (sem_wait(&semaphore) != 0)
		check(errno == EINTR, "sem_wait: %m");
	check(over, "a semaphore was up too early");
}

static void wait_futex(void)
{
	while (!word) {
		long result = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);

		check(result == 0 || errno == EAGAIN, "futex: %m");
	}
}

static void wait_nanosleep(void)
{
	struct timespec time = rest(), left;

	check(ended(nanosleep(&time, &left) == 0), "nanosleep: %m");
}

static void wait_poll(void)
{
	check(ended(poll(NULL, 0, (int)LAST) == 0), "poll: %m");
}

static void wait_futex_time(void)
{
	struct timespec time = rest();
	static int never;

	check(ended(syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, &time, NULL, 0) == -1 && errno == ETIMEDOUT), "futex: %m");
}

static void wait_sigtimedwait(void)
{
	struct timespec time = rest();
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	check(ended(sigtimedwait(&set, NULL, &time) == -1 && errno == EAGAIN), "sigtimedwait: %m");
}

static void wait_sigwait(void)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	while (sigwaitinfo(&set, &info) != SIGUSR2)
		check(by_criu && errno == EINTR, "sigwaitinfo: %m");
}

static void wait_pipe(void)
{
	char byte = 0;

	check(read(ends[0], &byte, 1) == 1 && byte == 'x', "read: %m");
}

static void wait_epoll(void)
{
	struct epoll_event event;

	if (epoll < 0)
		usleep((useconds_t)LAST * 1000);
	else
		check(ended(epoll_wait(epoll, &event, 1, (int)LAST) == 0), "epoll_wait: %m");
}

/* Dies with a robust mutex in its hands. */
static void wait_robust(void)
{
	pthread_mutex_lock(&robust);
	wait_futex();
}

static const struct {
	const char *name;
	void (*wait)(void);
	int timed; /* it ends by itself after LAST */
} KINDS[] = {
	{ "mutex", wait_mutex, 0 },
	{ "condition", wait_condition, 0 },
	{ "writer", wait_writer, 0 },
	{ "semaphore", wait_semaphore, 0 },
	{ "futex", wait_futex, 0 },
	{ "nanosleep", wait_nanosleep, 1 },
	{ "poll", wait_poll, 1 },
	{ "futex-time", wait_futex_time, 1 },
	{ "sigtimedwait", wait_sigtimedwait, 1 },
	{ "sigwait", wait_sigwait, 0 },
	{ "pipe", wait_pipe, 0 },
	{ "epoll", wait_epoll, 1 },
	{ "robust", wait_robust, 0 },
};
#define COUNT ((int)(sizeof(KINDS) / sizeof(*KINDS)))

static struct member {
	pthread_t thread;
	int tid;
	void *stack;
} members[COUNT];

static void own_mask(int index, sigset_t *mask)
{
	sigemptyset(mask);
	sigaddset(mask, SIGUSR1);
	sigaddset(mask, SIGUSR2);
	sigaddset(mask, SIGWINCH);
	sigaddset(mask, SIGRTMIN + index);
}

static void prepare(struct member *self, int index)
{
	struct sched_param none = { 0 };
	stack_t stack = { .ss_size = 16384 + 4096 * (size_t)index };
	cpu_set_t cpus;
	sigset_t mask;

	self->tid = (int)syscall(SYS_gettid);
	local = index;
	memset(big, index, sizeof(big));
	pthread_setspecific(key, self);
	prctl(PR_SET_NAME, KINDS[index].name);
	stack.ss_sp = self->stack = malloc(stack.ss_size);
	sigaltstack(&stack, NULL);
	own_mask(index, &mask);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	setpriority(PRIO_PROCESS, (id_t)self->tid, index);
	CPU_ZERO(&cpus);
	CPU_SET(index % 2, &cpus);
	if (index % 3 == 0)
		sched_setaffinity(0, sizeof(cpus), &cpus);
	if (index == 3)
		sched_setscheduler(0, SCHED_BATCH, &none);
	if (index == 4)
		sched_setscheduler(0, SCHED_IDLE, &none);
	if (index == 5)
		sched_setscheduler(0, SCHED_RR, &(struct sched_param){ .sched_priority = 7 });
	prctl(PR_SET_TIMERSLACK, 60000 + index);
	if (index == 2) {
		syscall(SYS_tgkill, getpid(), self->tid, SIGUSR1);
		for (int i = 0; i < 3; i++) {
			siginfo_t info = { .si_code = SI_QUEUE };

			info.si_value.sival_int = 100 + i;
			if (syscall(SYS_rt_tgsigqueueinfo, getpid(), self->tid, SIGRTMIN + index, &info) != 0)
				fail("rt_tgsigqueueinfo: %m");
		}
	}
}

static void look_after(struct member *self, int index)
{
	static const int POLICIES[COUNT] = { [3] = SCHED_BATCH, [4] = SCHED_IDLE, [5] = SCHED_RR };
	const char *name = KINDS[index].name;
	char now[16];
	sigset_t mask, want;
	stack_t stack;
	cpu_set_t cpus;
	int same = 1;
	struct sched_param parameters;

	check(syscall(SYS_gettid) == self->tid, "%s: tid %ld, not %d", name, syscall(SYS_gettid), self->tid);
	check(pthread_equal(pthread_self(), self->thread), "%s: pthread_self", name);
	check(local == index && big[0] == index && big[4999] == index, "%s: thread local data", name);
	check(pthread_getspecific(key) == self, "%s: thread specific data", name);
	prctl(PR_GET_NAME, now);
	check(!strcmp(now, name), "%s is called %s", name, now);
	check(sigaltstack(NULL, &stack) == 0 && stack.ss_sp == self->stack && stack.ss_size == 16384 + 4096 * (size_t)index,
	      "%s: alternate stack", name);
	own_mask(index, &want);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	for (int i = 1; i <= 64; i++)
		same &= sigismember(&mask, i) == sigismember(&want, i);
	check(same, "%s: signal mask", name);
	if (index != 5)
		check(getpriority(PRIO_PROCESS, 0) == index, "%s: nice %d", name, getpriority(PRIO_PROCESS, 0));
	check(sched_getscheduler(0) == POLICIES[index], "%s: policy %d", name, sched_getscheduler(0));
	sched_getparam(0, &parameters);
	check(parameters.sched_priority == (index == 5 ? 7 : 0), "%s: priority %d", name, parameters.sched_priority);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (index % 3 == 0 && !by_criu)
		check(CPU_COUNT(&cpus) == 1 && CPU_ISSET(index % 2, &cpus), "%s: CPUs", name);
	else if (!by_criu)
		check(CPU_COUNT(&cpus) > 1, "%s: one CPU", name);
	if (index != 5 && !by_criu)
		check(prctl(PR_GET_TIMERSLACK) == 60000 + index, "%s: timer slack %d", name, prctl(PR_GET_TIMERSLACK));
	sigpending(&mask);
	check(sigismember(&mask, SIGUSR1) == (index == 2), "%s: pending signal", name);
	if (index == 2) {
		siginfo_t info;
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, SIGRTMIN + index);
		for (int i = 0; i < 3; i++)
			check(sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) == SIGRTMIN + index &&
				      info.si_value.sival_int == 100 + i,
			      "%s: queued signal %d", name, i);
	}
}

static void *live(void *argument)
{
	struct member *self = argument;
	int index = (int)(self - members);
	double before;

	prepare(self, index);
	__atomic_add_fetch(&set_up, 1, __ATOMIC_SEQ_CST);
	before = milliseconds();
	KINDS[index].wait();
	if (KINDS[index].timed) {
		check(by_criu || milliseconds() - before >= LAST - 2, "%s: %g ms", KINDS[index].name,
		      milliseconds() - before);
		/* The threads stay what they are until the end. */
		wait_futex();
	}
	look_after(self, index);
	return self;
}

int main(int argc, char **argv)
{
	pthread_mutexattr_t attributes;
	sigset_t mask;

	by_criu = argc > 2 && !strcmp(argv[2], "criu");
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	if (argc > 2 && !strcmp(argv[2], "epoll"))
		epoll = epoll_create1(0);
	if (pipe(ends) != 0)
		fail("pipe: %m");
	pthread_key_create(&key, NULL);
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &attributes);
	sem_init(&semaphore, 0, 0);
	pthread_mutex_lock(&held);
	pthread_rwlock_rdlock(&lock);
	for (int i = 0; i < COUNT; i++)
		if (pthread_create(&members[i].thread, NULL, live, &members[i]) != 0)
			fail("pthread_create: %m");
	while (set_up < COUNT)
		usleep(1000);
	usleep(50000);
	ready();
	wait_for(argv[1]);
	pthread_mutex_lock(&guard);
	over = 1;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&guard);
	pthread_mutex_unlock(&held);
	pthread_rwlock_unlock(&lock);
	sem_post(&semaphore);
	word = 1;
	syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, COUNT, NULL, NULL, 0);
	pthread_kill(members[9].thread, SIGUSR2);
	if (write(ends[1], "x", 1) != 1)
		fail("write: %m");
	for (int i = 0; i < COUNT; i++) {
		void *result;

		check(pthread_join(members[i].thread, &result) == 0 && result == &members[i], "%s: join", KINDS[i].name);
	}
	check(pthread_mutex_lock(&robust) == EOWNERDEAD, "the robust mutex's owner did not die");
	return done();
}
