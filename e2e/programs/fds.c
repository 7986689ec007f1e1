/* Descriptors of regular files, directories and stateless devices: numbers, flags, offsets, sharing, owners. */
#include "check.h"
#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>

static int at(int fd, int number, int cloexec)
{
	int result = cloexec ? dup3(fd, number, O_CLOEXEC) : dup2(fd, number);

	check(result == number, "dup2 %d: %m", number);
	close(fd);
	return number;
}

int main(int argc, char **argv)
{
	char path[4096], text[64];
	struct stat before[8], after[8];

	(void)argc;
	snprintf(path, sizeof(path), "%s/file \xff\xfe with \xc3\xa4 name", argv[2]);
	int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0640);
	check(write(file, "0123456789abcdef", 16) == 16 && lseek(file, 5, SEEK_SET) == 5, "write: %m");
	int append = at(open(path, O_WRONLY | O_APPEND), 41, 0);
	int shared = dup(file), far = at(dup(file), 300, 1);
	int reader = at(open(path, O_RDONLY | O_NONBLOCK | O_NOATIME), 77, 1);
	int direct = open(path, O_RDONLY | O_DIRECT);
	int opath = open(path, O_PATH);
	int directory = open(argv[2], O_RDONLY | O_DIRECTORY);
	int null = at(open("/dev/null", O_RDWR), 55, 1), zero = open("/dev/zero", O_RDONLY), random = open("/dev/urandom", O_RDONLY);
	struct f_owner_ex owner = { F_OWNER_PID, getpid() }, now;
	fcntl(reader, F_SETOWN_EX, &owner);
	fcntl(reader, F_SETSIG, SIGUSR1);
	int all[] = { file, append, far, reader, opath, directory, null, zero };
	for (int i = 0; i < 8; i++)
		check(fstat(all[i], &before[i]) == 0, "fstat %d: %m", all[i]);
	ready();
	wait_for(argv[1]);

	for (int i = 0; i < 8; i++) {
		check(fstat(all[i], &after[i]) == 0, "fstat %d: %m", all[i]);
		check(before[i].st_ino == after[i].st_ino && before[i].st_dev == after[i].st_dev, "fd %d is another file", all[i]);
	}
	check(lseek(file, 0, SEEK_CUR) == 5 && lseek(reader, 0, SEEK_CUR) == 0, "offsets differ");
	check(read(shared, text, 3) == 3 && !memcmp(text, "567", 3), "shared descriptor reads wrongly");
	check(lseek(file, 0, SEEK_CUR) == 8 && lseek(far, 0, SEEK_CUR) == 8, "dup'ed descriptors do not share their offset");
	check(write(append, "X", 1) == 1 && lseek(append, 0, SEEK_CUR) == 17, "O_APPEND is lost");
	check((fcntl(append, F_GETFL) & (O_APPEND | O_ACCMODE)) == (O_APPEND | O_WRONLY), "flags of the appender");
	check((fcntl(reader, F_GETFL) & (O_NONBLOCK | O_NOATIME)) == (O_NONBLOCK | O_NOATIME), "flags of the reader");
	check(fcntl(direct, F_GETFL) & O_DIRECT, "O_DIRECT is lost");
	check(fcntl(opath, F_GETFL) & O_PATH, "O_PATH is lost");
	check(fcntl(far, F_GETFD) == FD_CLOEXEC && fcntl(null, F_GETFD) == FD_CLOEXEC && fcntl(file, F_GETFD) == 0, "close-on-exec differs");
	check(read(zero, text, 8) == 8 && !memcmp(text, "\0\0\0\0\0\0\0\0", 8) && read(random, text, 8) == 8 && write(null, "x", 1) == 1, "devices do not answer");
	check(fcntl(reader, F_GETOWN_EX, &now) == 0 && now.pid == getpid() && fcntl(reader, F_GETSIG) == SIGUSR1, "the owner is lost");
	DIR *list = fdopendir(directory);
	int found = 0;
	for (struct dirent *entry; list && (entry = readdir(list));)
		found += strstr(entry->d_name, "with") != NULL;
	check(found == 1, "the directory cannot be read");
	struct stat none;
	for (int fd = 0; fd < 1024; fd++)
		if (fstat(fd, &none) == 0 && fd > 2 && fd != file && fd != append && fd != shared && fd != far && fd != reader && fd != direct &&
		    fd != opath && fd != directory && fd != null && fd != zero && fd != random)
			fail("fd %d was not there", fd);
	return done();
}
