/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that is no operating system: it executes a script, which lies behind it on the
 * disk, over the CRB of its TPM (TCG PC Client PTP, 6.5.3), sleeps in S3 (ACPI, 4.8.3.2 and
 * 16.1) and goes on when it is woken.  What it says goes to the first serial port, a line
 * each.  A line of the script is one of
 *
 *   c HEX           a command; says "rsp HEX"
 *   c HEX+          the same with what was kept behind it, and its size made right
 *   k               keeps the last response, but for its header
 *   l N             that locality from now on
 *   m ADDRESS SIZE  memory, in hexadecimal; says "mem HEX"
 *   s               sleeps; says "sleeps", and "woken" when its firmware gave control back
 *   r               asks Xen for a soft reset, as a Linux does that executes another one by kexec;
 *                   says "resets", and "reset" when it goes on
 *
 *   b               gives the page of the TPM's buffer back to Xen; says "given back"
 *
 * At the script's end, a zero byte, it says "end".  What it cannot do it says as "error ...",
 * and stops.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COM1	     0x3f8
#define COM_FIFO     (COM1 + 2)
#define COM_LINE     (COM1 + 3)
#define COM_8N1	     3
#define PIC_MASKS    0x21, 0xa1
#define CRB	     0xfed40000u
#define LOC_SIZE     0x1000u
#define LOC_STATE    0x00
#define LOC_CTRL     0x08
#define CTRL_REQ     0x40
#define CTRL_STS     0x44
#define CTRL_START   0x4c
#define CTRL_CMD     0x5c
#define CTRL_RSP     0x68
#define LOC_REQUEST  1u
#define LOC_GIVE_UP  2u
#define LOC_ASSIGNED 2u
#define LOC_ACTIVE   0x1cu /* which one it is */
#define CMD_READY    1u
#define GO_IDLE	     2u
#define HEADER	     10u
#define KEPT_SIZE    2048u
#define LINE_SIZE    1024u
#define BUFFER_SIZE  3968u /* QEMU's; ours is larger */
#define TRIES	     2000000u
#define PCI_ADDRESS  0xcf8
#define PCI_DATA     0xcfc
#define PM_PMBA	     0x80000b40u /* PIIX4: 00:01.3, base of the power management's ports */
#define PM_PMREGMISC 0x80000b80u /* whether it has them */
#define SLP_TYP	     (7u << 10)
#define SLP_EN	     (1u << 13)
#define SCI_EN	     1u
#define PM1_WAK_STS  0x8000u
#define XEN_LEAF     0x40000000u
#define HYPERCALLS   0x30000u /* RAM that nothing else uses */
#define MEMORY_OP    12u
#define DECREASE     1u
#define DOMID_SELF   0x7ff0u
#define SCHED_OP     29u
#define SHUTDOWN     2u
#define SOFT_RESET   5u

/* boot.S, sleeper.lds */
extern const char sleeper_script[];
extern const uint8_t sleeper_waking[];
void sleeper_main(bool woken);

static const char *script = sleeper_script;
static uint32_t locality;
static uintptr_t response;
static uint8_t kept[KEPT_SIZE];
static uint32_t kept_size;
static uint32_t pm_base, pm_misc;

static void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static void out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static uint16_t in16(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static uint32_t load(uintptr_t at)
{
	return *(const volatile uint32_t *)at;
}

static void store(uintptr_t at, uint32_t v)
{
	*(volatile uint32_t *)at = v;
}

static void out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static uint32_t read_pci(uint32_t address)
{
	uint32_t v;

	out32(PCI_ADDRESS, address);
	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"((uint16_t)PCI_DATA));
	return v;
}

static void write_pci(uint32_t address, uint32_t v)
{
	out32(PCI_ADDRESS, address);
	out32(PCI_DATA, v);
}

static uint8_t byte_at(uintptr_t at)
{
	return *(const volatile uint8_t *)at;
}

/* The program's end, and its machine's sleep: no interrupt arrives.  Xen ends a guest whose
 * only processor halts with interrupts disabled. */
static _Noreturn void halt(void)
{
	const uint16_t masks[] = {PIC_MASKS};

	out8(masks[0], 0xff);
	out8(masks[1], 0xff);
	for (;;)
		__asm__ volatile("sti; hlt");
}

/* In one exit: QEMU's port, which is a file, takes any number of bytes. */
static void write_serial(const char *from, uint32_t n)
{
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(COM1) : "memory");
}

static void say(const char *text)
{
	uint32_t n = 0;

	while (text[n])
		n++;
	write_serial(text, n);
}

