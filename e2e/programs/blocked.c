/* Sits in a system call (argv[2]) over the dump; the call must end as if nothing had happened. */
#include "check.h"
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

static volatile sig_atomic_t got;

static void on_signal(int signal)
{
	got = signal;
}

/* What a child does to end the wait of its parent, after a second; it sets up before its parent waits. */
struct helper {
	const char *call;
	void (*set_up)(void);
	void (*end)(void);
};

static int file, queue, listener, pair[2], counter;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
static struct msgbuf_ {
	long type;
	char text[4];
} message = { 1, "abc" };

static void open_file(void)
{
	check((file = open("locked", O_RDWR | O_CREAT, 0600)) >= 0, "locked: %m");
}

static void lock_file(void)
{
	open_file();
	check(flock(file, LOCK_EX) == 0, "flock: %m");
}

static void lock_range(void)
{
	open_file();
	check(fcntl(file, F_SETLK, &whole) == 0, "lock: %m");
}

static void unlock(void)
{
	close(file);
}

static void send_message(void)
{
	check(msgsnd(queue, &message, 4, 0) == 0, "msgsnd: %m");
}

static void post(void)
{
	check(semop(queue, &(struct sembuf){ 0, 1, 0 }, 1) == 0, "semop: %m");
}

static void call_listener(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	check(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect: %m");
}

static void write_pair(void)
{
	check(write(pair[1], "x", 1) == 1, "write: %m");
}

static void write_fifo(void)
{
	check(open("fifo", O_WRONLY) >= 0, "fifo: %m");
}

static void drain(void)
{
	static char bytes[65536];

	check(read(pair[0], bytes, sizeof(bytes)) > 0, "read: %m");
}

static void count(void)
{
	check(eventfd_write(counter, 1) == 0, "eventfd: %m");
}

static const struct helper HELPERS[] = {
	{ "flock", lock_file, unlock },	      { "setlkw", lock_range, unlock },	    { "msgrcv", NULL, send_message },
	{ "semop", NULL, post },	      { "accept", NULL, call_listener },    { "recvmsg", NULL, write_pair },
	{ "open", NULL, write_fifo },	      { "write", NULL, drain },		    { "eventfd", NULL, count },
	{ "waitid", NULL, NULL },
};

static pid_t helper_of(const char *call)
{
	int ends[2];
	char byte;

	for (size_t i = 0; i < sizeof(HELPERS) / sizeof(*HELPERS); i++) {
		if (strcmp(call, HELPERS[i].call))
			continue;
		check(pipe(ends) == 0, "pipe: %m");
		pid_t child = fork();
		if (child == 0) {
			if (HELPERS[i].set_up != NULL)
				HELPERS[i].set_up();
			check(write(ends[1], "x", 1) == 1, "pipe: %m");
			nanosleep(&(struct timespec){ 1, 0 }, NULL);
			if (HELPERS[i].end != NULL)
				HELPERS[i].end();
			fflush(stdout);
			_exit(failures ? 1 : 7);
		}
		check(read(ends[0], &byte, 1) == 1, "the helper: %m");
		close(ends[0]);
		close(ends[1]);
		return child;
	}
	return 0;
}

static void prepare(const char *call)
{
	static char bytes[65536];

	if (!strcmp(call, "msgrcv"))
		check((queue = msgget(IPC_PRIVATE, 0600)) >= 0, "msgget: %m");
	if (!strcmp(call, "semop") || !strcmp(call, "semtimedop"))
		check((queue = semget(IPC_PRIVATE, 1, 0600)) >= 0, "semget: %m");
	if (!strcmp(call, "accept")) {
		snprintf(address.sun_path, sizeof(address.sun_path), "socket");
		check((listener = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0, "socket: %m");
		check(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(listener, 3) == 0, "listen: %m");
	}
	if (!strcmp(call, "recvmsg") || !strcmp(call, "timed recv"))
		check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair: %m");
	if (!strcmp(call, "open"))
		check(mkfifo("fifo", 0600) == 0, "mkfifo: %m");
	if (!strcmp(call, "write")) {
		check(pipe(pair) == 0, "pipe: %m");
		check(write(pair[1], bytes, sizeof(bytes)) == sizeof(bytes), "write: %m");
	}
	if (!strcmp(call, "eventfd"))
		check((counter = eventfd(0, 0)) >= 0, "eventfd: %m");
	if (!strcmp(call, "flock") || !strcmp(call, "setlkw"))
		open_file();
}

/* Calls that a helper ends, or a timeout. */
static int other(const char *call, long *result, long *want, int *error)
{
	struct timespec second = { 1, 0 }, end;
	char bytes[8];
	struct iovec part = { bytes, 8 };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	static int word = 5;
	siginfo_t info;
	eventfd_t value;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += 1;
	*want = 0;
	if (!strcmp(call, "flock"))
		*result = flock(file, LOCK_EX);
	else if (!strcmp(call, "setlkw"))
		*result = fcntl(file, F_SETLKW, &whole);
	else if (!strcmp(call, "msgrcv"))
		*result = msgrcv(queue, &message, 4, 0, 0), *want = 4;
	else if (!strcmp(call, "semop"))
		*result = semop(queue, &(struct sembuf){ 0, -1, 0 }, 1);
	else if (!strcmp(call, "semtimedop"))
		*result = semtimedop(queue, &(struct sembuf){ 0, -1, 0 }, 1, &second), *want = -1, *error = EAGAIN;
	else if (!strcmp(call, "accept"))
		*result = accept(listener, NULL, NULL) >= 0 ? 0 : -1;
	else if (!strcmp(call, "recvmsg"))
		*result = recvmsg(pair[0], &header, 0), *want = 1;
	else if (!strcmp(call, "timed recv")) {
		check(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 1, 0 }, sizeof(struct timeval)) == 0, "SO_RCVTIMEO: %m");
		*result = recv(pair[0], bytes, 8, 0), *want = -1, *error = EAGAIN;
	} else if (!strcmp(call, "open"))
		*result = open("fifo", O_RDONLY) >= 0 ? 0 : -1;
	else if (!strcmp(call, "write"))
		*result = write(pair[1], "abc", 3), *want = 3;
	else if (!strcmp(call, "eventfd"))
		*result = eventfd_read(counter, &value);
	else if (!strcmp(call, "waitid"))
		*result = waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
	else if (!strcmp(call, "ppoll"))
		*result = ppoll(NULL, 0, &second, NULL);
	else if (!strcmp(call, "pselect"))
		*result = pselect(0, NULL, NULL, NULL, &second, NULL);
	else if (!strcmp(call, "epoll_pwait2"))
		*result = syscall(441, epoll_create1(0), &(struct epoll_event){ 0 }, 1, &second, NULL, 8);
	else if (!strcmp(call, "relative clock_nanosleep"))
		*result = syscall(SYS_clock_nanosleep, CLOCK_BOOTTIME, 0, &second, NULL);
	else if (!strcmp(call, "sleep"))
		*result = sleep(1);
	else if (!strcmp(call, "futex until"))
		*result = syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 5, &end, NULL, -1), *want = -1, *error = ETIMEDOUT;
	else
		return 0;
	return 1;
}

