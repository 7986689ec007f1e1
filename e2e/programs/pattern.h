/* Contents that a seed makes and proves. */
static inline void fill(unsigned char *at, size_t size, unsigned long seed)
{
	for (size_t i = 0; i < size; i++)
		at[i] = (unsigned char)((seed = seed * 6364136223846793005ul + 1442695040888963407ul) >> 56);
}

static inline int filled(const unsigned char *at, size_t size, unsigned long seed)
{
	for (size_t i = 0; i < size; i++)
		if (at[i] != (unsigned char)((seed = seed * 6364136223846793005ul + 1442695040888963407ul) >> 56))
			return 0;
	return 1;
}
