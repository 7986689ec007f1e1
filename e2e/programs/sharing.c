/*
 * Processes that share by clone(2): sharing GO DIR STEP... with steps of numbered processes (0 is the root):
 *   "clone A B KINDS", "sibling A B KINDS" (CLONE_PARENT): A makes B, which shares with it what KINDS names: files,fs,vm,sighand,
 *   "setsid A", "unshare A KINDS" (files,fs), "exit A" (the root waits for it), "lock A" (byte A of DIR/locked).
 * Every change that one of them makes is then looked for in all others: before the go file and after it the same ones see it.
 */
#include "check.h"
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MAX 16
#define STACK (64 * 1024)
#define OWN_FD 40
#define SHOWN_FD 80

enum kind { FILES, FS, VM, SIGHAND, KINDS };
enum command { NOTHING, CLONE, SETSID, UNSHARE, LOCK, SETTLE, NOTE, CHANGE, LOOK, UNDO, LEAVE };

static const char *const kind_names[KINDS] = { "files", "fs", "vm", "sighand" };
static const int kind_flags[KINDS] = { CLONE_FILES, CLONE_FS, CLONE_VM, CLONE_SIGHAND };

/* What a process knows of itself. */
struct self {
	int pid, parent, session, mask, fds;
	char directory[256];
};

/* Shared by all, whatever else they share. */
static struct board {
	struct slot {
		volatile int command, a, b;
		volatile long result;
		int alive;
		struct self before, after;
	} slot[MAX];
} *board;

static char directory[200];
static char stacks[MAX][STACK] __attribute__((aligned(64)));
static volatile int word;

static int read_mask(void)
{
	int mask = umask(0);

	umask(mask);
	return mask;
}

static void note(struct self *self)
{
	memset(self, 0, sizeof(*self));
	self->pid = getpid();
	self->parent = getppid();
	self->session = getsid(0);
	self->mask = read_mask();
	if (getcwd(self->directory, sizeof(self->directory)) == NULL)
		self->directory[0] = 0;
	for (int i = 0; i < MAX; i++)
		if (fcntl(OWN_FD + i, F_GETFD) >= 0)
			self->fds |= 1 << i;
}

/* What is its own, or of all that share it with it: the last of these to settle decides. */
static void settle(int me)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%d", directory, me);
	mkdir(path, 0755);
	if (chdir(path) != 0 || dup2(1, OWN_FD + me) < 0)
		board->slot[me].result = -errno;
	umask(me);
}

static int lock(int me)
{
	struct flock range = { .l_type = F_WRLCK, .l_start = me, .l_len = 1 };
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/locked", directory);
	fd = open(path, O_RDWR | O_CREAT, 0644);
	return fd < 0 || fcntl(fd, F_SETLK, &range) != 0 ? -errno : fd;
}

/* Who has locked byte i of DIR/locked. */
static void read_locks(int holders[MAX])
{
	FILE *file = fopen("/proc/locks", "re");
	char line[256], path[256];
	struct stat locked;

	memset(holders, 0, MAX * sizeof(*holders));
	snprintf(path, sizeof(path), "%s/locked", directory);
	if (stat(path, &locked) != 0)
		locked.st_ino = 0;
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		unsigned long inode;
		int pid, start;

		if (sscanf(line, "%*d: POSIX ADVISORY WRITE %d %*x:%*x:%lu %d", &pid, &inode, &start) == 3 &&
		    inode == locked.st_ino && start < MAX)
			holders[start] = pid;
	}
	if (file != NULL)
		fclose(file);
}

static struct sigaction action_of(void (*handler)(int))
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = handler;
	return action;
}

static void change(int me, enum kind kind)
{
	struct sigaction ignore = action_of(SIG_IGN);

	if (kind == FILES)
		dup2(1, SHOWN_FD + me);
	else if (kind == FS)
		umask(0700 + me);
	else if (kind == VM)
		word = 1000 + me;
	else
		sigaction(SIGUSR1 + me % 2, &ignore, NULL);
}

static int look(int other, enum kind kind)
{
	struct sigaction action;

	if (kind == FILES)
		return fcntl(SHOWN_FD + other, F_GETFD) >= 0;
	if (kind == FS)
		return read_mask() == 0700 + other;
	if (kind == VM)
		return word == 1000 + other;
	sigaction(SIGUSR1 + other % 2, NULL, &action);
	return action.sa_handler == SIG_IGN;
}

static void undo(int me, enum kind kind)
{
	struct sigaction usual = action_of(SIG_DFL);

	if (kind == FILES)
		close(SHOWN_FD + me);
	else if (kind == FS)
		umask(board->slot[me].before.mask);
	else if (kind == VM)
		word = 0;
	else
		sigaction(SIGUSR1 + me % 2, &usual, NULL);
}

static int serve(void *argument);

static void execute(int me)
{
	struct slot *slot = &board->slot[me];

	slot->result = 0;
	switch (slot->command) {
	case CLONE:
		slot->result = clone(serve, stacks[slot->a] + STACK, slot->b | SIGCHLD, (void *)(long)slot->a);
		break;
	case SETSID:
		slot->result = setsid();
		break;
	case UNSHARE:
		slot->result = unshare(slot->a);
		break;
	case LOCK:
		slot->result = lock(me);
		break;
	case SETTLE:
		settle(me);
		break;
	case NOTE:
		note(slot->a == 0 ? &slot->before : &slot->after);
		break;
	case CHANGE:
		change(me, slot->a);
		break;
	case LOOK:
		slot->result = look(slot->a, slot->b);
		break;
	case UNDO:
		undo(me, slot->a);
		break;
	}
}

