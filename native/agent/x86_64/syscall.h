/* Raw system calls of x86-64: number in rax, arguments in rdi rsi rdx r10 r8 r9, man 2 syscall. */
#ifndef CRTS_AGENT_SYSCALL_H
#define CRTS_AGENT_SYSCALL_H

static inline long raw_syscall(unsigned long nr, unsigned long a, unsigned long b, unsigned long c, unsigned long d,
			       unsigned long e, unsigned long f)
{
	register unsigned long r10 __asm__("r10") = d;
	register unsigned long r8 __asm__("r8") = e;
	register unsigned long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

/*
 * Continues at `ip` on stack `stack`, with munmap(area, size) loaded as the next system call: what lies at `ip` is a
 * `syscall` instruction (restore, under ptrace) or the restorer of a signal frame, which loads its own number.
 */
static inline void __attribute__((noreturn)) leave_to(unsigned long ip, unsigned long stack, unsigned long area,
						      unsigned long size)
{
	__asm__ volatile("mov %[stack], %%rsp\n\tjmp *%[ip]"
			 :
			 : [ip] "r"(ip), [stack] "r"(stack), "D"(area), "S"(size), "a"(11ul)
			 : "memory");
	__builtin_unreachable();
}

/* What a forked child does before it has a stack: entry.S loads these into registers, in this order. */
struct agent_fork {
	unsigned long doorbell;   /* descriptor of the child's doorbell; negative: it has its number */
	unsigned long number;     /* number that it gets */
	unsigned long memfd;      /* the child's arena is at `offset` of this, */
	unsigned long arena;      /* and goes here */
	unsigned long arena_size;
	unsigned long offset;
};

/* clone3(args, size) whose child becomes an agent. Returns in the parent only: the pid, or a negative errno. */
long agent_fork(void *args, unsigned long size, const struct agent_fork *order);

/* clone3(args, size) whose child is a thread that goes to agent_thread_entry. Returns in the caller only. */
long agent_clone(void *args, unsigned long size, void *thread);

/* Starts the agent at `entry` on stack `stack`. */
static inline void __attribute__((noreturn)) enter_agent(unsigned long entry, unsigned long stack, void *boot)
{
	__asm__ volatile("mov %[stack], %%rsp\n\tjmp *%[entry]" : : [entry] "r"(entry), [stack] "r"(stack), "D"(boot) : "memory");
	__builtin_unreachable();
}

#endif
