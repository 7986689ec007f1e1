/*
 * A tree of processes made by a script: process-tree GO TABLE STEP... with steps of numbered processes (0 is the root):
 *   "fork A B", "sibling A B" (CLONE_PARENT), "setsid A", "setpgid A B" (the group of that number, which B founded or joined),
 *   "subreaper A ON", "exit A CODE", "kill A SIGNAL", "see A B" (wait until child B is dead), "reap A B".
 * Afterwards each process notes who it is, and after the go file compares: parent, group, session, children and their states.
 */
#include "check.h"
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PROCESSES_MAX 512
#define CHILDREN_MAX 1024

enum { PROGRESS = 0, PIDS = 1, STATES = PIDS + PROCESSES_MAX };
enum { NOBODY, ALIVE, NOTED, CONTENT, SAD };

struct child {
	int pid;
	int code;
	int status;
};

struct identity {
	int pid, parent, group, session, subreaper, children;
	struct child child[CHILDREN_MAX];
};

static const char *table;
static int self;
static struct identity before, after;

static int look(int slot)
{
	int value = 0;
	int fd = open(table, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || pread(fd, &value, sizeof(value), slot * (off_t)sizeof(value)) < 0)
		value = 0;
	close(fd);
	return value;
}

static void put(int slot, int value)
{
	int fd = open(table, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || pwrite(fd, &value, sizeof(value), slot * (off_t)sizeof(value)) != sizeof(value))
		_exit(99);
	close(fd);
}

static void until(int slot, int value, long pause_us)
{
	struct timespec pause = { 0, pause_us * 1000 };

	while (look(slot) < value)
		nanosleep(&pause, NULL);
}

static int compare(const void *a, const void *b)
{
	return ((const struct child *)a)->pid - ((const struct child *)b)->pid;
}

static void note(struct identity *who)
{
	FILE *file;
	char path[64];
	siginfo_t info;

	memset(who, 0, sizeof(*who));
	who->pid = getpid();
	who->parent = self == 0 ? 0 : getppid();
	who->group = getpgid(0);
	who->session = getsid(0);
	prctl(PR_GET_CHILD_SUBREAPER, &who->subreaper);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", who->pid, who->pid);
	file = fopen(path, "re");
	while (file != NULL && who->children < CHILDREN_MAX && fscanf(file, "%d", &who->child[who->children].pid) == 1)
		who->children++;
	if (file != NULL)
		fclose(file);
	qsort(who->child, who->children, sizeof(*who->child), compare);
	for (int i = 0; i < who->children; i++) {
		memset(&info, 0, sizeof(info));
		waitid(P_PID, who->child[i].pid, &info, WEXITED | WNOHANG | WNOWAIT);
		who->child[i].code = info.si_pid == 0 ? 0 : info.si_code;
		who->child[i].status = info.si_pid == 0 ? 0 : info.si_status;
	}
}

static void differs(const char *what, int was, int is)
{
	check(was == is, "process %d (%d): %s was %d and is %d", self, before.pid, what, was, is);
}

static void compare_all(void)
{
	note(&after);
	differs("pid", before.pid, after.pid);
	differs("parent", before.parent, after.parent);
	differs("process group", before.group, after.group);
	differs("session", before.session, after.session);
	differs("subreaper", before.subreaper, after.subreaper);
	differs("number of children", before.children, after.children);
	for (int i = 0; i < before.children && failures == 0; i++) {
		const struct child *was = &before.child[i];
		int status, expected = was->code == CLD_EXITED ? was->status << 8 : was->status;

		differs("child", was->pid, after.child[i].pid);
		differs("si_code of a child", was->code, after.child[i].code);
		differs("si_status of a child", was->status, after.child[i].status);
		if (was->code == 0)
			continue;
		check(waitpid(was->pid, &status, 0) == was->pid && status == expected, "process %d: child %d: status 0x%x, not 0x%x",
		      self, was->pid, status, expected);
	}
	fflush(stdout);
}

static void wait_dead(int pid, int options)
{
	siginfo_t info;

	check(waitid(P_PID, pid, &info, WEXITED | options) == 0, "process %d: wait for %d: %s", self, pid, strerror(errno));
}

/* One step of the script. A new process goes on as itself. */
static void run(const char *call, int other, int step)
{
	if (strcmp(call, "fork") == 0 || strcmp(call, "sibling") == 0) {
		int flags = SIGCHLD | (call[0] == 's' ? CLONE_PARENT : 0);
		long pid;

		fflush(stdout);
		pid = syscall(SYS_clone, flags, 0, 0, 0, 0);
		check(pid >= 0, "%s: %s", call, strerror(errno));
		if (pid != 0)
			return;
		self = other;
		put(PIDS + self, getpid());
		put(STATES + self, ALIVE);
	} else if (strcmp(call, "setsid") == 0) {
		check(setsid() > 0, "process %d: setsid: %s", self, strerror(errno));
	} else if (strcmp(call, "setpgid") == 0) {
		check(setpgid(0, look(PIDS + other)) == 0, "process %d: setpgid: %s", self, strerror(errno));
	} else if (strcmp(call, "subreaper") == 0) {
		prctl(PR_SET_CHILD_SUBREAPER, other);
	} else if (strcmp(call, "see") == 0 || strcmp(call, "reap") == 0) {
		wait_dead(look(PIDS + other), call[0] == 's' ? WNOWAIT : 0);
	} else if (strcmp(call, "exit") == 0 || strcmp(call, "kill") == 0) {
		put(STATES + self, NOBODY);
		put(PROGRESS, step + 1);
		fflush(stdout);
		if (call[0] == 'e')
			_exit(other);
		raise(other);
	} else
		fail("no step %s", call);
	put(PROGRESS, step + 1);
}

int main(int argc, char **argv)
{
	int steps = argc - 3;

	table = argv[2];
	put(STATES, ALIVE);
	put(PIDS, getpid());
	for (int step = 0; step < steps; step++) {
		char call[16];
		int actor, other = 0;

		if (sscanf(argv[3 + step], "%15s %d %d", call, &actor, &other) < 2 || other < 0 || other >= PROCESSES_MAX)
			return 2;
		if (actor != self)
			continue;
		until(PROGRESS, step, 200);
		run(call, other, step);
	}
	until(PROGRESS, steps, 10000);
	note(&before);
	put(STATES + self, NOTED);
	if (self == 0) {
		for (int i = 0; i < PROCESSES_MAX; i++)
			while (look(STATES + i) == ALIVE)
				until(STATES + i, NOTED, 1000);
		if (failures == 0)
			ready();
	}
	while (access(argv[1], F_OK) != 0)
		nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
	compare_all();
	put(STATES + self, failures == 0 ? CONTENT : SAD);
	if (self != 0) {
		until(PROGRESS, steps + 1, 10000);
		return 0;
	}
	for (int i = 0; i < PROCESSES_MAX; i++)
		if (look(STATES + i) != NOBODY) {
			until(STATES + i, CONTENT, 1000);
			check(look(STATES + i) == CONTENT, "process %d is not content", i);
		}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	put(PROGRESS, steps + 1);
	while (waitpid(-1, NULL, 0) > 0)
		;
	return done();
}
