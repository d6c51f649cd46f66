/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times TPM commands.
 *
 *   tpm-bench compare OURS THEIRS DURABLE FOLDER
 *                                   TPMs on Unix sockets, started; in turns, so that
 *                                   what disturbs one disturbs the others.  DURABLE is
 *                                   as THEIRS, and stores as OURS does before it answers.
 *                                   Beside TPM2_NV_Increment the disk itself: as many
 *                                   bytes as the state of OURS in FOLDER has, overwritten
 *                                   in a file of FOLDER, and fdatasync(); then these once
 *                                   more while another process writes to that disk
 *   tpm-bench device PATH N [SIZE]  N TPM2_GetRandom(32) on a character device; with
 *                                   SIZE, N commands of so many bytes, which it refuses
 *   tpm-bench exits N               N reads of a register of the TPM on an HVM guest's
 *                                   board, by /dev/mem, where its driver is unbound
 *   tpm-bench count PATH N          N TPM2_NV_Increment on a TPM at a Unix socket, which
 *                                   is started if need be; N 0: without end
 *
 * Prints a JSON object; times are medians in microseconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "lib/cursor.h"
#include "lib/twin.h"

#define RANDOM_RUNS    10000
#define RANDOM_BLOCK   100
#define INCREMENT_RUNS 500
#define PRIMARY_RUNS   150
#define RUNS_MAX       10000
#define NV_INDEX       0x01500099
#define OWNER	       0x40000001
#define CRB_BASE       0xFED40000
#define CRB_INTF_ID    0x30

