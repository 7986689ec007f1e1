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
 * long agent_fork(void *args, unsigned long size, const struct agent_fork *order): syscall.h. The stack is the
 * parent's, in memory that the child shares with it until the arena is mapped anew: between clone3 and the jump the
 * child uses registers only.
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
	lea -64(%r14, %r15), %rdi	/* AGENT_FORK_BOOT */
	mov %rdi, %rsp
	jmp agent_entry
2:	mov $231, %eax			/* exit_group(106) */
	mov $106, %edi
	syscall
	jmp 2b
	.section .note.GNU-stack, "", @progbits
