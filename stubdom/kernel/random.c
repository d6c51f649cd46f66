/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include "stubdom/kernel/cpu.h"
#include "stubdom/kernel/panic.h"
#include "stubdom/kernel/random.h"
#include "stubdom/kernel/text.h"
#include "stubdom/kernel/x86.h"

/* Intel asks for 10 tries of RDRAND; RDSEED may be empty for longer. */
#define TRIES	   1000
#define SELF_TESTS 16

static bool has_rdrand, has_rdseed;
static uint64_t last;

static bool draw(uint64_t *v)
{
	for (int i = 0; has_rdseed && i < TRIES; i++)
		if (!x86_rdseed(v))
			return true;
	for (int i = 0; has_rdrand && i < TRIES; i++)
		if (!x86_rdrand(v))
			return true;
	return false;
}

/* Some processors answered all ones after a resume from sleep, with success. */
uint64_t random_word(void)
{
	uint64_t v;

	if (!draw(&v))
		panic("the processor's random number generator does not answer");
	if (v == last || v == 0 || v == ~0ULL)
		panic("the processor's random number generator repeats itself");
	last = v;
	return v;
}

void random_init(void)
{
	has_rdrand = cpu_has_rdrand();
	has_rdseed = cpu_has_rdseed();
	if (!has_rdrand && !has_rdseed)
		panic("the processor has neither RDRAND nor RDSEED: no key can be made");
	for (int i = 0; i < SELF_TESTS; i++)
		(void)random_word();
}

void random_bytes(void *out, size_t n)
{
	char *at = out;
	uint64_t v = 0;

	while (n) {
		size_t part = n < sizeof(v) ? n : sizeof(v);

		v = random_word();
		memcpy(at, &v, part);
		at += part;
		n -= part;
	}
}