static void fail(const char *what)
{
	fprintf(stderr, "tpm-bench: %s\n", what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct command {
	uint8_t bytes[4096];
	size_t len;
};

static struct cursor begin(struct command *c, uint16_t tag, uint32_t code)
{
	struct cursor w = cursor_writer(c->bytes, sizeof(c->bytes));

	cursor_put_u16(&w, tag);
	cursor_put_u32(&w, 0);
	cursor_put_u32(&w, code);
	return w;
}

static void end(struct command *c, const struct cursor *w)
{
	struct cursor size = cursor_writer(c->bytes + 2, 4);

	c->len = w->pos;
	cursor_put_u32(&size, (uint32_t)w->pos);
	if (!cursor_ok(w))
		fail("a command is too long");
}

static void put_password(struct cursor *w)
{
	cursor_put_u32(w, 9);
	cursor_put_u32(w, 0x40000009);
	cursor_put(w, "\0\0\0\0\0", 5);
}

static struct command get_random(void)
{
	struct command c;
	struct cursor w = begin(&c, 0x8001, 0x17b);

	cursor_put_u16(&w, 32);
	end(&c, &w);
	return c;
}

/* TPM2_Hash of more than any TPM takes at once. */
static struct command long_one(size_t size)
{
	struct command c = {.len = size};
	struct cursor w = begin(&c, 0x8001, 0x17d);

	if (size < 12 || size > sizeof(c.bytes))
		fail("SIZE is 12 to 4096");
	cursor_put_u16(&w, (uint16_t)(size - 12));
	w = cursor_writer(c.bytes + 2, 4);
	cursor_put_u32(&w, (uint32_t)size);
	return c;
}

/* A counter: TPM_NT_COUNTER, ownerwrite, ownerread, authread, noDA */
static struct command define_counter(void)
{
	struct command c;
	struct cursor w = begin(&c, 0x8002, 0x12a);

	cursor_put_u32(&w, OWNER);
	put_password(&w);
	cursor_put_u16(&w, 0);
	cursor_put_u16(&w, 14);
	cursor_put_u32(&w, NV_INDEX);
	cursor_put_u16(&w, 0x000b);
	cursor_put_u32(&w, 0x02060012);
	cursor_put_u16(&w, 0);
	cursor_put_u16(&w, 8);
	end(&c, &w);
	return c;
}

static struct command increment(void)
{
	struct command c;
	struct cursor w = begin(&c, 0x8002, 0x134);

	cursor_put_u32(&w, OWNER);
	cursor_put_u32(&w, NV_INDEX);
	put_password(&w);
	end(&c, &w);
	return c;
}

/* An RSA-2048 storage key; another one for each n, as the same would be made from
 * the same primes. */
static struct command create_primary(uint32_t n)
{
	struct command c;
	struct cursor w = begin(&c, 0x8002, 0x131);
	size_t mark;

	cursor_put_u32(&w, OWNER);
	put_password(&w);
	cursor_put(&w, "\0\4\0\0\0\0", 6);
	mark = cursor_mark_u16(&w);
	cursor_put_u16(&w, 0x0001);
	cursor_put_u16(&w, 0x000b);
	cursor_put_u32(&w, 0x00030472);
	cursor_put_u16(&w, 0);
	cursor_put(&w, "\0\6\0\x80\0\x43\0\x10\x08\0\0\0\0\0", 14);
	cursor_put_u16(&w, 4);
	cursor_put_u32(&w, n);
	cursor_patch_u16(&w, mark);
	cursor_put(&w, "\0\0\0\0\0\0", 6);
	end(&c, &w);
	return c;
}

static struct command flush(uint32_t handle)
{
	struct command c;
	struct cursor w = begin(&c, 0x8001, 0x165);

	cursor_put_u32(&w, handle);
	end(&c, &w);
	return c;
}

static uint8_t rsp[4096];

/* Sends a command and awaits its response; its code. */
static uint32_t try_run(int fd, const struct command *c)
{
	struct cursor r;
	uint32_t code;
	ssize_t n;

	if (write(fd, c->bytes, c->len) != (ssize_t)c->len)
		fail("a command could not be sent");
	n = read(fd, rsp, sizeof(rsp));
	r = cursor_reader(rsp, n < 0 ? 0 : (size_t)n);
	(void)cursor_u16(&r);
	if (cursor_u32(&r) != (uint32_t)n)
		fail("a response is not whole");
	code = cursor_u32(&r);
	if (!cursor_ok(&r))
		fail("a response is too short");
	return code;
}

/* The same for one that has to succeed; ns. */
static uint64_t run(int fd, const struct command *c)
{
	uint64_t start = now_ns(), took;
	uint32_t code = try_run(fd, c);

	took = now_ns() - start;
	if (code) {
		fprintf(stderr, "tpm-bench: command 0x%02x%02x failed with 0x%x\n",
			c->bytes[8], c->bytes[9], code);
		exit(1);
	}
	return took;
}

static uint64_t run_primary(int fd, uint32_t n)
{
	struct command c = create_primary(n);
	uint64_t took = run(fd, &c);
	struct cursor r = cursor_reader(rsp + 10, 4);

	c = flush(cursor_u32(&r));
	run(fd, &c);
	return took;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double median_us(uint64_t *times, size_t n)
{
	qsort(times, n, sizeof(*times), by_size);
	return (double)(times[(n - 1) / 2] + times[n / 2]) / 2 / 1000;
}

enum { OURS, THEIRS, DURABLE, DISK, SERIES };

static uint64_t times[SERIES][RUNS_MAX];

static void report(const char *name, int beside, size_t n, bool last)
{
	double ours = median_us(times[OURS], n), theirs = median_us(times[beside], n);

	printf(" \"%s\": {\"ours_us\": %.2f, \"%s\": %.2f, \"ratio\": %.3f, "
	       "\"runs\": %zu}%s\n",
	       name, ours, beside == DISK ? "disk_us" : "theirs_us", theirs,
	       ours / theirs, n, last ? "" : ",");
}

static int connect_to(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (strlen(path) >= sizeof(at.sun_path))
		fail("a socket's path is too long");
	strcpy(at.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)))
		fail(strerror(errno));
	return fd;
}

#define BLOCK 4096

/* A file of whole blocks, all on the disk, that has room for so many bytes. */
static int make_blocks(const char *folder, size_t size)
{
	static uint8_t zeroes[BLOCK];
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/bench.blocks", folder);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (size_t at = 0; fd >= 0 && at < size; at += BLOCK)
		if (write(fd, zeroes, BLOCK) != BLOCK)
			fail(strerror(errno));
	if (fd < 0 || fsync(fd))
		fail(strerror(errno));
	return fd;
}

/* What one write of the state is: a side of the twin file (lib/twin.h). */
static size_t state_size(const char *folder)
{
	uint8_t head[TWIN_HEAD];
	struct cursor c = cursor_reader(head + 12, 4);
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/permall", folder);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, head, sizeof(head)) != sizeof(head) ||
	    memcmp(head, "XVTPMTWN", 8))
		fail("there is no twin file with a state");
	close(fd);
	return TWIN_HEAD + cursor_u32(&c);
}