int main(int argc, char **argv)
{
	const char *call = argc > 2 ? argv[2] : "";
	struct timespec second = { 1, 0 }, before, after, end;
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t set;
	static int word = 5;
	long result = -1, want = 0;
	int error = 0;

	(void)argv;
	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&set);
	clock_gettime(CLOCK_MONOTONIC, &before);
	end = before;
	end.tv_sec += 1;
	/* Another process ends the wait, after the same second. */
	int pipes[2] = { -1, -1 }, epoll = -1;
	pid_t child = 0;
	char byte;
	if (!strcmp(call, "epoll_wait"))
		check((epoll = epoll_create1(0)) >= 0, "epoll: %m");
	if (!strcmp(call, "read") || !strcmp(call, "wait4")) {
		check(pipe(pipes) == 0, "pipe: %m");
		if ((child = fork()) == 0) {
			/* Until a time: CRIU 4.2 has a relative sleep end with EINTR. */
			struct timespec until;

			clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_sec += 1;
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
			_exit(write(pipes[1], "x", 1) == 1 ? 7 : 8);
		}
		clock_gettime(CLOCK_MONOTONIC, &before);
	}
	prepare(call);
	pid_t helper = helper_of(call);
	if (helper > 0) {
		child = helper;
		clock_gettime(CLOCK_MONOTONIC, &before);
	}
	ready();
	errno = 0;
	if (other(call, &result, &want, &error))
		;
	else if (!strcmp(call, "nanosleep"))
		result = nanosleep(&second, NULL);
	else if (!strcmp(call, "clock_nanosleep"))
		result = syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
	else if (!strcmp(call, "poll"))
		result = poll(NULL, 0, 1000);
	else if (!strcmp(call, "select"))
		result = select(0, NULL, NULL, NULL, &(struct timeval){ 1, 0 });
	else if (!strcmp(call, "futex"))
		result = syscall(SYS_futex, &word, FUTEX_WAIT, 5, &second, NULL, 0), want = -1, error = ETIMEDOUT;
	else if (!strcmp(call, "sigtimedwait"))
		result = sigtimedwait(&set, NULL, &second), want = -1, error = EAGAIN;
	else if (!strcmp(call, "epoll_wait"))
		result = epoll_wait(epoll, &(struct epoll_event){ 0 }, 1, 1000);
	else if (!strcmp(call, "read"))
		result = read(pipes[0], &byte, 1), want = 1;
	else if (!strcmp(call, "wait4"))
		result = wait4(child, NULL, 0, NULL), want = child;
	else if (!strcmp(call, "pause"))
		result = pause(), want = -1, error = EINTR;
	else if (!strcmp(call, "sigsuspend"))
		result = sigsuspend(&set), want = -1, error = EINTR;
	int seen = errno, status = 0;
	clock_gettime(CLOCK_MONOTONIC, &after);
	check(result == want && (want >= 0 || seen == error), "%s gives %ld, errno %s", call, result, strerror(seen));
	if (error == EINTR)
		check(got == SIGUSR1, "woken without the signal");
	else
		check((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= (child ? 900 : 990), "%s ended too early", call);
	if (helper > 0)
		check(waitpid(helper, &status, 0) == helper && WIFEXITED(status) && WEXITSTATUS(status) == 7, "the helper ended with %x", (unsigned int)status);
	if (!strcmp(call, "msgrcv"))
		msgctl(queue, IPC_RMID, NULL);
	if (!strncmp(call, "sem", 3))
		semctl(queue, 0, IPC_RMID);
	return done();
}
