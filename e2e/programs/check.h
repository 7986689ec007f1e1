/* Shared by the targets: they set up, print `ready`, wait for the file argv[1], check themselves, and say how it went. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int failures;

__attribute__((format(printf, 1, 2))) static inline void fail(const char *format, ...)
{
	va_list args;

	printf("FAIL: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	failures++;
}

#define check(condition, ...)              \
	do {                               \
		if (!(condition))          \
			fail(__VA_ARGS__); \
	} while (0)

/* stdio must not take its buffer from the heap between two looks at it. */
__attribute__((constructor)) static void own_buffer(void)
{
	static char buffer[4096];

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
}

static inline void ready(void)
{
	printf("ready\n");
	fflush(stdout);
}

static inline void wait_for(const char *file)
{
	struct timespec pause = { 0, 2000000 };

	while (access(file, F_OK) != 0)
		nanosleep(&pause, NULL);
}

static inline int done(void)
{
	if (failures == 0)
		printf("EXIT-SUCCESS\n");
	fflush(stdout);
	return failures != 0;
}