static uint64_t overwrite(int fd, size_t size, uint8_t with)
{
	static uint8_t bytes[1 << 20];
	uint64_t start;

	if (size > sizeof(bytes))
		fail("the state is too long");
	memset(bytes, with, size);
	start = now_ns();
	if (pwrite(fd, bytes, size, 0) != (ssize_t)size || fdatasync(fd))
		fail(strerror(errno));
	return now_ns() - start;
}

#define LOAD_RUNS   100
#define LOADERS	    3
#define LOAD_WRITE  (1 << 20)
#define LOAD_WRITES 16 /* then from the start of the file again */

/* Writes to the folder's disk without end: a process of its own. */
static pid_t begin_load(const char *folder, int number)
{
	static uint8_t bytes[LOAD_WRITE];
	char path[4096];
	pid_t pid;
	int fd;

	snprintf(path, sizeof(path), "%s/bench.load%d", folder, number);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	pid = fd < 0 ? -1 : fork();
	if (pid < 0)
		fail(strerror(errno));
	if (pid) {
		close(fd);
		return pid;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (off_t i = 0;; i = (i + 1) % LOAD_WRITES)
		if (pwrite(fd, bytes, sizeof(bytes), i * LOAD_WRITE) != LOAD_WRITE ||
		    fdatasync(fd))
			_exit(1);
}

/* The same of a disk that others write to. */
static void compare_loaded(const int fd[3], const struct command *inc, const char *folder,
			   int disk, size_t size)
{
	pid_t load[LOADERS];
	int status;

	for (int i = 0; i < LOADERS; i++)
		load[i] = begin_load(folder, i);
	for (size_t i = 0; i < LOAD_RUNS; i++) {
		times[DURABLE][i] = run(fd[DURABLE], inc);
		times[OURS][i] = run(fd[OURS], inc);
		times[DISK][i] = overwrite(disk, size, (uint8_t)i);
	}
	for (int i = 0; i < LOADERS; i++) {
		kill(load[i], SIGKILL);
		if (waitpid(load[i], &status, 0) != load[i] || !WIFSIGNALED(status))
			fail("who was to load the disk has ended before");
	}
	report("nv_increment_vs_durable_swtpm_loaded", DURABLE, LOAD_RUNS, false);
	report("nv_increment_vs_fdatasync_loaded", DISK, LOAD_RUNS, false);
}

/* TPM2_NV_Increment of each, and the disk. */
static void compare_increments(const int fd[3], const char *folder)
{
	const struct command define = define_counter(), inc = increment();
	size_t size;
	int disk;

	for (int which = OURS; which <= DURABLE; which++) {
		run(fd[which], &define);
		run(fd[which], &inc); /* a counter's first one makes its state longer */
		run(fd[which], &inc);
	}
	size = state_size(folder);
	disk = make_blocks(folder, size);
	for (size_t i = 0; i < INCREMENT_RUNS; i++) {
		times[DURABLE][i] = run(fd[DURABLE], &inc);
		times[THEIRS][i] = run(fd[THEIRS], &inc);
		times[OURS][i] = run(fd[OURS], &inc);
		/* a disk that is awake from another write is faster: so either comes behind
		 * what does not wait for it */
		(void)run(fd[THEIRS], &inc);
		times[DISK][i] = overwrite(disk, size, (uint8_t)i);
	}
	report("nv_increment_vs_swtpm", THEIRS, INCREMENT_RUNS, false);
	report("nv_increment_vs_durable_swtpm", DURABLE, INCREMENT_RUNS, false);
	report("nv_increment_vs_fdatasync", DISK, INCREMENT_RUNS, false);
	compare_loaded(fd, &inc, folder, disk, size);
	close(disk);
}

static int compare(char **paths)
{
	const struct command random = get_random();
	const int fd[3] = {connect_to(paths[0]), connect_to(paths[1]),
			   connect_to(paths[2])};
	size_t i, j;
	int which;

	for (i = 0; i < RANDOM_RUNS; i += RANDOM_BLOCK)
		for (which = OURS; which <= THEIRS; which++)
			for (j = i; j < i + RANDOM_BLOCK; j++)
				times[which][j] = run(fd[which], &random);
	printf("{\n");
	report("getrandom_vs_swtpm", THEIRS, RANDOM_RUNS, false);
	compare_increments(fd, paths[3]);
	for (i = 0; i < PRIMARY_RUNS; i++)
		for (which = OURS; which <= THEIRS; which++)
			times[which][i] = run_primary(fd[which], (uint32_t)i);
	report("create_primary_rsa2048_vs_swtpm", THEIRS, PRIMARY_RUNS, true);
	printf("}\n");
	return 0;
}

static int device(const char *path, size_t n, size_t size)
{
	const struct command c = size ? long_one(size) : get_random();
	uint64_t start;
	int fd = open(path, O_RDWR);
	size_t i;

	if (fd < 0 || n < 1 || n > RUNS_MAX)
		fail(fd < 0 ? strerror(errno) : "N is 1 to 10000");
	for (i = 0; i < n; i++) {
		start = now_ns();
		if (try_run(fd, &c) && !size)
			fail("TPM2_GetRandom failed");
		times[0][i] = now_ns() - start;
	}
	printf("{\"roundtrip_us\": %.1f, \"runs\": %zu}\n", median_us(times[0], n), n);
	return 0;
}

static int exits(size_t n)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC);
	volatile uint32_t *page;
	uint64_t start;

	if (fd < 0 || n < 1 || n > RUNS_MAX)
		fail(fd < 0 ? strerror(errno) : "N is 1 to 10000");
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, CRB_BASE);
	if (page == MAP_FAILED)
		fail(strerror(errno));
	for (size_t i = 0; i < n; i++) {
		start = now_ns();
		if (page[CRB_INTF_ID / sizeof(*page)] == UINT32_MAX)
			fail("no TPM is there");
		times[0][i] = now_ns() - start;
	}
	printf("{\"exit_us\": %.1f, \"runs\": %zu}\n", median_us(times[0], n), n);
	return 0;
}

