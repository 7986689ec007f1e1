/* Process entry: rsp points to argc, man 3 getauxval and the psABI. */
	.text
	.globl _start
_start:
	xor %ebp, %ebp
	mov %rsp, %rdi
	and $-16, %rsp
	call stub_main
	ud2

/* The blob that the build made just before. */
	.section .rodata
	.globl agent_blob, agent_blob_end
	.balign 16
agent_blob:
	.incbin "agent.bin"
agent_blob_end:
	.section .note.GNU-stack, "", @progbits
