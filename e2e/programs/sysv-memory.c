/* System V shared memory (argv[2]). Prints the number of its segment, which the test may remove. */
#include "check.h"
#include "pattern.h"
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>

#define PAGE 4096ul

int main(int argc, char **argv)
{
	int destroyed = argc > 2 && !strcmp(argv[2], "destroyed"), status = 0;
	key_t key = destroyed ? IPC_PRIVATE : (key_t)(0x43520000 + (getpid() & 0xffff));
	int id = shmget(key, 5 * PAGE + 9, IPC_CREAT | IPC_EXCL | 0640);
	unsigned char *at = shmat(id, NULL, 0), *again = shmat(id, NULL, SHM_RDONLY);
	struct shmid_ds before, after;
	pid_t child;

	check(id >= 0 && at != (void *)-1 && again != (void *)-1, "shmat: %m");
	if (destroyed)
		check(shmctl(id, IPC_RMID, NULL) == 0, "shmctl: %m");
	fill(at, 3 * PAGE, 1);
	fill(at + 5 * PAGE, 9, 2);
	check(mprotect(at + PAGE, PAGE, PROT_READ) == 0, "mprotect: %m");
	child = fork();
	if (child == 0) {
		at[4 * PAGE] = 1;
		while (at[4 * PAGE] == 1)
			usleep(2000);
		at[4 * PAGE + 1] = filled(at, 3 * PAGE, 1) ? 50 : 51;
		_exit(shmdt(at) != 0 || shmdt(again) != 0);
	}
	while (at[4 * PAGE] != 1)
		usleep(1000);
	check(shmctl(id, IPC_STAT, &before) == 0, "shmctl: %m");
	printf("segment %d\n", id);
	ready();
	wait_for(argv[1]);
	check(shmctl(id, IPC_STAT, &after) == 0, "shmctl: %m");
	/* Mappings, that is: those that mprotect(2) split count each. */
	check(after.shm_nattch == before.shm_nattch, "%lu attachments", (unsigned long)after.shm_nattch);
	check(after.shm_perm.__key == before.shm_perm.__key && after.shm_perm.mode == before.shm_perm.mode && after.shm_segsz == before.shm_segsz, "key %x, mode %o, size %zu", after.shm_perm.__key, after.shm_perm.mode, after.shm_segsz);
	check(filled(at, 3 * PAGE, 1) && filled(at + 5 * PAGE, 9, 2) && !memcmp(at, again, 5 * PAGE), "contents differ");
	at[4 * PAGE] = 2;
	check(waitpid(child, &status, 0) == child && status == 0 && again[4 * PAGE + 1] == 50, "the child says %x, %d", status, again[4 * PAGE + 1]);
	check(shmdt(again) == 0 && shmdt(at) == 0, "shmdt: %m");
	check(destroyed ? shmctl(id, IPC_STAT, &after) < 0 : shmctl(id, IPC_RMID, NULL) == 0, "the segment stays: %m");
	return done();
}
