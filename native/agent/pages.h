/* Page contents between memory and files. Addresses are the plan's: what it may touch is checked there. */
#ifndef CRTS_AGENT_PAGES_H
#define CRTS_AGENT_PAGES_H

#include "calls.h"
#include "protocol.h"

/* Nothing outside the blob: no table of addresses, and no relocations. */
#pragma GCC visibility push(hidden)

/* All bytes of all runs by pread64 or pwrite64, or the errno; a read that meets the end of the file is ENODATA. */
long transfer_pages(word nr, word fd, struct agent_run *runs, word count);

/* AGENT_OP_PAGES_TOGETHER. */
long share_pages(word nr, word fd, struct agent_run *runs, const unsigned int *bounds, word count, unsigned int *next);

/* AGENT_OP_PAGES_UPDATE; `room` lies in the arena. */
long update_pages(word fd, struct agent_run *runs, word count, word room);

#pragma GCC visibility pop

#endif
