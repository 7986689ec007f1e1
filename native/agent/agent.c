/*
 * The agent: runs programs of system calls inside a task. Freestanding, position-independent, no data of its own:
 * all state is on the stack. The meaning of every field is in include/protocol.h.
 *
 * If the engine dies at any point, the doorbell's receive returns 0 and the agent removes itself: a dump agent
 * continues at boot.leave_ip, where a chain of signal frames that the engine prepared unmaps it and restores the
 * task's registers; a restore agent exits.
 */
#include "calls.h"
#include "pages.h"
#include "protocol.h"
#include "tiles.h"

#include <asm/unistd.h>
#include <linux/sched.h>

#define AF_UNIX 1
#define SOCK_SEQPACKET 5
#define SOCK_CLOEXEC 02000000
#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define MSG_CMSG_CLOEXEC 0x40000000
#define MSG_NOSIGNAL 0x4000
#define MFD_CLOEXEC 1
#define PROT_READ_WRITE 3
#define MAP_SHARED 1
#define MAP_FIXED_NOREPLACE 0x100000
#define O_CLOEXEC 02000000
#define F_SETFD 2
#define F_DUPFD_CLOEXEC 1030
#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define ALL_WAITERS 0x7fffffff

struct iovec {
	void *base;
	word length;
};

struct timespec {
	long seconds;
	long nanoseconds;
};

struct msghdr {
	void *name;
	unsigned int namelen;
	struct iovec *iov;
	word iovlen;
	void *control;
	word controllen;
	unsigned int flags;
};

/* struct cmsghdr followed by the descriptors, include/linux/socket.h. */
struct rights {
	word length;
	int level;
	int type;
	int fd[AGENT_MAX_FDS + 1];
};

struct agent {
	struct agent_boot boot;
	unsigned char *arena;
	word arena_size;
	struct rights *rights;
	unsigned int fds;      /* descriptors that came with the request */
	unsigned int fds_used; /* of them handed to RECEIVE_FD instructions */
};

static void __attribute__((noreturn)) leave(struct agent *agent, word ip, word stack)
{
	call1(__NR_close, agent->boot.socket);
	if (ip == 0)
		for (;;)
			call1(__NR_exit_group, 1);
	leave_to(ip, stack, agent->boot.area, agent->boot.area_size);
}

static int in_arena(struct agent *agent, word offset, word size)
{
	return offset <= agent->arena_size && size <= agent->arena_size - offset;
}

/* Value of argument `i`; *bad is set when it points outside the arena or to a later instruction. */
static word argument(struct agent *agent, struct agent_instruction *program, word index, word i, int *bad)
{
	struct agent_instruction *self = &program[index];
	word value = self->arg[i];

	switch ((self->kinds >> (4 * i)) & 15) {
	case AGENT_ARG_IMMEDIATE:
		return value;
	case AGENT_ARG_ARENA:
		if (!in_arena(agent, value, 0))
			break;
		return (word)(agent->arena + value);
	case AGENT_ARG_RESULT:
		if (value >= index)
			break;
		return (word)program[value].result;
	case AGENT_ARG_SUM:
		if ((value & ((1ul << AGENT_SUM_BITS) - 1)) >= index)
			break;
		return (word)program[value & ((1ul << AGENT_SUM_BITS) - 1)].result + (value >> AGENT_SUM_BITS);
	case AGENT_ARG_LOAD32:
		if (!in_arena(agent, value, 4))
			break;
		return (word)(long)*(int *)(agent->arena + value);
	case AGENT_ARG_LOAD64:
		if (!in_arena(agent, value, 8))
			break;
		return *(word *)(agent->arena + value);
	}
	*bad = 1;
	return 0;
}

static long store(struct agent *agent, word offset, word value, word size)
{
	if (size == 4 && in_arena(agent, offset, 4))
		*(unsigned int *)(agent->arena + offset) = (unsigned int)value;
	else if (size == 8 && in_arena(agent, offset, 8))
		*(word *)(agent->arena + offset) = value;
	else
		return -EBADMSG;
	return 0;
}

static long move_fd(word from, word to, word cloexec)
{
	long result;

	/* dup3 refuses equal numbers (man 2 dup). */
	if (from == to)
		return call3(__NR_fcntl, from, F_SETFD, cloexec ? 1 : 0);
	result = call3(__NR_dup3, from, to, cloexec ? O_CLOEXEC : 0);
	if (result < 0)
		return result;
	result = call1(__NR_close, from);
	return result < 0 ? result : 0;
}

static long receive_fd(struct agent *agent)
{
	if (agent->fds_used >= agent->fds)
		return -ENODATA;
	return agent->rights->fd[agent->fds_used++];
}

static long update(struct agent *agent, word fd, struct agent_run *runs, word count, word room)
{
	if (!in_arena(agent, room - (word)agent->arena, AGENT_UPDATE_ROOM))
		return -EBADMSG;
	return update_pages(fd, runs, count, room);
}

