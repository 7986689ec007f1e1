/* Runs under seccomp (argv[2]): strict mode, filters of one thread, of all, of each its own. */
#include "check.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define THREADS 3

static pthread_barrier_t set_up, checked;
static const char *variant;
static volatile int go;

/* System call `nr` fails with `error`, all others are made. */
static void forbid(int nr, int error, unsigned int flags)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, filter };

	check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) == 0, "seccomp: %m");
}

/* Nothing that an agent needs: only what this program itself does from here on, and what the kernel has it do after a stop. */
static void allow_little(void)
{
	static const int allowed[] = { SYS_write, SYS_nanosleep, SYS_clock_nanosleep, SYS_access, SYS_exit_group, SYS_getppid, SYS_gettid, SYS_restart_syscall };
	struct sock_filter filter[32] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)) };
	unsigned short n = 1;

	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++) {
		filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)allowed[i], 0, 1);
		filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getuid, 0, 1);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 44);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	struct sock_fprog program = { n, filter };

	check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0, "seccomp: %m");
}

static void expect(int nr, int error)
{
	long result = syscall(nr);

	check(result == -1 && errno == error, "call %d: %ld, %m", nr, result);
}

static void *thread(void *number)
{
	long own = (long)number;

	if (!strcmp(variant, "own"))
		forbid(SYS_getppid, 70 + (int)own, 0);
	if (!strcmp(variant, "common") && own == 1)
		forbid(SYS_getppid, 71, 0);
	pthread_barrier_wait(&set_up);
	while (!go)
		usleep(1000);
	if (!strcmp(variant, "own"))
		expect(SYS_getppid, 70 + (int)own);
	if (!strcmp(variant, "all"))
		expect(SYS_getppid, 70);
	if (!strcmp(variant, "common"))
		expect(SYS_getgid, 60);
	/* It has all filters that the others have: so these can get its own. */
	if (!strcmp(variant, "common") && own == 1) {
		expect(SYS_getppid, 71);
		forbid(SYS_getpgrp, 72, SECCOMP_FILTER_FLAG_TSYNC);
	}
	pthread_barrier_wait(&checked);
	if (!strcmp(variant, "common")) {
		expect(SYS_getppid, 71);
		expect(SYS_getpgrp, 72);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t ids[THREADS];

	variant = argc > 2 ? argv[2] : "";
	if (!strcmp(variant, "strict")) {
		/* read, write and exit alone are left: the go file is one that has a line when it is time. */
		char byte;
		int fd = open(argv[3], O_RDONLY | O_CREAT, 0644);
		printf("ready\n");
		fflush(stdout);
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
		while (read(fd, &byte, 1) != 1)
			;
		if (write(1, "EXIT-SUCCESS\n", 13) == 13)
			syscall(SYS_exit, 0);
	}
	if (!strcmp(variant, "unprivileged"))
		check(setgid(1000) == 0 && setuid(1000) == 0, "setuid: %m");
	if (!strcmp(variant, "unprivileged") || !strcmp(variant, "no-new-privs"))
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (!strcmp(variant, "chain") || !strcmp(variant, "unprivileged") || !strcmp(variant, "dropped")) {
		/* The later filter has precedence only where it is stricter: an errno of the first that matches last installed. */
		forbid(SYS_getuid, 40, 0);
		forbid(SYS_getgid, 41, SECCOMP_FILTER_FLAG_LOG);
		forbid(SYS_getuid, 42, 0);
	}
	if (!strcmp(variant, "dropped"))
		check(setgid(1000) == 0 && setuid(1000) == 0, "setuid: %m");
	if (!strcmp(variant, "little"))
		allow_little();
	if (!strcmp(variant, "common"))
		forbid(SYS_getgid, 60, SECCOMP_FILTER_FLAG_LOG);
	if (!strcmp(variant, "all") || !strcmp(variant, "own") || !strcmp(variant, "common")) {
		pthread_barrier_init(&set_up, NULL, THREADS + 1);
		pthread_barrier_init(&checked, NULL, THREADS + 1);
		for (long i = 0; i < THREADS; i++)
			pthread_create(&ids[i], NULL, thread, (void *)(i + 1));
		if (!strcmp(variant, "all"))
			forbid(SYS_getppid, 70, SECCOMP_FILTER_FLAG_TSYNC);
		pthread_barrier_wait(&set_up);
	}
	ready();
	wait_for(argv[1]);
	if (!strcmp(variant, "chain") || !strcmp(variant, "unprivileged") || !strcmp(variant, "dropped")) {
		expect(SYS_getuid, 42);
		expect(SYS_getgid, 41);
	}
	if (!strcmp(variant, "little"))
		expect(SYS_getuid, 44);
	if (!strcmp(variant, "all") || !strcmp(variant, "own") || !strcmp(variant, "common")) {
		go = 1;
		if (!strcmp(variant, "all"))
			expect(SYS_getppid, 70);
		else
			check(syscall(SYS_getppid) > 0, "the main thread has a filter: %m");
		pthread_barrier_wait(&checked);
		if (!strcmp(variant, "common")) {
			expect(SYS_getgid, 60);
			expect(SYS_getppid, 71);
			expect(SYS_getpgrp, 72);
		}
		for (int i = 0; i < THREADS; i++)
			pthread_join(ids[i], NULL);
	}
	return done();
}
