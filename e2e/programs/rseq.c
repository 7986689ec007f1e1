/* Restartable sequences: the kernel goes on writing the CPU number, and a sequence cut by the dump is aborted. */
#include "check.h"
#include <sched.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <x86intrin.h>

struct sequence {
	unsigned int version, flags;
	unsigned long start, length, abort;
} __attribute__((aligned(32)));

static unsigned long aborts;

static volatile struct rseq *area(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

/*
 * Spins inside a sequence, looking at the time stamp counter: a gap as long as a dump and a restore without an
 * abort means that the kernel forgot about the sequence. Returns the longest gap, in cycles.
 */
static unsigned long spin_in_a_sequence(void)
{
	unsigned long longest = 0;

	__asm__ volatile(".pushsection __rseq_cs, \"aw\"\n\t.balign 32\n3:	.long 0, 0\n\t.quad 1f, 2f - 1f, 4f\n\t.popsection\n\t"
			 "lea 3b(%%rip), %%rax\n\tmov %%rax, 8(%[area])\n"
			 "1:	mov $20000000, %%ecx\n\trdtsc\n\tshl $32, %%rdx\n\tor %%rdx, %%rax\n\tmov %%rax, %%r8\n"
			 "5:	rdtsc\n\tshl $32, %%rdx\n\tor %%rdx, %%rax\n\tmov %%rax, %%r9\n\tsub %%r8, %%rax\n\tmov %%r9, %%r8\n\t"
			 "cmp %[longest], %%rax\n\tjbe 6f\n\tmov %%rax, %[longest]\n6:	dec %%ecx\n\tjnz 5b\n"
			 "2:	jmp 7f\n\t"
			 ".byte 0x0f, 0xb9, 0x3d\n\t.long 0x53053053\n" /* the signature before the abort address */
			 "4:	incq %[aborts]\n"
			 "7:	movq $0, 8(%[area])"
			 : [longest] "+r"(longest), [aborts] "+m"(aborts)
			 : [area] "r"(area())
			 : "rax", "rcx", "rdx", "r8", "r9", "memory", "cc");
	return longest;
}

int main(int argc, char **argv)
{
	int critical = argc > 2 && !strcmp(argv[2], "critical");
	cpu_set_t all, one;
	unsigned int cpu;

	check(__rseq_size > 0, "the C library registered nothing");
	unsigned long begin = __rdtsc();
	usleep(100000);
	unsigned long longest_allowed = (__rdtsc() - begin) / 3; /* 33 ms: shorter than any dump and restore */
	ready();
	if (critical)
		do {
			unsigned long gap = spin_in_a_sequence();
			check(gap < longest_allowed, "a sequence was not aborted over a gap of %lu cycles", gap);
		} while (access(argv[1], F_OK) != 0);
	else
		wait_for(argv[1]);
	sched_getaffinity(0, sizeof(all), &all);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all)) {
			CPU_ZERO(&one);
			CPU_SET(i, &one);
			sched_setaffinity(0, sizeof(one), &one);
			getcpu(&cpu, NULL);
			check(area()->cpu_id == (unsigned int)i && area()->cpu_id_start == cpu, "the area says CPU %u, it is %u", area()->cpu_id, cpu);
		}
	/* It is registered: once more is EBUSY for the same area, and EINVAL for another. man 2 rseq. */
	check(syscall(SYS_rseq, area(), 32, 0, 0x53053053) == -1 && errno == EBUSY, "registering again: %m");
	return done();
}