/*
 * Makes a child that runs an agent of its own. The arena is shared memory and holds this stack: the child must touch
 * neither before it has its own, so all it does until then is in agent_fork() (entry.S) and in registers.
 *
 * A table of descriptors that both have gets the doorbell before the child is there, and keeps the memfd until the child
 * has mapped it and closes it for both.
 */
static long fork_task(struct agent *agent, word pid, word flags, word doorbell, word memfd, word offset,
		      struct agent_place *place)
{
	int shared = (flags & CLONE_FILES) != 0;
	int tid = (int)pid;
	struct clone_args args;
	long result;

	for (word i = 0; i < sizeof(args) / sizeof(word); i++)
		((volatile word *)&args)[i] = 0;
	args.flags = flags & ~(word)CSIGNAL;
	args.exit_signal = flags & CSIGNAL;
	/* A pointer without a size is EINVAL. */
	args.set_tid = pid == 0 ? 0 : (word)&tid;
	args.set_tid_size = pid == 0 ? 0 : 1;
	result = shared ? move_fd(doorbell, place->socket, 1) : 0;
	if (result >= 0) {
		struct agent_fork order = { shared ? ~0ul : doorbell, place->socket, memfd, place->arena,
					    agent->arena_size, offset };

		result = agent_fork(&args, sizeof(args), &order);
		if (shared && result < 0)
			call1(__NR_close, place->socket);
	}
	if (!shared)
		call1(__NR_close, doorbell);
	if (!shared || result < 0)
		call1(__NR_close, memfd);
	return result;
}

/* A thread of this process that runs a program of its own and then waits to be taken by ptrace. */
static long clone_thread(word number, struct agent_thread *thread)
{
	int tid = (int)number;
	struct clone_args args;

	for (word i = 0; i < sizeof(args) / sizeof(word); i++)
		((volatile word *)&args)[i] = 0;
	args.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	args.set_tid = tid == 0 ? 0 : (word)&tid;
	args.set_tid_size = tid == 0 ? 0 : 1;
	return agent_clone(&args, sizeof(args), thread);
}

