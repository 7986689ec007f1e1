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
	.section .note.GNU-stack, "", @progbits
