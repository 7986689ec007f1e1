/*
 * unix-makers GO DIR: listeners and clients of several tasks and users, some connections accepted, some waiting. SO_PEERCRED of every end is
 * what it was, and a server that accepts later sees who waits.
 */
#include "check.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { KINDS = 5, CHILDREN = 3 };

static struct sockaddr_un names[KINDS];
static socklen_t sizes[KINDS];
static const int types[KINDS] = { SOCK_STREAM, SOCK_STREAM, SOCK_SEQPACKET, SOCK_STREAM, SOCK_STREAM };

static struct ucred cred(int fd)
{
	struct ucred who = { 0 };
	socklen_t size = sizeof(who);

	check(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0, "SO_PEERCRED: %m");
	return who;
}

static void made_by(int fd, int pid, unsigned uid, unsigned gid, const char *what, int which)
{
	struct ucred who = cred(fd);

	check(who.pid == pid && who.uid == uid && who.gid == gid, "%s %d: made by %d (%u:%u), not by %d (%u:%u)", what, which, who.pid, who.uid, who.gid, pid, uid, gid);
}

static void owned_by(int fd, unsigned uid, unsigned gid, const char *what)
{
	struct stat st;

	check(fstat(fd, &st) == 0 && st.st_uid == uid && st.st_gid == gid, "%s: socket of %u:%u", what, st.st_uid, st.st_gid);
}

static int client(int kind)
{
	int fd = socket(AF_UNIX, types[kind], 0);

	/* The last kind has clients with names. */
	if (kind == 4) {
		struct sockaddr_un own = { .sun_family = AF_UNIX };
		snprintf(own.sun_path + 1, 100, "makers-%d", getpid());
		check(bind(fd, (void *)&own, 100) == 0, "bind: %m");
	}
	check(connect(fd, (void *)&names[kind], sizes[kind]) == 0, "connect %d: %m", kind);
	return fd;
}

/* Child 1 and 2 have two connections to each listener: one that is accepted, one that waits. */
static int visit(int number, int up, int down, int listener_maker)
{
	int fds[KINDS], waits[KINDS], pair[2];
	unsigned uid = 1000 + number, gid = 2000 + number;
	char byte = 'x';

	check(setresgid(gid, gid, 0) == 0 && setresuid(uid, uid, 0) == 0, "setresuid: %m");
	check(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 && fchmod(pair[1], 0600) == 0, "socketpair: %m");
	for (int i = 0; i < KINDS; i++) {
		check(read(down, &byte, 1) == 1, "the parent is silent: %m");
		fds[i] = client(i);
		check(write(up, &byte, 1) == 1, "write: %m");
	}
	for (int i = 0; i < KINDS; i++)
		if (i != 4)
			waits[i] = client(i);
	check(write(up, &byte, 1) == 1 && read(down, &byte, 1) == 1, "the parent is silent: %m");
	for (int i = 0; i < KINDS; i++) {
		int maker = i == 1 ? listener_maker : getppid();
		made_by(fds[i], maker, 0, 0, "client", i);
		check(write(fds[i], &byte, 1) == 1, "write: %m");
		owned_by(fds[i], uid, gid, "client");
		if (i == 4)
			continue;
		made_by(waits[i], maker, 0, 0, "waiting client", i);
		check(write(waits[i], number == 1 ? "1" : "2", 1) == 1, "write: %m");
	}
	struct stat st;
	check(fstat(pair[1], &st) == 0 && st.st_mode == (S_IFSOCK | 0600), "permissions %o", st.st_mode);
	owned_by(pair[0], uid, gid, "pair");
	check(write(up, &byte, 1) == 1 && read(down, &byte, 1) == 1, "the parent is silent: %m");
	fflush(stdout);
	return failures;
}