static long execute(struct agent *agent, struct agent_instruction *program, word index)
{
	struct agent_instruction *self = &program[index];
	word a[6];
	int bad = 0;

	for (word i = 0; i < 6; i++)
		a[i] = argument(agent, program, index, i, &bad);
	if (bad)
		return -EBADMSG;
	switch (self->op) {
	case AGENT_OP_SYSCALL:
		return raw_syscall(self->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	case AGENT_OP_STORE:
		return store(agent, self->nr, a[0], a[1]);
	case AGENT_OP_MOVE_FD:
		return move_fd(a[0], a[1], a[2]);
	case AGENT_OP_RECEIVE_FD:
		return receive_fd(agent);
	case AGENT_OP_PAGES_WRITE:
		return transfer_pages(__NR_pwrite64, a[0], (struct agent_run *)a[1], a[2]);
	case AGENT_OP_PAGES_READ:
		return transfer_pages(__NR_pread64, a[0], (struct agent_run *)a[1], a[2]);
	case AGENT_OP_PAGES_UPDATE:
		return update(agent, a[0], (struct agent_run *)a[1], a[2], a[3]);
	case AGENT_OP_PAGES_TOGETHER:
		return share_pages(a[5] ? __NR_pwrite64 : __NR_pread64, a[0], (struct agent_run *)a[1],
				   (unsigned int *)a[2], a[3], (unsigned int *)a[4]);
	case AGENT_OP_FORK:
		return fork_task(agent, a[0], a[1], a[2], a[3], a[4], (struct agent_place *)a[5]);
	case AGENT_OP_THREAD:
		return clone_thread(a[0], (struct agent_thread *)a[1]);
	case AGENT_OP_TILES:
		return use_tiles(a[0]);
	}
	return -ENOSYS;
}

/* Number of instructions that met their expectation. */
static word run(struct agent *agent, word count, word offset)
{
	struct agent_instruction *program = (struct agent_instruction *)(agent->arena + offset);
	word done = 0;

	if (count > agent->arena_size / sizeof(*program) || !in_arena(agent, offset, count * sizeof(*program)))
		return 0;
	for (; done < count; done++) {
		long result = execute(agent, program, done);

		program[done].result = result;
		if (result < program[done].expect_low || result > program[done].expect_high)
			break;
	}
	/* Descriptors that no instruction took must not stay in the task. */
	while (agent->fds_used < agent->fds)
		call1(__NR_close, agent->rights->fd[agent->fds_used++]);
	return done;
}

/* 0 when the engine is gone. */
static int receive(struct agent *agent, struct agent_request *request)
{
	struct iovec iov = { request, sizeof(*request) };
	struct msghdr message = { 0, 0, &iov, 1, agent->rights, sizeof(*agent->rights), 0 };
	long n;

	do
		n = call3(__NR_recvmsg, agent->boot.socket, &message, MSG_CMSG_CLOEXEC);
	while (n == -EINTR);
	agent->fds = agent->fds_used = 0;
	if (message.controllen >= 16 && agent->rights->level == SOL_SOCKET && agent->rights->type == SCM_RIGHTS)
		agent->fds = (agent->rights->length - 16) / sizeof(int);
	/* The kernel gave them the lowest free numbers, which may be those that the program is to fill: move them above
	 * all numbers of the task. */
	for (unsigned int i = 0; i < agent->fds; i++) {
		long moved = call3(__NR_fcntl, agent->rights->fd[i], F_DUPFD_CLOEXEC, agent->boot.spare_fds);

		call1(__NR_close, agent->rights->fd[i]);
		agent->rights->fd[i] = (int)moved;
	}
	return n == (long)sizeof(*request);
}

static void reply(struct agent *agent, word kind, word done)
{
	struct agent_reply answer = { kind, done };
	long n;

	do
		n = raw_syscall(__NR_sendto, agent->boot.socket, (word)&answer, sizeof(answer), MSG_NOSIGNAL, 0, 0);
	while (n == -EINTR);
}

/* Dump: makes doorbell and arena, and waits in a marker call for the tracer to take its ends. 0 or negative errno. */
static long connect(struct agent *agent, word *failed)
{
	char name[] = { 'c', 'r', 't', 's', 0 };
	int pair[2];
	long arena, result;

	*failed = __NR_socketpair;
	result = call4(__NR_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
	if (result < 0)
		return result;
	agent->boot.socket = pair[0];
	*failed = __NR_memfd_create;
	arena = call2(__NR_memfd_create, name, MFD_CLOEXEC);
	if (arena < 0) {
		call1(__NR_close, pair[1]);
		return arena;
	}
	/* The engine gives the memfd its size: ftruncate here would meet the task's RLIMIT_FSIZE, whose SIGXFSZ kills.
	 * A mapping may be longer than its file, man 2 mmap; nothing touches it before the first request. */
	*failed = __NR_mmap;
	result = raw_syscall(__NR_mmap, (word)agent->arena, agent->arena_size, PROT_READ_WRITE,
			     MAP_SHARED | MAP_FIXED_NOREPLACE, arena, 0);
	if (result >= 0)
		call3(__NR_getpid, AGENT_MARK_READY, pair[1], arena);
	call1(__NR_close, pair[1]);
	call1(__NR_close, arena);
	return result < 0 ? result : 0;
}

/* What a thread does between its entry and its waiting, both in entry.S. */
void __attribute__((used)) agent_thread_main(struct agent_thread *thread)
{
	struct agent_round *round = (struct agent_round *)thread->round;
	struct agent agent;

	agent.arena = (unsigned char *)thread->program;
	agent.arena_size = thread->size;
	agent.fds = agent.fds_used = 0;
	thread->done = run(&agent, thread->count, 0);
	if (__atomic_sub_fetch(&round->running, 1, __ATOMIC_SEQ_CST) == 0) {
		__atomic_store_n(&round->finished, 1, __ATOMIC_SEQ_CST);
		call3(__NR_futex, &round->finished, FUTEX_WAKE, ALL_WAITERS);
	}
}

/* Where the way back begins when the engine is gone: the mapping stays while threads may be in it. */
static word way_back(struct agent *agent)
{
	struct agent_round *round = (struct agent_round *)(agent->arena + agent->arena_size - AGENT_ROUND_AT);

	struct timespec shortest = { 0, 1 };

	/* The word is read by the kernel: an engine that died early has not given the memfd its size, and there is no page.
	 * EAGAIN: it is not 0. */
	if (agent->boot.leave_ip == 0 || call4(__NR_futex, &round->inside, FUTEX_WAIT, 0, &shortest) != -EAGAIN)
		return agent->boot.leave_stack;
	__atomic_store_n(&round->gone, 1, __ATOMIC_SEQ_CST);
	call3(__NR_futex, &round->gone, FUTEX_WAKE, ALL_WAITERS);
	return agent->boot.leave_stack_inside;
}

void __attribute__((noreturn, used)) agent_main(struct agent_boot *boot)
{
	struct agent agent;
	struct agent_request request;
	struct rights rights;

	agent.boot = *boot;
	agent.rights = &rights;
	agent.arena = (unsigned char *)boot->arena;
	agent.arena_size = boot->arena_size;
	if (agent.boot.socket < 0) {
		word failed;
		long error = connect(&agent, &failed);

		if (error < 0) {
			call3(__NR_getpid, AGENT_MARK_FAILED, error, failed);
			leave(&agent, agent.boot.leave_ip, agent.boot.leave_stack);
		}
		agent.boot.spare_fds = (word)agent.boot.socket + 1;
	} else {
		reply(&agent, AGENT_REPLY_READY, 0);
	}
	while (receive(&agent, &request)) {
		if (request.kind == AGENT_REQUEST_LEAVE)
			leave(&agent, request.a, request.b);
		reply(&agent, AGENT_REPLY_DONE, request.kind == AGENT_REQUEST_RUN ? run(&agent, request.a, request.b) : 0);
	}
	leave(&agent, agent.boot.leave_ip, way_back(&agent));
}