static void pause_a_little(void)
{
	struct timespec pause = { 0, 500000 };

	nanosleep(&pause, NULL);
}

static int serve(void *argument)
{
	int me = (int)(long)argument;
	struct slot *slot = &board->slot[me];

	for (;;) {
		while (slot->command == NOTHING)
			pause_a_little();
		if (slot->command == LEAVE)
			_exit(0);
		execute(me);
		__sync_synchronize();
		slot->command = NOTHING;
	}
}

/* Has a process do something, and waits for it. */
static long tell(int who, enum command command, int a, int b)
{
	struct slot *slot = &board->slot[who];

	slot->a = a;
	slot->b = b;
	__sync_synchronize();
	slot->command = command;
	if (who == 0) {
		execute(0);
		slot->command = NOTHING;
	} else {
		while (slot->command != NOTHING && getppid() > 0 && kill(slot->before.pid > 0 ? slot->before.pid : getpid(), 0) == 0)
			pause_a_little();
	}
	return slot->result;
}

static int flags_of(const char *kinds)
{
	int flags = 0;

	for (int kind = 0; kind < KINDS; kind++)
		if (strstr(kinds, kind_names[kind]) != NULL)
			flags |= kind_flags[kind];
	return flags;
}

static void run_step(const char *step)
{
	char call[16] = "", kinds[64] = "";
	int a = 0, b = 0;

	if (strncmp(step, "unshare", 7) == 0)
		sscanf(step, "%15s %d %63s", call, &a, kinds);
	else
		sscanf(step, "%15s %d %d %63s", call, &a, &b, kinds);
	if (strcmp(call, "clone") == 0 || strcmp(call, "sibling") == 0) {
		long pid = tell(a, CLONE, b, flags_of(kinds) | (call[0] == 's' ? CLONE_PARENT : 0));

		check(pid > 0, "%s: %s", step, strerror(-pid));
		board->slot[b].alive = 1;
	} else if (strcmp(call, "setsid") == 0) {
		check(tell(a, SETSID, 0, 0) > 0, "%s", step);
	} else if (strcmp(call, "lock") == 0) {
		check(tell(a, LOCK, 0, 0) > 0, "%s", step);
	} else if (strcmp(call, "unshare") == 0) {
		check(tell(a, UNSHARE, flags_of(kinds), 0) == 0, "%s", step);
	} else if (strcmp(call, "exit") == 0) {
		int pid;

		tell(a, NOTE, 0, 0);
		pid = board->slot[a].before.pid;
		board->slot[a].alive = 0;
		board->slot[a].command = LEAVE;
		check(waitpid(pid, NULL, 0) == pid, "%s", step);
	}
}

/* Bit `b` of seen[a][kind]: what a changes is seen by b. */
static void look_around(int seen[MAX][KINDS])
{
	for (int kind = 0; kind < KINDS; kind++)
		for (int a = 0; a < MAX; a++) {
			seen[a][kind] = 0;
			if (!board->slot[a].alive)
				continue;
			tell(a, CHANGE, kind, 0);
			for (int b = 0; b < MAX; b++)
				if (board->slot[b].alive && tell(b, LOOK, a, kind))
					seen[a][kind] |= 1 << b;
			tell(a, UNDO, kind, 0);
		}
}

static void differs(int who, const char *what, int was, int is)
{
	check(was == is, "process %d: %s was %d and is %d", who, what, was, is);
}

int main(int argc, char **argv)
{
	static int before[MAX][KINDS], after[MAX][KINDS];
	static int locks_before[MAX], locks_after[MAX];

	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	snprintf(directory, sizeof(directory), "%s", argv[2]);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	board->slot[0].alive = 1;
	for (int i = 3; i < argc; i++)
		run_step(argv[i]);
	for (int i = 0; i < MAX; i++)
		if (board->slot[i].alive)
			check(tell(i, SETTLE, 0, 0) == 0, "process %d does not settle", i);
	for (int i = 0; i < MAX; i++)
		if (board->slot[i].alive)
			tell(i, NOTE, 0, 0);
	look_around(before);
	for (int i = 0; i < MAX; i++)
		for (int kind = 0; kind < KINDS; kind++)
			if (board->slot[i].alive && before[i][kind] != 1 << i)
				printf("%s of %d: %x\n", kind_names[kind], i, before[i][kind]);
	read_locks(locks_before);
	ready();
	wait_for(argv[1]);
	read_locks(locks_after);
	for (int i = 0; i < MAX; i++) {
		struct self *was = &board->slot[i].before, *is = &board->slot[i].after;

		if (!board->slot[i].alive)
			continue;
		differs(i, "holder of its lock", locks_before[i], locks_after[i]);
		tell(i, NOTE, 1, 0);
		differs(i, "pid", was->pid, is->pid);
		if (i != 0)
			differs(i, "parent", was->parent, is->parent);
		differs(i, "session", was->session, is->session);
		differs(i, "umask", was->mask, is->mask);
		differs(i, "set of descriptors", was->fds, is->fds);
		check(strcmp(was->directory, is->directory) == 0, "process %d: directory was %s and is %s", i, was->directory,
		      is->directory);
	}
	look_around(after);
	for (int i = 0; i < MAX; i++)
		for (int kind = 0; kind < KINDS; kind++)
			check(before[i][kind] == after[i][kind], "%s of process %d: seen by %x before and by %x now", kind_names[kind],
			      i, before[i][kind], after[i][kind]);
	for (int i = 1; i < MAX; i++)
		board->slot[i].command = LEAVE;
	while (wait(NULL) > 0)
		;
	check(errno == ECHILD, "wait: %s", strerror(errno));
	return done();
}
