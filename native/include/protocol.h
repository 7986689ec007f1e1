/*
 * The protocol between the engine (TypeScript) and the agent that runs inside a task.
 * packages/native-syscalls/src/remote/protocol.ts has the same numbers; its test reads this file.
 *
 * One arena, a memfd mapped by both, holds the program; one SEQPACKET socket is the doorbell. The engine sends one
 * `struct agent_request`, the agent answers with one `struct agent_reply`. A receive that returns 0 bytes means
 * that the engine is gone.
 */
#ifndef CRTS_PROTOCOL_H
#define CRTS_PROTOCOL_H

#define CRTS_PROTOCOL 8

/* What an instruction does. */
#define AGENT_OP_SYSCALL 0u     /* nr(arg[0..5]) */
#define AGENT_OP_STORE 1u       /* nr = arena offset, arg[0] = value, arg[1] = size in bytes (4 or 8) */
#define AGENT_OP_MOVE_FD 2u     /* arg[0] = fd, arg[1] = final number, arg[2] = close-on-exec */
#define AGENT_OP_RECEIVE_FD 3u  /* result = the next descriptor that the engine sent on the doorbell */
#define AGENT_OP_PAGES_WRITE 4u /* arg[0] = fd, arg[1] = pointer to struct agent_run[], arg[2] = count */
#define AGENT_OP_PAGES_READ 5u  /* the same, from the file into memory */
#define AGENT_OP_FORK 6u        /* arg[0] = pid, arg[1] = clone flags with the exit signal in the lowest byte, arg[2] = the
				 * child's doorbell, arg[3] = the memfd of its arena, arg[4] = where in it, arg[5] =
				 * struct agent_place; result = pid. The child's boot block lies AGENT_FORK_BOOT bytes
				 * before the end of its arena. */
#define AGENT_OP_THREAD 7u      /* arg[0] = tid, arg[1] = address of its struct agent_thread; result = tid */
#define AGENT_OP_PAGES_UPDATE 8u /* arg[0..2] as AGENT_OP_PAGES_READ, arg[3] = room of AGENT_UPDATE_ROOM bytes: only pages
				  * that are not in memory as the file has them are written, so that equal ones stay
				  * shared with who had them before; result = bytes that were written. Runs whose
				  * offset is AGENT_DROP are dropped: MADV_DONTNEED. */
#define AGENT_OP_PAGES_TOGETHER 10u /* reads or writes as AGENT_OP_PAGES_READ and _WRITE what it gets of pieces that the engine takes from too:
				     * arg[0] = fd, arg[1] = pointer to struct agent_run[], arg[2] = pointer to words of 32
				     * bits: piece i is the runs from word i up to word i + 1, arg[3] = pieces, arg[4] =
				     * pointer to the word whose atomic increment takes the next piece, arg[5] = 1: into the
				     * file; result = bytes that the agent has moved. It is alone in its program: the memory is there when the engine
				     * begins, and only the engine knows when both are done. */
#define AGENT_OP_TILES 9u       /* arg[0] = pointer to a tile configuration of 64 bytes: uses tile 0, and lets go of it */

/* How an argument is understood: four bits for each argument in `kinds`, argument 0 in the lowest. */
#define AGENT_ARG_IMMEDIATE 0u
#define AGENT_ARG_ARENA 1u  /* offset from the start of the arena: becomes a pointer */
#define AGENT_ARG_RESULT 2u /* index of an earlier instruction of the same program */
#define AGENT_ARG_LOAD32 3u /* offset from the start of the arena: the sign-extended word stored there */
#define AGENT_ARG_LOAD64 4u
#define AGENT_ARG_SUM 5u /* a result as above, its index in the lowest AGENT_SUM_BITS bits, plus the number above them */
#define AGENT_SUM_BITS 24

struct agent_instruction {
	unsigned int op;
	unsigned int kinds;
	unsigned long nr;
	unsigned long arg[6];
	long expect_low; /* the result is good when expect_low <= result <= expect_high */
	long expect_high;
	long result; /* written by the agent */
};

struct agent_run {
	unsigned long addr;
	unsigned long length;
	unsigned long offset;
};

#define AGENT_DROP (~0ul)
/* Small enough to stay in the CPU's cache between reading and comparing. */
#define AGENT_UPDATE_ROOM 0x10000ul

#define AGENT_REQUEST_RUN 1u   /* a = number of instructions, b = where they lie in the arena; fds as SCM_RIGHTS */
#define AGENT_REQUEST_LEAVE 2u /* a = instruction pointer, b = stack pointer to continue with */

