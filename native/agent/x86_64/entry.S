/* rt_sigprocmask(SIG_SETMASK, &thread->mask, NULL, 8), rbx = thread; changes rax, rcx, rdx, rsi, rdi, r10, r11. */
	.macro call_block_signals
	mov $14, %eax
	mov $2, %edi
	mov %rbx, %rsi
	xor %edx, %edx
	mov $8, %r10d
	syscall
	.endm

/* First byte of the blob. rdi = struct agent_boot *, rsp = a stack of at least 4 KiB, any alignment. */
	.section .entry, "ax"
	.globl agent_entry
agent_entry:
	xor %ebp, %ebp
	and $-16, %rsp
	call agent_main
	ud2

/*
 * syscall; ret, for a task in whose libc none is found: offset 16 of the blob, AGENT_GADGET_OFFSET.
 */
	.balign 16
agent_gadget:
	syscall
	ret

/*
 * The restorer of a signal frame, for a task without one: rt_sigreturn(2), offset 32, AGENT_RESTORER_OFFSET. A task
 * cured through it keeps the agent's (idle) mapping, because nothing is left to unmap it.
 */
	.balign 16
agent_restorer:
	mov $15, %eax
	syscall

/*
 * Entry of a further thread, offset 48, AGENT_THREAD_ENTRY: protocol.h. rdi = struct agent_thread *. Until all signals are
 * blocked, and again while it waits, rsp is the thread's own: an engine that dies right then leaves a thread to which
 * signals come where it is.
 */
	.balign 16
agent_thread_entry:
	mov %rdi, %rbx
	call_block_signals
	mov 8(%rbx), %rsp
	and $-16, %rsp
	mov %rbx, %rdi
	call agent_thread_main
	mov 16(%rbx), %rsp
	mov 24(%rbx), %r12
	test %r12, %r12
	jz 3f
	mov 48(%rbx), %r13
1:	cmpl $0, 8(%r13)
	jne 2f
	mov $202, %eax			/* futex(&round->gone, FUTEX_WAIT, 0, NULL): touches no restart block without timeout */
	lea 8(%r13), %rdi
	xor %esi, %esi
	xor %edx, %edx
	xor %r10d, %r10d
	syscall
	jmp 1b
2:	call_block_signals
	mov 32(%rbx), %r12
	test %r12, %r12
	jnz 4f
	mov 24(%rbx), %rsp
	jmp agent_restorer
4:	lea 144(%r12), %rsp		/* struct user_regs_struct; from here on flags do not change */
	popfq
	mov 16(%rbx), %rsp
	mov $14, %eax			/* rt_sigprocmask(SIG_SETMASK, &thread->own_mask, NULL, 8) */
	mov $2, %edi
	lea 40(%rbx), %rsi
	mov $0, %edx
	mov $8, %r10d
	syscall
	mov 0(%r12), %r15
	mov 8(%r12), %r14
	mov 16(%r12), %r13
	mov 32(%r12), %rbp
	mov 40(%r12), %rbx
	mov 56(%r12), %r10
	mov 64(%r12), %r9
	mov 72(%r12), %r8
	mov 80(%r12), %rax
	mov 88(%r12), %rcx
	mov 96(%r12), %rdx
	mov 104(%r12), %rsi
	mov 112(%r12), %rdi
	mov 24(%r12), %r12
	jmp *%rcx
3:	mov $34, %eax			/* pause() */
	syscall
	jmp 3b

/*
 * long agent_clone(void *args, unsigned long size, struct agent_thread *thread): the child has the caller's stack pointer
 * and does not use it.
 */
	.text
	.globl agent_clone
	.hidden agent_clone
agent_clone:
	mov %rdx, %r8
	mov $435, %eax			/* clone3 */
	syscall
	test %rax, %rax
	jz 1f
	ret
1:	mov %r8, %rdi
	jmp agent_thread_entry

/*
 * long agent_fork(void *args, unsigned long size, const struct agent_fork *order): syscall.h. The stack is the
 * parent's, in memory that the child shares with it, for ever (CLONE_VM) or until the arena is mapped anew: between
 * clone3 and the jump the child uses registers only.
 */
	.text
	.globl agent_fork
	.hidden agent_fork
agent_fork:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov 0(%rdx), %rbx
	mov 8(%rdx), %r12
	mov 16(%rdx), %r13
	mov 24(%rdx), %r14
	mov 32(%rdx), %r15
	mov 40(%rdx), %rbp
	mov $435, %eax			/* clone3 */
	syscall
	test %rax, %rax
	jz 1f
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret
1:	mov $9, %eax			/* mmap(arena, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memfd, offset) */
	mov %r14, %rdi
	mov %r15, %rsi
	mov $3, %edx
	mov $0x11, %r10d
	mov %r13, %r8
	mov %rbp, %r9
	syscall
	cmp %r14, %rax
	jne 2f
	test %rbx, %rbx
	js 3f
	mov $292, %eax			/* dup3(doorbell, number, O_CLOEXEC) */
	mov %rbx, %rdi
	mov %r12, %rsi
	mov $02000000, %edx
	syscall
	cmp %r12, %rax
	jne 2f
	mov $436, %eax			/* close_range(number + 1, ~0, 0): the parent's */
	lea 1(%r12), %rdi
	mov $-1, %esi
	xor %edx, %edx
	syscall
4:	lea -128(%r14, %r15), %rdi	/* AGENT_FORK_BOOT */
	mov %rdi, %rsp
	jmp agent_entry
3:	mov $3, %eax			/* close(memfd): the table is the parent's too */
	mov %r13, %rdi
	syscall
	jmp 4b
2:	mov $231, %eax			/* exit_group(106) */
	mov $106, %edi
	syscall
	jmp 2b
	.section .note.GNU-stack, "", @progbits
