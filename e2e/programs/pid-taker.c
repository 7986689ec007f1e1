/* Has the number argv[2] taken by a process or by a thread (argv[3]) of its own. */
#include "check.h"
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* The thread has no stack that a function could return on: it calls pause(2) again and again. */
static long clone_idle(struct clone_args *args)
{
	long result;

	__asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n2:\tmov %2, %%eax\n\tsyscall\n\tjmp 2b\n1:"
			 : "=a"(result)
			 : "a"(SYS_clone3), "i"(SYS_pause), "D"(args), "S"(sizeof(*args))
			 : "rcx", "r11", "memory");
	return result;
}

int main(int argc, char **argv)
{
	static char stack[16384];
	int wanted = argc > 3 ? atoi(argv[2]) : 0, is_thread = argc > 3 && !strcmp(argv[3], "thread");
	struct clone_args args = { .set_tid = (unsigned long)&wanted, .set_tid_size = 1, .exit_signal = is_thread ? 0 : SIGCHLD };

	if (is_thread) {
		args.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
		args.stack = (unsigned long)stack;
		args.stack_size = sizeof(stack);
	}
	check(clone_idle(&args) == wanted, "clone3: %m");
	ready();
	wait_for(argv[1]);
	if (!is_thread)
		check(kill(wanted, SIGKILL) == 0 && waitpid(wanted, NULL, 0) == wanted, "kill: %m");
	return done();
}