struct agent_request {
	unsigned long kind;
	unsigned long a;
	unsigned long b;
};

#define AGENT_REPLY_READY 1u /* a restore agent lives */
#define AGENT_REPLY_DONE 2u

struct agent_reply {
	unsigned long kind;
	unsigned long done; /* instructions that met their expectation; less than count: the next one did not */
};

/* Marker system calls: getpid(2) takes no arguments, so a tracer can tell these from any other call by their first
 * argument, and without a tracer they do nothing. */
#define AGENT_MARK_READY 0x63727473aaaa0001ul  /* arg 1: the engine's end of the doorbell, arg 2: the arena memfd */
#define AGENT_MARK_FAILED 0x63727473aaaa0002ul /* arg 1: negative errno, arg 2: number of the system call */

/* Largest number of descriptors in one message: SCM_MAX_FD, include/net/scm.h. */
#define AGENT_MAX_FDS 253

/*
 * What the agent is started with, its address in the first argument register.
 *
 * The area is one stretch of addresses: the agent's code, then the arena, or those of all agents that may share the address
 * space. One munmap(area, area_size) removes all.
 */
#define AGENT_FORK_BOOT 128

struct agent_boot {
	unsigned long area;
	unsigned long area_size;
	unsigned long arena;      /* this agent's own */
	unsigned long arena_size;
	unsigned long spare_fds;  /* received descriptors get numbers from here on; a dump agent finds its own */
	long socket;              /* restore: the doorbell; dump: -1, the agent makes one */
	unsigned long leave_ip;   /* where the agent goes when the engine is gone; 0: exit_group(1) */
	unsigned long leave_stack;
	unsigned long leave_stack_inside; /* the same where the mapping must stay: struct agent_round */
};

/* Where a forked agent is to be: tasks that share descriptors or memory (clone(2)) must not meet there. */
struct agent_place {
	unsigned long socket; /* number of its doorbell */
	unsigned long arena;  /* address of its arena */
};

/*
 * A thread beside the one that runs the agent. It is sent to AGENT_THREAD_ENTRY with the address of this in the first
 * argument register: by ptrace (dump: a thread of the task), or by AGENT_OP_THREAD (restore: a new one). It blocks all
 * signals, runs its program once, tells the round, and waits:
 *
 * dump: until ptrace takes it back, or until the agent says in the round that the engine is gone: then it goes back by
 * itself, through `frame`. While it waits its stack pointer is its own, so that a signal that comes when the engine has
 * died between putting back mask and registers finds the stack that it would have found.
 * A thread that was in a call with time left (ERESTART_RESTARTBLOCK) must not go through rt_sigreturn(2), which clears the
 * restart block: it goes back with `restart`, in which rax is restart_syscall(2) and rcx, which a system call overwrites
 * anyway, the address of its `syscall` instruction. Its extended state is its own: nothing here touches that.
 * restore: until ptrace makes it the thread that it is to be, or the task dies.
 */
#define AGENT_THREAD_ENTRY 48

struct agent_thread {
	unsigned long mask;      /* all signals */
	unsigned long stack;     /* end of the stack for the program */
	unsigned long own_stack; /* dump: the thread's stack pointer */
	unsigned long frame;     /* dump: what rt_sigreturn(2) takes the thread back with, + 8; 0: restore */
	unsigned long restart;   /* dump: address of a struct user_regs_struct to go back with instead, see below; 0: none */
	unsigned long own_mask;  /* dump: signals that the thread blocks */
	unsigned long round;     /* address of struct agent_round */
	unsigned long program;   /* address of the instructions: offsets in their arguments count from here */
	unsigned long size;      /* bytes from there on that they may use */
	unsigned long count;
	unsigned long done; /* written by the thread: instructions that met their expectation */
};

/*
 * What threads that run side by side share. Words are futexes. A dump agent's lies AGENT_ROUND_AT bytes before the end
 * of its arena; while `inside` is set, an agent that loses its engine sets `gone` and leaves the mapping, in which
 * threads may still be: nobody can tell when the last has made its rt_sigreturn.
 */
#define AGENT_ROUND_AT 64

struct agent_round {
	unsigned int running;  /* threads that have not finished their programs */
	unsigned int finished; /* 1: none is left */
	unsigned int gone;     /* 1: there is no engine any more */
	unsigned int inside;   /* 1: threads of the task may be in the agent */
};

#endif
