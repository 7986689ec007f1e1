/* Unread events. argv[3]: what becomes of them: drop, fail, provoke. */
#include "check.h"
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static char buffer[65536] __attribute__((aligned(8)));

int main(int argc, char **argv)
{
	char sub[4096], file[4096], quiet[8192];

	(void)argc;
	snprintf(sub, sizeof(sub), "%s/sub", argv[2]);
	snprintf(file, sizeof(file), "%s/file", argv[2]);
	snprintf(quiet, sizeof(quiet), "%s/quiet", argv[2]);
	mkdir(sub, 0711);
	close(open(file, O_CREAT | O_RDWR, 0640));
	close(open(quiet, O_CREAT | O_RDWR, 0640));
	int fd = inotify_init1(IN_NONBLOCK), idle = inotify_init1(IN_NONBLOCK);
	int directory = inotify_add_watch(fd, sub, IN_ATTRIB | IN_CREATE);
	int modified = inotify_add_watch(fd, file, IN_MODIFY);
	int silent = inotify_add_watch(fd, quiet, IN_DELETE_SELF);
	check(inotify_add_watch(idle, sub, IN_ATTRIB) == 1, "watch: %m");
	struct stat before, after;
	stat(file, &before);
	snprintf(quiet, sizeof(quiet), "%s/new", sub);
	close(open(quiet, O_CREAT | O_WRONLY, 0644));
	stat(file, &before);
	int size = 0;
	check(ioctl(fd, FIONREAD, &size) == 0 && size == 32, "%d bytes are queued", size);
	ready();
	wait_for(argv[1]);

	char told[512] = "";
	ssize_t length = read(fd, buffer, sizeof(buffer));
	for (char *at = buffer; at < buffer + length; at += sizeof(struct inotify_event) + ((struct inotify_event *)at)->len) {
		struct inotify_event *event = (void *)at;
		snprintf(told + strlen(told), sizeof(told) - strlen(told), "%d:%x ", event->wd, event->mask);
	}
	char wanted[512] = "";
	if (!strcmp(argv[3], "provoke"))
		snprintf(wanted, sizeof(wanted), "-1:%x %d:%x %d:%x ", IN_Q_OVERFLOW, directory, IN_ATTRIB | IN_ISDIR, modified, IN_MODIFY);
	if (!strcmp(argv[3], "keep"))
		snprintf(wanted, sizeof(wanted), "%d:%x ", directory, IN_CREATE);
	check(!strcmp(told, wanted), "told is \"%s\", not \"%s\"", told, wanted);
	/* Who had nothing in the queue is told nothing, but for what others hear too. */
	length = read(idle, buffer, sizeof(buffer));
	check(length <= (ssize_t)sizeof(struct inotify_event), "the idle instance hears %zd bytes", length);
	stat(file, &after);
	check(before.st_mode == after.st_mode && before.st_mtim.tv_sec == after.st_mtim.tv_sec && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec, "the file was changed");
	/* All goes on. */
	unlink(quiet);
	chmod(sub, 0755);
	length = read(fd, buffer, sizeof(buffer));
	check(length == sizeof(struct inotify_event) && ((struct inotify_event *)buffer)->wd == directory, "the watch is lost");
	snprintf(quiet, sizeof(quiet), "%s/quiet", argv[2]);
	unlink(quiet);
	length = read(fd, buffer, sizeof(buffer));
	check(length == 2 * sizeof(struct inotify_event) && ((struct inotify_event *)buffer)->wd == silent, "the third watch is lost");
	check(inotify_add_watch(fd, "/", IN_CREATE) == silent + 1, "the next number");
	return done();
}
