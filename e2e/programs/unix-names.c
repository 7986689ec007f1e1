/* Bound, listening and connected sockets: names of every kind, waiting connections, who is connected to whom. */
#include "check.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static socklen_t address(struct sockaddr_un *un, const char *name)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	if (name[0] == '@') {
		memcpy(un->sun_path + 1, name + 1, strlen(name + 1));
		return offsetof(struct sockaddr_un, sun_path) + strlen(name);
	}
	snprintf(un->sun_path, sizeof(un->sun_path), "%s", name);
	return sizeof(*un);
}

static int made(int type)
{
	int fd = socket(AF_UNIX, type, 0);

	check(fd >= 0, "socket: %m");
	return fd;
}

static int bound(int type, const char *name)
{
	struct sockaddr_un un;
	int fd = made(type);
	socklen_t size = address(&un, name);

	/* The family alone: the kernel gives a name. */
	if (name[0] == 0)
		size = sizeof(sa_family_t);
	check(bind(fd, (void *)&un, size) == 0, "bind %s: %m", name);
	return fd;
}

static int listening(int type, const char *name, int backlog)
{
	int fd = bound(type, name);

	check(listen(fd, backlog) == 0, "listen %s: %m", name);
	return fd;
}

static int tried(int fd, const char *name)
{
	struct sockaddr_un un;
	socklen_t size = address(&un, name);

	return connect(fd, (void *)&un, size);
}

static int connected(int type, const char *name)
{
	int fd = made(type);

	check(tried(fd, name) == 0, "connect %s: %m", name);
	return fd;
}

static void named(int fd, int peer, const char *name, const char *what)
{
	struct sockaddr_un un, want;
	socklen_t size = sizeof(un), expected = name[0] == 0 ? sizeof(sa_family_t) : address(&want, name);

	memset(&un, 0, sizeof(un));
	check((peer ? getpeername : getsockname)(fd, (void *)&un, &size) == 0, "%s: getpeername: %m", what);
	if (name[0] != '@' && name[0] != 0)
		expected = offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1;
	check(size == expected && (name[0] == 0 || !memcmp(un.sun_path, want.sun_path, size - offsetof(struct sockaddr_un, sun_path))),
	      "%s: name is %u bytes %s%s instead of %s", what, size, un.sun_path[0] ? "" : "@", un.sun_path + !un.sun_path[0], name);
}

static void talk(int from, int to, const char *text, const char *what)
{
	char got[64] = "";

	check(send(from, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)strlen(text), "%s: send %s: %m", what, text);
	check(recv(to, got, sizeof(got), MSG_DONTWAIT) == (ssize_t)strlen(text) && !strcmp(got, text), "%s: got %s instead of %s (%m)", what, got, text);
}

static void heard(int fd, const char *text, const char *sender, const char *what)
{
	char got[64] = "";
	struct sockaddr_un un, want;
	socklen_t size = sizeof(un);

	memset(&un, 0, sizeof(un));
	check(recvfrom(fd, got, sizeof(got), MSG_DONTWAIT, (void *)&un, &size) == (ssize_t)strlen(text) && !strcmp(got, text),
	      "%s: got %s instead of %s (%m)", what, got, text);
	address(&want, sender);
	check(sender[0] ? !memcmp(un.sun_path, want.sun_path, strlen(sender)) : size <= sizeof(sa_family_t), "%s: sent by %s, not %s", what,
	      un.sun_path + !un.sun_path[0], sender);
}

static ino_t file_of(const char *name, mode_t mode, uid_t uid)
{
	struct stat st;

	check(stat(name, &st) == 0, "stat %s: %m", name);
	check(S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == mode && st.st_uid == uid && st.st_gid == uid, "%s: mode %o owner %u:%u", name,
	      st.st_mode, st.st_uid, st.st_gid);
	return st.st_ino;
}

#define PATH(variable, name) \
	char variable[108];  \
	snprintf(variable, sizeof(variable), "%s/%s", directory, name)

