/* What all parts of the agent call with. */
#ifndef CRTS_AGENT_CALLS_H
#define CRTS_AGENT_CALLS_H

#include "syscall.h"

#include <asm/unistd.h>

typedef unsigned long word;

#define call0(nr) raw_syscall(nr, 0, 0, 0, 0, 0, 0)
#define call1(nr, a) raw_syscall(nr, (word)(a), 0, 0, 0, 0, 0)
#define call2(nr, a, b) raw_syscall(nr, (word)(a), (word)(b), 0, 0, 0, 0)
#define call3(nr, a, b, c) raw_syscall(nr, (word)(a), (word)(b), (word)(c), 0, 0, 0)
#define call4(nr, a, b, c, d) raw_syscall(nr, (word)(a), (word)(b), (word)(c), (word)(d), 0, 0)

#define EINTR 4
#define EAGAIN 11
#define EBADMSG 74
#define EINVAL 22
#define ENOSYS 38
#define ENODATA 61

#endif
