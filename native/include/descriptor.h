/*
 * What the addon's describe() says of a descriptor: this record, then the text of its link and of its fdinfo.
 * packages/native-syscalls/src/struct/tables.ts has the same layout; its test compares the two.
 */
#ifndef CRTS_DESCRIPTOR_H
#define CRTS_DESCRIPTOR_H

#include <stdint.h>

struct descriptor_record {
	uint64_t dev; /* this and the next: struct stat */
	uint64_t ino;
	uint64_t rdev;
	uint64_t size;
	uint64_t nlink;
	uint64_t change_ns; /* st_ctim, in nanoseconds */
	uint64_t fs_type;   /* struct statfs, f_type */
	uint64_t pos; /* this, flags and mnt_id: the first lines of fdinfo, the same for every kind (man 5 proc) */
	uint32_t flags; /* with O_CLOEXEC where the descriptor has it */
	uint32_t mnt_id;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	int32_t local;      /* the engine's duplicate, which the caller closes; its own descriptor where no pidfd was given */
	int32_t owner_type; /* F_GETOWN_EX */
	int32_t owner_pid;
	int32_t owner_signal; /* F_GETSIG */
	uint32_t owner_uid;   /* F_GETOWNER_UIDS */
	uint32_t owner_euid;
	uint32_t link_size;
	uint32_t fdinfo_size;
	uint32_t record_size; /* with both texts, a multiple of 8 */
};

/* Where an error came from: written to the start of the output, then the descriptor. */
#define DESCRIBE_GETFD 1
#define DESCRIBE_STAT 2
#define DESCRIBE_STATFS 3
#define DESCRIBE_LINK 4
#define DESCRIBE_FDINFO 5
#define DESCRIBE_OPEN 6

#endif
