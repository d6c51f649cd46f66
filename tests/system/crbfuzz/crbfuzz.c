/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver of an HVM guest's TPM, for a guest whose tpm_crb is unbound: reads and
 * writes its registers through /dev/mem at any offset, with any size, by moves and by
 * instructions that repeat, in all localities and beyond them.
 *
 *   crb-fuzz SECONDS SEED
 *   crb-fuzz busy N
 *
 * The first afterwards waits for what executes, gives up all localities, and prints the
 * number of accesses.  The second has N long commands executed, one behind the other, and
 * prints the code of each response, and last whether its locality is its own still.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BASE	   0xFED40000u
#define BEFORE	   0x1000u /* of what lies below the registers */
#define SIZE	   0x9000u /* up to and behind the buffer's page */
#define LOCALITIES 5
#define WAIT_S	   60

static uint64_t state;

static uint32_t draw(uint32_t below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % below;
}

static void copy_bytes(volatile uint8_t *to, const volatile uint8_t *from, size_t n)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static void write_at(volatile uint8_t *at, unsigned int size, uint64_t v)
{
	if (size == 1)
		*at = (uint8_t)v;
	else if (size == 2)
		*(volatile uint16_t *)(volatile void *)at = (uint16_t)v;
	else if (size == 4)
		*(volatile uint32_t *)(volatile void *)at = (uint32_t)v;
	else
		*(volatile uint64_t *)(volatile void *)at = v;
}

static void read_at(const volatile uint8_t *at, unsigned int size)
{
	if (size == 1)
		(void)*at;
	else if (size == 2)
		(void)*(const volatile uint16_t *)(const volatile void *)at;
	else if (size == 4)
		(void)*(const volatile uint32_t *)(const volatile void *)at;
	else
		(void)*(const volatile uint64_t *)(const volatile void *)at;
}

static uint64_t draw_value(void)
{
	switch (draw(4)) {
	case 0:
		return 1u << draw(4);
	case 1:
		return ~0ull;
	case 2:
		return (uint64_t)draw(0x7fffffff) << 32 | draw(0x7fffffff);
	default:
		return 1;
	}
}

/* One access; half of them to the registers that act. */
static void access_once(volatile uint8_t *regs)
{
	static const uint16_t acting[] = {0x08, 0x40, 0x48, 0x4c};
	uint8_t ram[64];
	uint32_t at = draw(2) ? draw(LOCALITIES) * 0x1000 + acting[draw(4)]
			      : draw(BEFORE + SIZE - sizeof(ram));
	volatile uint8_t *p =
		draw(2) ? regs + BEFORE + at % (SIZE - sizeof(ram)) : regs + at;
	unsigned int size = 1u << draw(4);

	memset(ram, (int)draw(256), sizeof(ram));
	switch (draw(8)) {
	case 0:
		copy_bytes(ram, p, draw(sizeof(ram)));
		break;
	case 1:
		copy_bytes(p, ram, draw(sizeof(ram)));
		break;
	case 2:
	case 3:
		read_at(p, size);
		break;
	default:
		write_at(p, size, draw_value());
	}
}

static int settle(volatile uint8_t *regs)
{
	time_t end = time(NULL) + WAIT_S;
	volatile uint32_t *start = (volatile uint32_t *)(volatile void *)(regs + 0x4c);

	while (*start == 1 && time(NULL) < end)
		usleep(10000);
	for (unsigned int n = 0; n < LOCALITIES; n++)
		write_at(regs + n * 0x1000 + 0x08, 4, 2);
	return *start == 1;
}

static void execute(volatile uint8_t *regs, const uint8_t *cmd, size_t len)
{
	volatile uint32_t *start = (volatile uint32_t *)(volatile void *)(regs + 0x4c);
	volatile uint8_t *buffer = regs + LOCALITIES * 0x1000;

	write_at(regs + 0x40, 4, 1); /* cmdReady */
	for (size_t i = 0; i < len; i++)
		buffer[i] = cmd[i];
	*start = 1;
	while (*start & 1)
		usleep(1000);
}

static uint32_t word_at(const volatile uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 |
	       at[3];
}

/* TPM2_CreatePrimary of an RSA key, another one each time. */
static void keep_busy(volatile uint8_t *regs, unsigned long n)
{
	/* clang-format off */
	uint8_t create[] = {
		0x80, 2, 0, 0, 0, 71, 0, 0, 1, 0x31, 0x40, 0, 0, 1,	/* owner */
		0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0,		/* password */
		0, 4, 0, 0, 0, 0,					/* sensitive */
		0, 30, 0, 1, 0, 0x0b, 0, 3, 4, 0x72, 0, 0, 0, 6, 0, 0x80, 0, 0x43,
		0, 0x10, 8, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0,		/* public; unique */
		0, 0, 0, 0, 0, 0};
	uint8_t flush[] = {0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x65, 0, 0, 0, 0};
	/* clang-format on */
	const volatile uint8_t *rsp = regs + LOCALITIES * 0x1000;
	uint32_t unique = (uint32_t)time(NULL), code, handle;

	write_at(regs + 0x08, 4, 1);
	for (unsigned long i = 0; i < n; i++) {
		unique += 0x01000000;
		memcpy(create + sizeof(create) - 6 - 4, &unique, 4);
		execute(regs, create, sizeof(create));
		code = word_at(rsp + 6);
		handle = word_at(rsp + 10);
		printf("%x\n", code);
		fflush(stdout);
		handle = __builtin_bswap32(handle);
		memcpy(flush + 10, &handle, 4);
		if (!code)
			execute(regs, flush, sizeof(flush));
	}
	puts(regs[0x0c] & 1 ? "granted" : "not granted");
	write_at(regs + 0x08, 4, 2);
}

int main(int argc, char **argv)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC);
	unsigned long count = 0;
	volatile uint8_t *regs;
	time_t end;

	if (argc != 3 || fd < 0) {
		perror("crb-fuzz SECONDS SEED: /dev/mem");
		return 2;
	}
	regs = mmap(NULL, BEFORE + SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    (off_t)BASE - (off_t)BEFORE);
	if (regs == MAP_FAILED) {
		perror("crb-fuzz: the registers");
		return 2;
	}
	if (!strcmp(argv[1], "busy")) {
		keep_busy(regs + BEFORE, strtoul(argv[2], NULL, 0));
		return 0;
	}
	state = strtoull(argv[2], NULL, 0);
	end = time(NULL) + atoi(argv[1]);
	for (; time(NULL) < end; count++)
		access_once(regs);
	if (settle(regs + BEFORE)) {
		puts("a command executes without end");
		return 1;
	}
	printf("%lu accesses\n", count);
	return 0;
}