int main(int argc, char **argv)
{
	int listeners[KINDS], accepted[CHILDREN][KINDS], up[CHILDREN][2], down[CHILDREN][2], pids[CHILDREN], status;
	char byte = 'x';

	(void)argc;
	for (int i = 0; i < KINDS; i++) {
		names[i].sun_family = AF_UNIX;
		sizes[i] = sizeof(names[i]);
		if (i == 3) {
			snprintf(names[i].sun_path + 1, 100, "makers-abstract-%d", getpid());
			sizes[i] = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(names[i].sun_path + 1);
		} else
			snprintf(names[i].sun_path, sizeof(names[i].sun_path), "%s/%d", argv[2], i);
		listeners[i] = socket(AF_UNIX, types[i], 0);
		check(bind(listeners[i], (void *)&names[i], sizes[i]) == 0 && (i == 3 || chmod(names[i].sun_path, 0666) == 0), "bind: %m");
		check(i == 1 || listen(listeners[i], 8) == 0, "listen: %m");
	}
	for (int i = 0; i < CHILDREN; i++)
		check(pipe(up[i]) == 0 && pipe(down[i]) == 0, "pipe: %m");
	/* Child 0 makes a listener of what it has from its parent. */
	for (int i = 0; i < CHILDREN; i++) {
		pids[i] = fork();
		if (pids[i] > 0) {
			if (i == 0)
				check(read(up[0][0], &byte, 1) == 1, "read: %m");
			continue;
		}
		if (i > 0)
			_exit(visit(i, up[i][1], down[i][0], pids[0]));
		check(listen(listeners[1], 8) == 0 && write(up[0][1], &byte, 1) == 1 && read(down[0][0], &byte, 1) == 1, "listen: %m");
		_exit(0);
	}
	for (int kind = 0; kind < KINDS; kind++)
		for (int i = 1; i < CHILDREN; i++) {
			check(write(down[i][1], &byte, 1) == 1 && read(up[i][0], &byte, 1) == 1, "read: %m");
			accepted[i][kind] = accept(listeners[kind], NULL, NULL);
			made_by(accepted[i][kind], pids[i], 1000 + i, 2000 + i, "accepted", kind);
		}
	for (int i = 1; i < CHILDREN; i++)
		check(read(up[i][0], &byte, 1) == 1, "read: %m");
	/* No name leads to it any more. */
	unlink(names[2].sun_path);
	ready();
	wait_for(argv[1]);

	for (int kind = 0; kind < KINDS; kind++) {
		made_by(listeners[kind], kind == 1 ? pids[0] : getpid(), 0, 0, "listener", kind);
		for (int i = 1; i < CHILDREN; i++) {
			made_by(accepted[i][kind], pids[i], 1000 + i, 2000 + i, "accepted", kind);
			check(write(down[i][1], &byte, kind == 0) == (kind == 0), "write: %m");
		}
	}
	for (int i = 1; i < CHILDREN; i++)
		check(read(up[i][0], &byte, 1) == 1, "read: %m");
	for (int kind = 0; kind < KINDS; kind++) {
		for (int i = 1; i < CHILDREN; i++)
			check(recv(accepted[i][kind], &byte, 1, MSG_DONTWAIT) == 1 && byte == 'x', "accepted %d has nothing: %m", kind);
		for (int i = 1; kind != 4 && i < CHILDREN; i++) {
			/* Both connected side by side: in any order. */
			int late = accept4(listeners[kind], NULL, NULL, SOCK_NONBLOCK);
			check(read(late, &byte, 1) == 1 && (byte == '1' || byte == '2'), "late %d has %c: %m", kind, byte);
			int who = byte - '0';
			made_by(late, pids[who], 1000 + who, 2000 + who, "late", kind);
		}
	}
	struct sockaddr_un peer;
	socklen_t size = sizeof(peer);
	char want[100] = "";
	snprintf(want + 1, 99, "makers-%d", pids[1]);
	check(getpeername(accepted[1][4], (void *)&peer, &size) == 0 && size == 100 && !memcmp(peer.sun_path, want, 98), "name of the client: %s", peer.sun_path + 1);
	for (int i = 0; i < CHILDREN; i++) {
		check(write(down[i][1], &byte, 1) == 1 && waitpid(pids[i], &status, 0) == pids[i] && status == 0, "child %d: %x", i, status);
	}
	return done();
}