static void say_hex(uintptr_t from, uint32_t n)
{
	static const char digits[] = "0123456789abcdef";
	static char text[LINE_SIZE];
	uint32_t i, at = 0;

	for (i = 0; i < n; i++) {
		text[at++] = digits[byte_at(from + i) >> 4];
		text[at++] = digits[byte_at(from + i) & 15];
		if (at == LINE_SIZE) {
			write_serial(text, at);
			at = 0;
		}
	}
	write_serial(text, at);
	say("\n");
}

static _Noreturn void fail(const char *what)
{
	say("error ");
	say(what);
	say("\n");
	halt();
}

/* A digit's value; -1: it is none. */
static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static uint32_t number(void)
{
	uint32_t v = 0;

	while (*script == ' ')
		script++;
	for (; digit(*script) >= 0; script++)
		v = v << 4 | (uint32_t)digit(*script);
	return v;
}

static void wait_for(uint32_t offset, uint32_t mask, uint32_t want, const char *what)
{
	uint32_t i;

	for (i = 0; i < TRIES; i++)
		if ((load(CRB + locality * LOC_SIZE + offset) & mask) == want)
			return;
	fail(what);
}

static void write_register(uint32_t offset, uint32_t v)
{
	store(CRB + locality * LOC_SIZE + offset, v);
}

static void take_locality(uint32_t n)
{
	write_register(LOC_CTRL, LOC_GIVE_UP);
	locality = n;
	write_register(LOC_CTRL, LOC_REQUEST);
	wait_for(LOC_STATE, LOC_ASSIGNED | LOC_ACTIVE, LOC_ASSIGNED | n << 2,
		 "the locality is not assigned");
}

static uint32_t big_endian(uintptr_t at)
{
	return (uint32_t)byte_at(at) << 24 | (uint32_t)byte_at(at + 1) << 16 |
	       (uint32_t)byte_at(at + 2) << 8 | byte_at(at + 3);
}

static uint32_t response_size(void)
{
	uint32_t n = big_endian(response + 2);

	return n < BUFFER_SIZE ? n : BUFFER_SIZE;
}

static void keep_response(void)
{
	uint32_t n = response ? response_size() : 0, i;

	if (n < HEADER || n - HEADER > KEPT_SIZE)
		fail("it cannot be kept");
	for (i = 0; i < n - HEADER; i++)
		kept[i] = byte_at(response + HEADER + i);
	kept_size = i;
}

static void put(uintptr_t at, uint32_t n, uint8_t v)
{
	if (n >= BUFFER_SIZE)
		fail("the command is too long");
	*(volatile uint8_t *)(at + n) = v;
}

/* The size of the command that the script has here. */
static uint32_t put_command(uintptr_t at)
{
	uint32_t n, i;

	while (*script == ' ')
		script++;
	for (n = 0; digit(script[0]) >= 0 && digit(script[1]) >= 0; script += 2)
		put(at, n++, (uint8_t)(digit(script[0]) << 4 | digit(script[1])));
	if (*script != '+')
		return n;
	for (i = 0; i < kept_size; i++)
		put(at, n++, kept[i]);
	put(at, 4, (uint8_t)(n >> 8));
	put(at, 5, (uint8_t)n);
	return n;
}

static void run_command(void)
{
	const uintptr_t regs = CRB + locality * LOC_SIZE;

	write_register(CTRL_REQ, CMD_READY);
	wait_for(CTRL_REQ, CMD_READY, 0, "it does not become ready");
	if (put_command(load(regs + CTRL_CMD)) < HEADER)
		fail("the command is too short");
	write_register(CTRL_START, 1);
	wait_for(CTRL_START, 1, 0, "it does not respond");
	if (load(regs + CTRL_STS) & 1)
		fail("tpmSts: the TPM has failed");
	response = load(regs + CTRL_RSP);
	say("rsp ");
	say_hex(response, response_size());
	write_register(CTRL_REQ, GO_IDLE);
	wait_for(CTRL_REQ, GO_IDLE, 0, "it does not become idle");
}

static bool is_text(uintptr_t at, const char *text)
{
	for (; *text; text++, at++)
		if (byte_at(at) != (uint8_t)*text)
			return false;
	return true;
}

/* RSDP, ACPI 5.2.5.1: in the BIOS' area, at a multiple of 16. */
static uintptr_t find_rsdp(void)
{
	uintptr_t at;

	for (at = 0xe0000; at < 0x100000; at += 16)
		if (is_text(at, "RSD PTR "))
			return at;
	fail("there is no RSDP");
}

/* The n-th table of the RSDT; 0: there are fewer. */
static uintptr_t table(uint32_t n)
{
	uintptr_t rsdt = load(find_rsdp() + 16);

	return 36 + 4 * n < load(rsdt + 4) ? load(rsdt + 36 + 4 * n) : 0;
}

