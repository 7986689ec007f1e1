/* AMX tiles. */
#ifndef CRTS_AGENT_TILES_H
#define CRTS_AGENT_TILES_H

/*
 * The kernel makes room for the tiles of a thread when an instruction first needs it, and not before: xfd_enable_feature(),
 * arch/x86/kernel/fpu/xstate.c. ldtilecfg (config); tilezero %tmm0; tilerelease: as bytes, so that any assembler takes them. The thread
 * must be allowed to (ARCH_REQ_XCOMP_PERM), else it gets SIGILL. Its tiles are in their initial state afterwards.
 */
static inline long use_tiles(unsigned long config)
{
	__asm__ volatile(".byte 0xc4, 0xe2, 0x78, 0x49, 0x07\n\t"
			 ".byte 0xc4, 0xe2, 0x7b, 0x49, 0xc0\n\t"
			 ".byte 0xc4, 0xe2, 0x78, 0x49, 0xc0"
			 :
			 : "D"(config)
			 : "memory");
	return 0;
}

#endif
