/* Holds known values in all general and vector registers in a spin, across the dump, and verifies them. */
#include "check.h"
#include <immintrin.h>

static unsigned long pattern[64] __attribute__((aligned(64)));
static unsigned long seen[64] __attribute__((aligned(64)));

/* r8-r15, rbx hold values while rcx counts down; the eight legacy x87 registers too. */
static void spin_general(unsigned long *out)
{
	__asm__ volatile("fninit; fld1; fldpi; fldl2e; fldlg2\n\t"
			 "mov $0x1111111111111111, %%r8\n\tmov $0x2222222222222222, %%r9\n\t"
			 "mov $0x3333333333333333, %%r10\n\tmov $0x4444444444444444, %%r11\n\t"
			 "mov $0x5555555555555555, %%r12\n\tmov $0x6666666666666666, %%r13\n\t"
			 "mov $0x7777777777777777, %%r14\n\tmov $0x8888888888888888, %%r15\n\t"
			 "mov $3000000, %%rcx\n\tmov $0x9999999999999999, %%rdx\n\tstd\n"
			 "1:	dec %%rcx\n\tjnz 1b\n\t"
			 "pushfq; popq 72(%0); cld\n\t"
			 "mov %%r8, 0(%0); mov %%r9, 8(%0); mov %%r10, 16(%0); mov %%r11, 24(%0)\n\t"
			 "mov %%r12, 32(%0); mov %%r13, 40(%0); mov %%r14, 48(%0); mov %%r15, 56(%0); mov %%rdx, 64(%0)\n\t"
			 "fstpl 80(%0); fstpl 88(%0); fstpl 96(%0); fstpl 104(%0)"
			 :
			 : "a"(out)
			 : "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", "st");
}

static void check_general(void)
{
	unsigned long out[16] = { 0 };
	double pi, l2e;

	spin_general(out);
	for (unsigned long i = 0; i < 9; i++)
		check(out[i] == (i + 1) * 0x1111111111111111ul, "general register %lu is %lx", i, out[i]);
	check(out[9] & 0x400, "the direction flag is lost: flags %lx", out[9]);
	memcpy(&l2e, &out[11], 8);
	memcpy(&pi, &out[12], 8);
	check(pi > 3.14159 && pi < 3.1416 && l2e > 1.4426 && l2e < 1.4427, "x87 registers are lost: %f %f", pi, l2e);
}

__attribute__((target("avx"))) static void check_avx(void)
{
	__asm__ volatile("vmovdqu 0(%0), %%ymm0; vmovdqu 32(%0), %%ymm5; vmovdqu 64(%0), %%ymm10; vmovdqu 96(%0), %%ymm15\n\t"
			 "mov $3000000, %%rcx\n1:	dec %%rcx\n\tjnz 1b\n\t"
			 "vmovdqu %%ymm0, 0(%1); vmovdqu %%ymm5, 32(%1); vmovdqu %%ymm10, 64(%1); vmovdqu %%ymm15, 96(%1); vzeroupper"
			 :
			 : "a"(pattern), "d"(seen)
			 : "rcx", "memory", "xmm0", "xmm5", "xmm10", "xmm15");
	check(!memcmp(pattern, seen, 128), "AVX registers are lost");
}

__attribute__((target("avx512f"))) static void check_avx512(void)
{
	unsigned long mask = 0;

	__asm__ volatile("vmovdqu64 0(%1), %%zmm1; vmovdqu64 64(%1), %%zmm16; vmovdqu64 128(%1), %%zmm31; mov $0xa5a5, %%ecx; kmovw %%ecx, %%k3\n\t"
			 "mov $3000000, %%rcx\n1:	dec %%rcx\n\tjnz 1b\n\t"
			 "vmovdqu64 %%zmm1, 0(%2); vmovdqu64 %%zmm16, 64(%2); vmovdqu64 %%zmm31, 128(%2); kmovw %%k3, %k0; vzeroupper"
			 : "=&r"(mask)
			 : "a"(pattern), "d"(seen)
			 : "rcx", "memory", "xmm1", "xmm16", "xmm31");
	check(!memcmp(pattern, seen, 192), "AVX-512 registers are lost");
	check((mask & 0xffff) == 0xa5a5, "the mask register is %lx", mask);
}

int main(int argc, char **argv)
{
	unsigned long fs_base, gs_base = (unsigned long)pattern;
	unsigned int mxcsr = 0x7f80 /* round to zero */, now;

	(void)argc;
	for (int i = 0; i < 64; i++)
		pattern[i] = 0x0123456789abcdeful * (unsigned long)(i + 1);
	__builtin_ia32_ldmxcsr(mxcsr);
	__asm__ volatile("wrgsbase %0" : : "r"(gs_base));
	__asm__ volatile("rdfsbase %0" : "=r"(fs_base));
	ready();
	do {
		check_general();
		if (__builtin_cpu_supports("avx"))
			check_avx();
		if (__builtin_cpu_supports("avx512f"))
			check_avx512();
	} while (!failures && access(argv[1], F_OK) != 0);
	now = __builtin_ia32_stmxcsr();
	check((now & ~0x3fu) == mxcsr, "mxcsr is %x", now);
	unsigned long fs_now, gs_now;
	__asm__ volatile("rdfsbase %0" : "=r"(fs_now));
	__asm__ volatile("rdgsbase %0" : "=r"(gs_now));
	check(fs_now == fs_base && gs_now == gs_base, "segment bases are lost");
	return done();
}