int main(int argc, char **argv)
{
	const char *directory = argv[2];
	char abstract[64], gone_abstract[64], client_abstract[64];
	struct sockaddr_un automatic[2];
	struct ucred who, creds[2];
	socklen_t size;

	(void)argc;
	PATH(path, "listener");
	PATH(packets, "seqpackets");
	PATH(deleted, "deleted");
	PATH(replaced, "replaced");
	PATH(taken, "taken");
	PATH(datagrams, "datagrams");
	PATH(other, "other");
	PATH(hub, "hub");
	PATH(gone, "gone");
	PATH(left, "left");
	PATH(sub, "sub");
	PATH(long_path, "0123456789");
	while (strlen(long_path) < 107)
		strcat(long_path, "x");
	snprintf(abstract, sizeof(abstract), "@crts-test-%d", getpid());
	snprintf(gone_abstract, sizeof(gone_abstract), "@crts-test-gone-%d", getpid());
	snprintf(client_abstract, sizeof(client_abstract), "@crts-test-client-%d", getpid());
	mkdir(sub, 0755);
	check(chdir(sub) == 0, "chdir: %m");

	/* Listeners. */
	int l_path = listening(SOCK_STREAM, path, 3), l_abstract = listening(SOCK_STREAM, abstract, 5), l_auto = listening(SOCK_STREAM, "", 5);
	int l_packets = listening(SOCK_SEQPACKET, packets, 0), l_long = listening(SOCK_STREAM, long_path, 1);
	int l_relative = listening(SOCK_STREAM, "../relative", 1);
	check(chdir("..") == 0 && chmod(path, 0640) == 0 && chown(path, 1234, 1234) == 0, "chown: %m");
	size = sizeof(automatic[0]);
	check(getsockname(l_auto, (void *)&automatic[0], &size) == 0, "getsockname: %m");
	/* Accepted connections; one client has a name, one listener is closed. */
	int c_path = connected(SOCK_STREAM, path), a_path = accept(l_path, NULL, NULL);
	int c_named = bound(SOCK_STREAM, client_abstract);
	check(tried(c_named, abstract) == 0, "connect: %m");
	int a_named = accept(l_abstract, NULL, NULL);
	int c_packets = connected(SOCK_SEQPACKET, packets), a_packets = accept(l_packets, NULL, NULL);
	check(send(c_packets, "packet", 6, 0) == 6 && send(a_path, "for the client", 14, 0) == 14, "send: %m");
	int l_closed = listening(SOCK_STREAM, gone_abstract, 1), c_closed = connected(SOCK_STREAM, gone_abstract), a_closed = accept(l_closed, NULL, NULL);
	close(l_closed);
	int l_left = listening(SOCK_STREAM, left, 1), c_left = connected(SOCK_STREAM, left), a_left = accept(l_left, NULL, NULL);
	close(l_left);
	check(unlink(left) == 0, "unlink: %m");
	/* An accepted end whose client is closed. */
	int c_ended = connected(SOCK_STREAM, path), a_ended = accept(l_path, NULL, NULL);
	check(send(c_ended, "last words", 10, 0) == 10, "send: %m");
	close(c_ended);
	/* A client whose accepted end is closed. */
	int c_alone = connected(SOCK_STREAM, abstract);
	close(accept(l_abstract, NULL, NULL));
	/* Waiting connections, in order. */
	int w1 = connected(SOCK_STREAM, path), w2 = connected(SOCK_STREAM, path), w3 = bound(SOCK_STREAM, "@crts-waits");
	check(tried(w3, path) == 0, "connect: %m");
	/* Names that are gone, or lead to something else. */
	int l_deleted = listening(SOCK_STREAM, deleted, 2), w_deleted = connected(SOCK_STREAM, deleted);
	int l_old = listening(SOCK_STREAM, replaced, 2), w_old = connected(SOCK_STREAM, replaced);
	check(unlink(deleted) == 0 && unlink(replaced) == 0, "unlink: %m");
	int l_new = listening(SOCK_STREAM, replaced, 2), w_new = connected(SOCK_STREAM, replaced);
	PATH(draft, "draft");
	PATH(final, "final");
	int l_moved = listening(SOCK_STREAM, draft, 2), w_moved;
	check(rename(draft, final) == 0 && close(open(draft, O_CREAT | O_WRONLY, 0600)) == 0, "rename: %m");
	w_moved = connected(SOCK_STREAM, final);
	int l_taken = listening(SOCK_STREAM, taken, 2);
	check(unlink(taken) == 0 && close(open(taken, O_CREAT | O_WRONLY, 0600)) == 0, "replace: %m");
	/* Datagrams: connected, many to one, known and unknown senders, a receiver that is gone. */
	int d_path = bound(SOCK_DGRAM, datagrams), d_other = bound(SOCK_DGRAM, other), d_auto = bound(SOCK_DGRAM, ""), d_bare = made(SOCK_DGRAM);
	int d_one = connected(SOCK_DGRAM, datagrams), d_two = connected(SOCK_DGRAM, datagrams);
	check(tried(d_other, datagrams) == 0, "connect: %m");
	int d_dead = bound(SOCK_DGRAM, "@crts-dead-sender");
	check(tried(d_dead, datagrams) == 0, "connect: %m");
	check(send(d_one, "one", 3, 0) == 3 && send(d_other, "other", 5, 0) == 5 && send(d_dead, "dead", 4, 0) == 4 && send(d_two, "two", 3, 0) == 3,
	      "send: %m");
	close(d_dead);
	/* A hub that is connected on: its clients came before. */
	int d_hub = bound(SOCK_DGRAM, hub), d_first = connected(SOCK_DGRAM, hub);
	check(tried(d_hub, datagrams) == 0, "connect: %m");
	int d_self = bound(SOCK_DGRAM, "@crts-self");
	check(tried(d_self, "@crts-self") == 0 && send(d_self, "me", 2, 0) == 2, "self: %m");
	int d_gone = bound(SOCK_DGRAM, gone), d_orphan = connected(SOCK_DGRAM, gone);
	close(d_gone);
	check(unlink(gone) == 0, "unlink: %m");
	size = sizeof(automatic[1]);
	check(getsockname(d_auto, (void *)&automatic[1], &size) == 0, "getsockname: %m");
	/* Neither bound nor connected, and bound without a listener. */
	int bare = made(SOCK_STREAM | SOCK_NONBLOCK), lone = bound(SOCK_STREAM, "@crts-lone");
	int l_shut = listening(SOCK_STREAM, "@crts-shut", 1);
	check(shutdown(l_shut, SHUT_RD) == 0, "shutdown: %m");
	size = sizeof(who);
	check(getsockopt(c_path, SOL_SOCKET, SO_PEERCRED, &creds[0], &size) == 0 && getsockopt(a_path, SOL_SOCKET, SO_PEERCRED, &creds[1], &size) == 0, "SO_PEERCRED: %m");
	ready();
	wait_for(argv[1]);

	named(l_path, 0, path, "listener");
	named(l_abstract, 0, abstract, "abstract listener");
	named(l_relative, 0, "../relative", "relative listener");
	named(l_long, 0, long_path, "listener with a long name");
	size = sizeof(struct sockaddr_un);
	struct sockaddr_un now;
	check(getsockname(l_auto, (void *)&now, &size) == 0 && size == 8 && !memcmp(now.sun_path, automatic[0].sun_path, 6), "name of the kernel's choice");
	size = sizeof(struct sockaddr_un);
	check(getsockname(d_auto, (void *)&now, &size) == 0 && size == 8 && !memcmp(now.sun_path, automatic[1].sun_path, 6), "name of the kernel's choice");
	file_of(path, 0640, 1234);
	file_of("relative", 0755, 0);
	/* Waiting ones first: no new connection may overtake them. */
	int a1 = accept(l_path, NULL, NULL), a2 = accept(l_path, NULL, NULL), a3 = accept(l_path, NULL, NULL);
	talk(w1, a1, "first", "waiting");
	talk(a2, w2, "second", "waiting");
	talk(w3, a3, "third", "waiting");
	named(a1, 0, path, "accepted after the restore");
	named(a3, 1, "@crts-waits", "accepted after the restore");
	int a_deleted = accept(l_deleted, NULL, NULL), a_old = accept(l_old, NULL, NULL), a_new = accept(l_new, NULL, NULL);
	talk(w_deleted, a_deleted, "deleted", "deleted name");
	talk(w_old, a_old, "old", "replaced name");
	talk(w_new, a_new, "new", "new name");
	int a_moved = accept(l_moved, NULL, NULL);
	talk(w_moved, a_moved, "moved", "moved name");
	named(l_moved, 0, draft, "moved name");
	named(w_moved, 1, draft, "moved name");
	named(l_deleted, 0, deleted, "deleted name");
	named(l_old, 0, replaced, "replaced name");
	named(w_deleted, 1, deleted, "deleted name");
	check(access(deleted, F_OK) < 0 && errno == ENOENT, "%s is there", deleted);
	struct stat st;
	check(stat(taken, &st) == 0 && S_ISREG(st.st_mode), "%s is no file any more", taken);
	named(l_taken, 0, taken, "taken name");
	const char *names[] = { path, abstract, replaced, long_path, "relative", final };
	int listeners[] = { l_path, l_abstract, l_new, l_long, l_relative, l_moved };
	for (int i = 0; i < 6; i++) {
		int c = connected(SOCK_STREAM, names[i]), a = accept4(listeners[i], NULL, NULL, SOCK_NONBLOCK);

		check(a >= 0, "accept on %s: %m", names[i]);
		talk(c, a, "fresh", names[i]);
		close(c);
		close(a);
	}
	/* Connections that were there. */
	named(a_path, 0, path, "accepted");
	named(a_path, 1, "", "accepted");
	named(c_path, 0, "", "client");
	named(c_path, 1, path, "client");
	char text[64];
	check(recv(c_path, text, 64, MSG_DONTWAIT) == 14 && !memcmp(text, "for the client", 14), "queue of the client: %m");
	talk(c_path, a_path, "works", "accepted");
	named(a_named, 1, client_abstract, "accepted of a named client");
	named(a_named, 0, abstract, "accepted of a named client");
	named(c_named, 0, client_abstract, "named client");
	talk(a_named, c_named, "named", "named client");
	check(recv(a_packets, text, 64, MSG_DONTWAIT) == 6 && !memcmp(text, "packet", 6), "queue of packets: %m");
	named(a_packets, 0, packets, "accepted packets");
	talk(c_packets, a_packets, "more", "packets");
	named(a_closed, 0, gone_abstract, "accepted by a closed listener");
	named(c_closed, 1, gone_abstract, "client of a closed listener");
	talk(c_closed, a_closed, "still", "closed listener");
	int again = listening(SOCK_STREAM, gone_abstract, 1);
	close(again);
	named(a_left, 0, left, "accepted by a closed listener");
	named(c_left, 1, left, "client of a closed listener");
	talk(a_left, c_left, "still", "closed listener");
	named(a_ended, 0, path, "accepted of a closed client");
	check(recv(a_ended, text, 64, MSG_DONTWAIT) == 10 && recv(a_ended, text, 64, MSG_DONTWAIT) == 0, "closed client: %m");
	named(c_alone, 1, abstract, "client of a closed end");
	check(recv(c_alone, text, 64, MSG_DONTWAIT) == 0 && send(c_alone, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "closed end: %m");
	/* Datagrams. */
	heard(d_path, "one", "", "datagram");
	heard(d_path, "other", other, "datagram");
	heard(d_path, "dead", "@crts-dead-sender", "datagram");
	heard(d_path, "two", "", "datagram");
	check(recv(d_path, text, 64, MSG_DONTWAIT) < 0 && errno == EAGAIN, "more datagrams: %m");
	talk(d_one, d_path, "again", "datagrams");
	named(d_other, 1, datagrams, "datagrams");
	check(send(d_first, "x", 1, 0) < 0 && errno == EPERM, "the hub takes from its client: %m");
	named(d_first, 1, hub, "hub");
	named(d_hub, 1, datagrams, "hub");
	talk(d_hub, d_path, "on", "hub");
	struct sockaddr_un to;
	size = address(&to, hub);
	check(sendto(d_bare, "x", 1, 0, (void *)&to, size) < 0 && errno == EPERM, "the hub takes from anyone: %m");
	check(recv(d_self, text, 64, MSG_DONTWAIT) == 2, "own message: %m");
	talk(d_self, d_self, "self", "self");
	named(d_orphan, 1, gone, "orphan");
	check(send(d_orphan, "x", 1, 0) < 0 && errno == ECONNREFUSED, "orphan: %m");
	size = address(&to, datagrams);
	check(sendto(d_bare, "bare", 4, 0, (void *)&to, size) == 4, "sendto: %m");
	heard(d_path, "bare", "", "bare");
	check((fcntl(bare, F_GETFL) & O_NONBLOCK) && tried(bare, abstract) == 0, "bare stream: %m");
	named(lone, 0, "@crts-lone", "bound without listener");
	check(listen(lone, 1) == 0, "listen: %m");
	check(tried(made(SOCK_STREAM), "@crts-shut") < 0 && errno == ECONNREFUSED, "a shut listener takes connections: %m");
	size = sizeof(who);
	check(getsockopt(c_path, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && !memcmp(&who, &creds[0], sizeof(who)), "SO_PEERCRED of a client: %d %d", who.pid, who.uid);
	check(getsockopt(a_path, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && !memcmp(&who, &creds[1], sizeof(who)), "SO_PEERCRED: %d %d", who.pid, who.uid);
	/* The backlog of packets is 0: one waits, the second does not. */
	int p1 = connected(SOCK_SEQPACKET, packets), p2 = made(SOCK_SEQPACKET | SOCK_NONBLOCK);
	check(tried(p2, packets) < 0 && errno == EAGAIN, "the backlog is larger: %m");
	close(p1);
	return done();
}
