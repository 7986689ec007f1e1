/*
 * The stub: first program of a restored task. A static ELF that carries the agent, puts it where the plan says, with
 * its arena behind it, and becomes it. It inherits one descriptor, the doorbell, whose number is argv[1]; the first
 * message brings struct agent_boot and the arena's memfd. The stub's own mappings are unmapped by the plan.
 */
#include "protocol.h"
#include "syscall.h"

#include <asm/unistd.h>

typedef unsigned long word;

#define MSG_CMSG_CLOEXEC 0x40000000
#define PROT_READ_WRITE 3
#define PROT_READ_EXEC 5
#define MAP_SHARED 1
#define MAP_PRIVATE_ANONYMOUS 0x22
#define MAP_FIXED_NOREPLACE 0x100000

extern const unsigned char agent_blob[], agent_blob_end[];

static void __attribute__((noreturn)) die(word code)
{
	for (;;)
		raw_syscall(__NR_exit_group, code, 0, 0, 0, 0, 0);
}

static word number(const char *text)
{
	word value = 0;

	while (*text >= '0' && *text <= '9')
		value = value * 10 + (word)(*text++ - '0');
	return value;
}

/* Exit codes tell the engine where it failed; remote/stub.ts names them. */
void __attribute__((noreturn, used)) stub_main(word *stack)
{
	struct agent_boot boot;
	struct {
		word length;
		int level, type, fd, padding;
	} rights;
	struct {
		void *base;
		word length;
	} iov = { &boot, sizeof(boot) };
	struct {
		void *name;
		unsigned int namelen;
		void *iov;
		word iovlen;
		void *control;
		word controllen;
		unsigned int flags;
	} message = { 0, 0, &iov, 1, &rights, sizeof(rights), 0 };
	word doorbell, size = (word)(agent_blob_end - agent_blob);

	if (stack[0] != 2)
		die(101);
	doorbell = number((const char *)stack[2]);
	if (raw_syscall(__NR_recvmsg, doorbell, (word)&message, MSG_CMSG_CLOEXEC, 0, 0, 0) != (long)sizeof(boot) ||
	    message.controllen < 20 || boot.area + size > boot.arena)
		die(102);
	if (raw_syscall(__NR_mmap, boot.area, boot.arena - boot.area, PROT_READ_WRITE,
			MAP_PRIVATE_ANONYMOUS | MAP_FIXED_NOREPLACE, ~0ul, 0) != (long)boot.area)
		die(103);
	for (word i = 0; i < size; i++)
		((volatile unsigned char *)boot.area)[i] = agent_blob[i];
	if (raw_syscall(__NR_mprotect, boot.area, boot.arena - boot.area, PROT_READ_EXEC, 0, 0, 0) < 0)
		die(104);
	if (raw_syscall(__NR_mmap, boot.arena, boot.arena_size, PROT_READ_WRITE,
			MAP_SHARED | MAP_FIXED_NOREPLACE, (word)rights.fd, 0) < 0)
		die(105);
	raw_syscall(__NR_close, (word)rights.fd, 0, 0, 0, 0, 0);
	boot.socket = (long)doorbell;
	/* The stub's stack goes away with its other mappings: the agent's is the end of the arena. */
	enter_agent(boot.area, boot.arena + boot.arena_size, &boot);
}