static uintptr_t find_fadt(void)
{
	uintptr_t at;
	uint32_t n;

	for (n = 0; (at = table(n)); n++)
		if (is_text(at, "FACP"))
			return at;
	fail("there is no FADT");
}

/* SLP_TYPa of \_S3 (ACPI, 7.4.2.4), when this table has it: a package's first element, which
 * AML writes as ZeroOp, OneOp or a BytePrefix and a byte; -1. */
static int slp_typ_in(uintptr_t at)
{
	uintptr_t end = at + load(at + 4) - 10;

	for (at += 36; at < end; at++) {
		if (!is_text(at, "_S3_\x12"))
			continue;
		at += 5;
		at += 1 + (byte_at(at) >> 6) + 1; /* PkgLength, NumElements */
		return byte_at(at) == 0x0a ? byte_at(at + 1) : byte_at(at);
	}
	return -1;
}

static uint16_t slp_typ(uintptr_t fadt)
{
	int found = slp_typ_in(load(fadt + 40));
	uintptr_t at;
	uint32_t n;

	for (n = 0; found < 0 && (at = table(n)); n++)
		if (is_text(at, "SSDT"))
			found = slp_typ_in(at);
	if (found < 0)
		fail("no table has \\_S3");
	return (uint16_t)(found << 10);
}

static void fall_asleep(void)
{
	uintptr_t fadt = find_fadt(), facs = load(fadt + 36);
	uint16_t events = (uint16_t)load(fadt + 56), control = (uint16_t)load(fadt + 64);
	uint16_t type = slp_typ(fadt), v;

	if (!is_text(facs, "FACS"))
		fail("there is no FACS");
	if (load(fadt + 48) && !(in16(control) & SCI_EN))
		out8((uint16_t)load(fadt + 48), byte_at(fadt + 52)); /* ACPI_ENABLE */
	store(facs + 12, (uint32_t)(uintptr_t)sleeper_waking);
	pm_base = read_pci(PM_PMBA);
	pm_misc = read_pci(PM_PMREGMISC);
	say("sleeps\n");
	out16(events, PM1_WAK_STS);
	v = (uint16_t)((in16(control) & ~(SLP_TYP | SLP_EN)) | type);
	out16(control, v);
	out16(control, v | SLP_EN);
	halt();
}

/* Xen's public headers, arch-x86/cpuid.h: the page that the MSR makes has the calls. */
static uint32_t hypercall(uint32_t which, uint32_t what, const void *arg)
{
	uint32_t a = XEN_LEAF + 2, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	__asm__ volatile("wrmsr" : : "c"(b), "a"(HYPERCALLS), "d"(0));
	a = HYPERCALLS + which * 32;
	__asm__ volatile("call *%0" : "+a"(a), "+b"(what), "+c"(arg) : : "memory");
	return a;
}

static void soft_reset(void)
{
	const uint32_t reason = SOFT_RESET;

	say("resets\n");
	if (hypercall(SCHED_OP, SHUTDOWN, &reason))
		fail("Xen does not reset it");
	say("reset\n");
}

/* struct xen_memory_reservation of a guest of 32 bits, memory.h */
static void give_back(void)
{
	const uint32_t frame = load(CRB + CTRL_CMD) >> 12;
	const struct {
		uint32_t frames, count, order, flags;
		uint16_t domid;
	} pages = {(uint32_t)(uintptr_t)&frame, 1, 0, 0, DOMID_SELF};

	if (hypercall(MEMORY_OP, DECREASE, &pages) != 1)
		fail("Xen does not take the page");
	say("given back\n");
}

static void dump_memory(void)
{
	uintptr_t at = number();
	uint32_t n = number();

	say("mem ");
	say_hex(at, n);
}

static void run_line(void)
{
	char what = *script++;

	if (what == 'c')
		run_command();
	else if (what == 'l')
		take_locality(number());
	else if (what == 'k')
		keep_response();
	else if (what == 'm')
		dump_memory();
	while (*script && *script != '\n')
		script++;
	if (*script)
		script++;
	if (what == 's')
		fall_asleep();
	else if (what == 'r')
		soft_reset();
	else if (what == 'b')
		give_back();
}

void sleeper_main(bool woken)
{
	out8(COM_LINE, COM_8N1);
	out8(COM_FIFO, 1);
	if (woken) { /* QEMU has reset it, and on Xen no SeaBIOS sets it up */
		write_pci(PM_PMBA, pm_base);
		write_pci(PM_PMREGMISC, pm_misc);
	}
	say(woken ? "woken\n" : "begins\n");
	take_locality(locality);
	while (*script)
		run_line();
	say("end\n");
	halt();
}
