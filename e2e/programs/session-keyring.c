/* Has a keyring of its session (argv[2] says which), and goes on. */
#include "check.h"
#include <pthread.h>
#include <sys/syscall.h>

enum { JOIN_SESSION = 1, LINK = 8, USER_KEYRING = -4, SESSION_KEYRING = -3 };

static const char *what;

static void join_with_key(const char *name)
{
	check(syscall(SYS_keyctl, JOIN_SESSION, name, 0, 0, 0) > 0, "join: %m");
	check(syscall(SYS_add_key, "user", "crts-test", "x", 1UL, SESSION_KEYRING) > 0, "add_key: %m");
}

static void *apart(void *nothing)
{
	join_with_key(NULL);
	for (;;)
		pause();
	return nothing;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc < 3)
		return 2;
	what = argv[2];
	/* As pam_keyinit does, and systemd. */
	if (!strcmp(what, "login")) {
		check(syscall(SYS_keyctl, JOIN_SESSION, NULL, 0, 0, 0) > 0, "join: %m");
		check(syscall(SYS_keyctl, LINK, USER_KEYRING, SESSION_KEYRING, 0, 0) == 0, "link: %m");
		check(syscall(SYS_add_key, "user", "invocation_id", "0123456789abcdef", 16UL, SESSION_KEYRING) > 0, "add_key: %m");
	}
	if (!strcmp(what, "keys"))
		join_with_key(NULL);
	if (!strcmp(what, "named"))
		join_with_key("crts-test-session");
	if (!strncmp(what, "user", 4)) {
		check(setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0, "uid: %m");
		join_with_key(!strcmp(what, "user-named") ? "crts-test-session" : NULL);
	}
	if (!strcmp(what, "thread")) {
		check(pthread_create(&thread, NULL, apart, NULL) == 0, "thread: %m");
		usleep(100000);
	}
	ready();
	wait_for(argv[1]);
	return done();
}
