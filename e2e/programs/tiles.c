/* AMX tiles in use, in the main thread and in another one, over the dump: tiles GO. */
#include "check.h"
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>

#define ARCH_REQ_XCOMP_PERM 0x1023
#define TILE_DATA 18

static const char *go;
static pthread_barrier_t barrier;

/* Tiles 0 and 5 of 16 rows of 64 bytes. */
static void hold(unsigned char seed)
{
	unsigned char config[64] = { 1 }, pattern[2][1024], seen[2][1024], now[64];

	for (int i = 0; i < 6; i++) {
		config[16 + 2 * i] = 64;
		config[48 + i] = 16;
	}
	for (int i = 0; i < 1024; i++) {
		pattern[0][i] = (unsigned char)(seed + i * 7);
		pattern[1][i] = (unsigned char)(seed * 3 + i * 11);
	}
	memset(seen, 0, sizeof(seen));
	__asm__ volatile("ldtilecfg %0" : : "m"(config));
	__asm__ volatile("tileloadd (%0,%1,1), %%tmm0" : : "r"(pattern[0]), "r"(64L) : "memory");
	__asm__ volatile("tileloadd (%0,%1,1), %%tmm5" : : "r"(pattern[1]), "r"(64L) : "memory");
	pthread_barrier_wait(&barrier);
	wait_for(go);
	__asm__ volatile("tilestored %%tmm0, (%0,%1,1)" : : "r"(seen[0]), "r"(64L) : "memory");
	__asm__ volatile("tilestored %%tmm5, (%0,%1,1)" : : "r"(seen[1]), "r"(64L) : "memory");
	__asm__ volatile("sttilecfg %0" : "=m"(now));
	__asm__ volatile("tilerelease");
	check(!memcmp(seen, pattern, sizeof(seen)), "tiles of %d are lost", seed);
	check(!memcmp(now, config, sizeof(now)), "the configuration of %d is lost", seed);
}

static void *thread(void *argument)
{
	hold((unsigned char)(intptr_t)argument);
	return NULL;
}

/* Never uses a tile, though it may. */
static void *other(void *argument)
{
	(void)argument;
	wait_for(go);
	return NULL;
}

static void *announce(void *argument)
{
	(void)argument;
	pthread_barrier_wait(&barrier);
	ready();
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[3];

	(void)argc;
	go = argv[1];
	check(syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0, "AMX: %m");
	pthread_barrier_init(&barrier, NULL, 3);
	pthread_create(&threads[0], NULL, thread, (void *)5);
	pthread_create(&threads[1], NULL, other, NULL);
	pthread_create(&threads[2], NULL, announce, NULL);
	hold(9);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	return done();
}
