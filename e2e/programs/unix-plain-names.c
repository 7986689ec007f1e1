/* Sockets under names as CRIU carries them: a path, an abstract name, a relative path, one that is deleted, one that the kernel chose. */
#include "check.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { PATH, ABSTRACT, RELATIVE, DELETED, CHOSEN, COUNT };

static struct sockaddr_un names[COUNT];
static socklen_t sizes[COUNT];

static int bound(int type, int which, const char *name)
{
	struct sockaddr_un *un = &names[which];
	socklen_t size = sizeof(sa_family_t);
	int fd = socket(AF_UNIX, type, 0);

	un->sun_family = AF_UNIX;
	if (name[0] == '@') {
		memcpy(un->sun_path + 1, name + 1, strlen(name) - 1);
		size = offsetof(struct sockaddr_un, sun_path) + strlen(name);
	} else if (name[0] != 0)
		size = offsetof(struct sockaddr_un, sun_path) + snprintf(un->sun_path, sizeof(un->sun_path), "%s", name) + 1;
	check(fd >= 0 && bind(fd, (void *)un, size) == 0, "bind %s: %m", name);
	sizes[which] = sizeof(*un);
	check(getsockname(fd, (void *)un, &sizes[which]) == 0, "getsockname: %m");
	return fd;
}

int main(int argc, char **argv)
{
	char path[108], abstract[64], text[32];
	int fds[COUNT], listener, client, type = SOCK_DGRAM;
	struct sockaddr_un un;
	socklen_t size;

	check(argc > 2 && chdir(argv[2]) == 0, "chdir: %m");
	snprintf(path, sizeof(path), "%s/path", argv[2]);
	snprintf(abstract, sizeof(abstract), "@crts-plain-%d", getpid());
	/* Its number is before that of the one which it is connected to. */
	int sender = socket(AF_UNIX, type, 0);
	fds[PATH] = bound(type, PATH, path);
	fds[ABSTRACT] = bound(type, ABSTRACT, abstract);
	fds[RELATIVE] = bound(type, RELATIVE, "relative");
	snprintf(path, sizeof(path), "%s/deleted", argv[2]);
	fds[DELETED] = bound(type, DELETED, path);
	check(unlink(path) == 0 && chmod("path", 0640) == 0, "unlink: %m");
	fds[CHOSEN] = bound(type, CHOSEN, "");
	check(connect(sender, (void *)&names[PATH], sizes[PATH]) == 0, "connect: %m");
	for (int i = 0; i < COUNT; i++)
		if (i != DELETED)
			check(sendto(fds[CHOSEN], "early", 5, 0, (void *)&names[i], sizes[i]) == 5, "sendto %d: %m", i);
	snprintf(abstract, sizeof(abstract), "@crts-listener-%d", getpid());
	memset(&un, 0, sizeof(un));
	un.sun_family = AF_UNIX;
	memcpy(un.sun_path + 1, abstract + 1, strlen(abstract) - 1);
	size = offsetof(struct sockaddr_un, sun_path) + strlen(abstract);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	check(bind(listener, (void *)&un, size) == 0 && listen(listener, 3) == 0, "listen: %m");
	ready();
	wait_for(argv[1]);

	for (int i = 0; i < COUNT; i++) {
		struct sockaddr_un now;
		socklen_t length = sizeof(now);
		check(getsockname(fds[i], (void *)&now, &length) == 0 && length == sizes[i] && !memcmp(&now, &names[i], length), "name %d: %u bytes %s", i, length, now.sun_path);
		if (i == DELETED) {
			check(sendto(fds[CHOSEN], "x", 1, 0, (void *)&names[i], sizes[i]) == -1 && errno == ENOENT, "a deleted name leads somewhere: %m");
			continue;
		}
		check(recv(fds[i], text, sizeof(text), MSG_DONTWAIT) == 5 && !memcmp(text, "early", 5), "message %d: %m", i);
		check(sendto(fds[CHOSEN], "late", 4, 0, (void *)&names[i], sizes[i]) == 4 && recv(fds[i], text, sizeof(text), MSG_DONTWAIT) == 4, "talk %d: %m", i);
	}
	check(write(sender, "sent", 4) == 4 && recv(fds[PATH], text, sizeof(text), MSG_DONTWAIT) == 4, "the connected one: %m");
	struct stat st;
	check(stat("path", &st) == 0 && (st.st_mode & 07777) == 0640, "mode %o", st.st_mode);
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	check(connect(client, (void *)&un, size) == 0 && accept(listener, NULL, NULL) >= 0, "connect: %m");
	return done();
}