/* Takes a TPM that is started, or has the counter, as it is. */
static void prepare_counter(int fd)
{
	static const struct command startup = {
		.bytes = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44},
		.len = 12,
	};
	const struct command define = define_counter();

	try_run(fd, &startup);
	try_run(fd, &define);
}

static int count(const char *path, size_t n)
{
	const struct command inc = increment();
	int fd = connect_to(path);
	size_t i;

	if (n > RUNS_MAX)
		fail("N is at most 10000");
	prepare_counter(fd);
	run(fd, &inc);
	for (i = 0; !n || i < n; i++)
		times[0][i % RUNS_MAX] = run(fd, &inc);
	printf("{\"increment_us\": %.1f, \"runs\": %zu}\n", median_us(times[0], n), n);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "compare"))
		return compare(argv + 2);
	if ((argc == 4 || argc == 5) && !strcmp(argv[1], "device"))
		return device(argv[2], strtoul(argv[3], NULL, 10),
			      argc == 5 ? strtoul(argv[4], NULL, 10) : 0);
	if (argc == 3 && !strcmp(argv[1], "exits"))
		return exits(strtoul(argv[2], NULL, 10));
	if (argc == 4 && !strcmp(argv[1], "count"))
		return count(argv[2], strtoul(argv[3], NULL, 10));
	fprintf(stderr, "usage: tpm-bench compare OURS THEIRS DURABLE FOLDER\n"
			"       tpm-bench device PATH N [SIZE]\n"
			"       tpm-bench exits N\n"
			"       tpm-bench count PATH N\n");
	return 2;
}
