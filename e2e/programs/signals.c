/* Signals in unusual states over the dump (argv[2]): a handler on the alternate stack, long queues, a nested handler. */
#include "check.h"
#include <signal.h>
#include <sys/syscall.h>

#define QUEUED 200

static const char *go;
static char stack[256 * 1024];
static volatile sig_atomic_t handled, nested;

static int on_stack(void)
{
	stack_t now;

	sigaltstack(NULL, &now);
	return now.ss_flags == SS_ONSTACK && now.ss_sp == stack && now.ss_size == sizeof(stack);
}

static void inner(int signal)
{
	(void)signal;
	nested++;
}

static void outer(int signal, siginfo_t *info, void *context)
{
	char here;
	sigset_t mask;

	(void)context;
	check(&here > stack && &here < stack + sizeof(stack) && on_stack(), "the handler is not on its stack");
	ready();
	wait_for(go);
	check(&here > stack && &here < stack + sizeof(stack) && on_stack(), "the handler lost its stack");
	check(signal == SIGUSR1 && info->si_code == SI_QUEUE && info->si_value.sival_int == 99, "what the handler got differs");
	sigprocmask(SIG_SETMASK, NULL, &mask);
	check(sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGTERM) && !sigismember(&mask, SIGUSR2), "the handler's mask differs");
	raise(SIGUSR2);
	check(nested == 1, "no signal comes inside the handler");
	handled++;
}

static void in_a_handler(void)
{
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_sigaction = outer, .sa_flags = SA_SIGINFO | SA_ONSTACK }, other = { .sa_handler = inner };
	union sigval value = { .sival_int = 99 };

	sigaddset(&action.sa_mask, SIGTERM);
	sigaltstack(&alternate, NULL);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &other, NULL);
	sigqueue(getpid(), SIGUSR1, value);
	check(handled == 1 && !on_stack(), "the handler did not return");
}

/* Not the C library's: it hides SI_TKILL. */
static int take(const sigset_t *set, siginfo_t *info)
{
	struct timespec none = { 0, 0 };

	return (int)syscall(SYS_rt_sigtimedwait, set, info, &none, 8);
}

static void queued(void)
{
	sigset_t all, pending;
	siginfo_t info;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (int i = 0; i < QUEUED; i++) {
		union sigval value = { .sival_ptr = (void *)(0x123456789000ul + (unsigned long)i) };
		check(sigqueue(getpid(), SIGRTMIN + i % 3, value) == 0, "sigqueue: %m");
	}
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR1);
	syscall(SYS_tgkill, getpid(), getpid(), SIGUSR2);
	syscall(SYS_tgkill, getpid(), getpid(), SIGRTMAX);
	kill(getpid(), SIGTERM);
	ready();
	wait_for(go);
	sigpending(&pending);
	check(sigismember(&pending, SIGTERM) && !sigismember(&pending, SIGHUP), "other signals wait");
	for (int kind = 0; kind < 3; kind++)
		for (int i = kind; i < QUEUED; i += 3) {
			sigemptyset(&pending);
			sigaddset(&pending, SIGRTMIN + kind);
			int got = take(&pending, &info);
			check(got == SIGRTMIN + kind && info.si_value.sival_ptr == (void *)(0x123456789000ul + (unsigned long)i) &&
				      info.si_code == SI_QUEUE && info.si_pid == getpid() && info.si_uid == getuid(),
			      "queued signal %d is %d with %p", i, got, info.si_value.sival_ptr);
		}
	static const int once[] = { SIGUSR1, SIGUSR2, 64, SIGTERM };
	static const int codes[] = { SI_USER, SI_TKILL, SI_TKILL, SI_USER };
	for (int i = 0; i < 4; i++) {
		sigemptyset(&pending);
		sigaddset(&pending, once[i]);
		check(take(&pending, &info) == once[i] && info.si_code == codes[i] && info.si_pid == getpid(), "signal %d is lost: %m",
		      once[i]);
		check(take(&pending, &info) == -1 && errno == EAGAIN, "signal %d came twice", once[i]);
	}
}

int main(int argc, char **argv)
{
	go = argv[1];
	if (argc > 2 && !strcmp(argv[2], "in-a-handler"))
		in_a_handler();
	else
		queued();
	return done();
}
