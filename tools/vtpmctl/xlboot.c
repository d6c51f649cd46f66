/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/xlboot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FD_PATH "/proc/self/fd/"

/* How the data of an image's event begin. */
static const char *const event_of[XLBOOT_KINDS] = {
	[XLBOOT_KERNEL] = "kernel size=",
	[XLBOOT_RAMDISK] = "ramdisk size=",
	[XLBOOT_HVMLOADER] = MEASURE_FIRMWARE "hvmloader sha256=",
	[XLBOOT_BIOS] = MEASURE_FIRMWARE "bios sha256=",
	[XLBOOT_ACPI] = MEASURE_FIRMWARE "acpi sha256=",
	[XLBOOT_SMBIOS] = MEASURE_FIRMWARE "smbios sha256=",
};

/* What libxl calls it, of an HVM guest in "type.hvm". */
static const char *const member_of[XLBOOT_KINDS] = {
	[XLBOOT_KERNEL] = "kernel",	 [XLBOOT_RAMDISK] = "ramdisk",
	[XLBOOT_HVMLOADER] = "firmware", [XLBOOT_BIOS] = "system_firmware",
	[XLBOOT_ACPI] = "acpi_firmware", [XLBOOT_SMBIOS] = "smbios_firmware",
};

/* What would boot, or run beside it, and was not measured: the lines that `vtpmctl launch`
 * refuses (boot.c, firmware.c), as libxl has them. */
static const char *const no_kernel[] = {"bootloader", "device_tree", NULL};
static const char *const no_pv[] = {"kernel", "ramdisk", "cmdline", "bootloader", NULL};
static const char *const no_pvh[] = {"pvshim_path", NULL};
static const char *const no_hvm[] = {
	"kernel",
	"ramdisk",
	"bootloader",
	"device_tree",
	"device_model",
	"extra",
	"extra_hvm",
	"stubdomain_kernel",
	"stubdomain_ramdisk",
	"stubdomain_cmdline",
	NULL,
};
static const char *const no_board[] = {"smbios", NULL};

static bool begins(const struct measure_event *e, const char *text)
{
	size_t len = strlen(text);

	return e->data_len >= len && !memcmp(e->data, text, len);
}

/* The first event whose data begin so; false: there is none. */
static bool find_event(const struct xlboot_list *l, const char *text,
		       struct measure_event *e)
{
	struct cursor c = cursor_reader(l->bytes, l->len);

	while (cursor_left(&c) && measure_next(&c, e))
		if (begins(e, text))
			return true;
	return false;
}

/* What a launch measures into which PCR (measure.h), and whether its digest is its text's. */
static const struct {
	uint32_t pcr, type;
	const char *text;
	bool is_text, is_single;
} measured[] = {
	{1, MEASURE_EV_PLATFORM_CONFIG_FLAGS, "config ", true, false},
	{4, MEASURE_EV_IPL, "kernel size=", false, true},
	{9, MEASURE_EV_IPL, "ramdisk size=", false, true},
	{9, MEASURE_EV_IPL, "ramdisk none", true, true},
	{12, MEASURE_EV_IPL, "cmdline ", true, true},
	{0, MEASURE_EV_NO_ACTION, MEASURE_FIRMWARE "hvmloader sha256=", false, true},
	{0, MEASURE_EV_NO_ACTION, MEASURE_FIRMWARE "bios sha256=", false, true},
	{0, MEASURE_EV_NO_ACTION, MEASURE_FIRMWARE "acpi sha256=", false, true},
	{0, MEASURE_EV_NO_ACTION, MEASURE_FIRMWARE "smbios sha256=", false, true},
};

#define RAMDISKS (1u << 2 | 1u << 3)

/* Which of them the event is; -1: none. */
static int find_measured(const struct measure_event *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(measured); i++)
		if (e->pcr == measured[i].pcr && e->type == measured[i].type &&
		    begins(e, measured[i].text) &&
		    (!measured[i].is_text || launch_measure_is_text(e)))
			return (int)i;
	return -1;
}

bool xlboot_is_list(const struct xlboot_list *l)
{
	struct cursor c = cursor_reader(l->bytes, l->len);
	struct measure_event e;
	unsigned int seen = 0;
	int one;

	while (cursor_left(&c) && measure_next(&c, &e)) {
		if (e.type == MEASURE_EV_SEPARATOR && launch_measure_is_text(&e))
			continue;
		one = find_measured(&e);
		if (one < 0 || (measured[one].is_single && seen >> one & 1))
			return false;
		seen |= 1u << one;
	}
	return cursor_done(&c) && (seen & RAMDISKS) != RAMDISKS;
}

static bool is_firmware(enum xlboot_kind kind)
{
	return kind >= XLBOOT_HVMLOADER;
}

static bool find_image(const struct xlboot_list *l, enum xlboot_kind kind,
		       struct measure_event *e)
{
	return measure_is_record(l->bytes, l->len) == is_firmware(kind) &&
	       find_event(l, event_of[kind], e);
}

bool xlboot_has(const struct xlboot_list *l, enum xlboot_kind kind)
{
	struct measure_event e;

	return find_image(l, kind, &e);
}

bool xlboot_is_size(const struct xlboot_list *l, enum xlboot_kind kind, uint64_t size)
{
	size_t skip =
		strlen(event_of[kind]) +
		(is_firmware(kind) ? LAUNCH_IMAGE_SHA256 - 1 + strlen(" size=") : 0);
	struct measure_event e;
	char text[32];

	snprintf(text, sizeof(text), "%llu ", (unsigned long long)size);
	return find_image(l, kind, &e) && e.data_len >= skip + strlen(text) &&
	       !memcmp(e.data + skip, text, strlen(text));
}

bool xlboot_is_image(const struct xlboot_list *l, enum xlboot_kind kind,
		     const struct launch_image *i)
{
	char hex[LAUNCH_IMAGE_SHA256], text[128];
	struct measure_event e;

	if (!xlboot_is_size(l, kind, i->size) || !find_image(l, kind, &e))
		return false;
	if (!is_firmware(kind))
		return !memcmp(e.digests, i->digests, MEASURE_DIGESTS);
	launch_image_sha256(i, hex);
	snprintf(text, sizeof(text), "%s%s size=", event_of[kind], hex);
	return begins(&e, text);
}

/* libxl has no member for what a guest has not; an empty one is the same. */
static bool has_member(const json_t *o, const char *key)
{
	const json_t *value = json_object_get(o, key);

	return value && !json_is_null(value) &&
	       !(json_is_string(value) && !json_string_length(value)) &&
	       !(json_is_array(value) && !json_array_size(value));
}

static bool has_any(const json_t *o, const char *const *keys)
{
	for (; *keys; keys++)
		if (has_member(o, *keys))
			return true;
	return false;
}

static bool is_one_of(const json_t *o, const char *key, const char *one,
		      const char *other)
{
	const char *text = json_string_value(json_object_get(o, key));

	return !has_member(o, key) ||
	       (text && (!strcmp(text, one) || !strcmp(text, other)));
}

/* The number of a descriptor's path, as guestfile.c writes it; -1: it is another path. */
static int fd_of(const json_t *o, const char *key)
{
	const char *path = json_string_value(json_object_get(o, key));
	char again[32];
	long n;

	if (!path || strncmp(path, FD_PATH, strlen(FD_PATH)) != 0)
		return -1;
	n = strtol(path + strlen(FD_PATH), NULL, 10);
	snprintf(again, sizeof(again), FD_PATH "%ld", n);
	return n < XLBOOT_FD_MIN || n > XLBOOT_FD_MAX || strcmp(path, again) ? -1
									     : (int)n;
}

/* Two images at one number would be one. */
static bool is_taken(const struct xlboot *b, int fd)
{
	for (int i = 0; i < XLBOOT_KINDS; i++)
		if (b->fd[i] == fd)
			return true;
	return false;
}

/* o: where the images of those kinds are named. */
static bool read_images(const json_t *o, const struct xlboot_list *l, int from, int end,
			struct xlboot *b)
{
	int fd;

	for (; from < end; from++) {
		if (!xlboot_has(l, (enum xlboot_kind)from)) {
			if (has_member(o, member_of[from]))
				return false;
			continue;
		}
		fd = fd_of(o, member_of[from]);
		if (fd < 0 || is_taken(b, fd))
			return false;
		b->fd[from] = fd;
	}
	return true;
}

static bool is_cmdline(const struct xlboot_list *l, const json_t *build)
{
	const char *cmdline = json_string_value(json_object_get(build, "cmdline"));
	struct measure_event e;
	size_t skip = strlen("cmdline ");

	if (!cmdline)
		cmdline = "";
	return find_event(l, "cmdline ", &e) && e.data_len - skip == strlen(cmdline) &&
	       !memcmp(e.data + skip, cmdline, strlen(cmdline));
}

static int read_kernel(const json_t *build, const json_t *board,
		       const struct xlboot_list *l, struct xlboot *b, const char **why)
{
	if (has_any(build, no_kernel) || has_any(board, no_pv) ||
	    has_any(board, no_pvh) || !is_one_of(board, "pvshim", "False", "<default>")) {
		*why = "boots something else than the kernel that was measured";
		return -EBADMSG;
	}
	if (!xlboot_has(l, XLBOOT_KERNEL) ||
	    !read_images(build, l, XLBOOT_KERNEL, XLBOOT_HVMLOADER, b)) {
		*why = "has another kernel or ramdisk than was measured";
		return -EBADMSG;
	}
	if (!is_cmdline(l, build)) {
		*why = "has another command line than was measured";
		return -EBADMSG;
	}
	return 0;
}

static int read_firmware(const json_t *build, const json_t *board,
			 const struct xlboot_list *l, struct xlboot *b, const char **why)
{
	if (has_any(build, no_hvm) || has_any(board, no_board) ||
	    !is_one_of(build, "device_model_version", "qemu_xen", "qemu_xen") ||
	    !is_one_of(board, "bios", "seabios", "ovmf")) {
		*why = "boots something beside the firmware that was recorded";
		return -EBADMSG;
	}
	if (!xlboot_has(l, XLBOOT_HVMLOADER) || !xlboot_has(l, XLBOOT_BIOS) ||
	    !read_images(board, l, XLBOOT_HVMLOADER, XLBOOT_KINDS, b)) {
		*why = "has other firmware than was recorded";
		return -EBADMSG;
	}
	return 0;
}

/* What a guest of that type has besides, if it is of that type alone; or NULL. */
static const json_t *find_board(const json_t *build, const char *type)
{
	const json_t *value, *board = NULL;
	const char *key;
	char own[32];

	snprintf(own, sizeof(own), "type.%.20s", type);
	json_object_foreach((json_t *)build, key, value)
	{
		if (strncmp(key, "type.", 5) != 0)
			continue;
		if (strcmp(key, own) != 0 || !json_is_object(value))
			return NULL;
		board = value;
	}
	return board;
}

int xlboot_read(const json_t *config, const struct xlboot_list *l, struct xlboot *b,
		const char **why)
{
	const json_t *build = json_object_get(config, "b_info"), *board;
	const char *type = json_string_value(
		json_object_get(json_object_get(config, "c_info"), "type"));
	bool is_hvm = type && !strcmp(type, "hvm");

	memset(b->fd, -1, sizeof(b->fd));
	board = type ? find_board(build, type) : NULL;
	*why = "is of another type than was measured";
	if (!board || is_hvm != measure_is_record(l->bytes, l->len) ||
	    (!is_hvm && strcmp(type, "pv") && strcmp(type, "pvh")))
		return -EBADMSG;
	return is_hvm ? read_firmware(build, board, l, b, why)
		      : read_kernel(build, board, l, b, why);
}

bool xlboot_was_launched(const json_t *config)
{
	const json_t *build = json_object_get(config, "b_info");
	const json_t *board = json_object_get(build, "type.hvm");

	return fd_of(build, member_of[XLBOOT_KERNEL]) >= 0 ||
	       fd_of(board, member_of[XLBOOT_HVMLOADER]) >= 0;
}

void xlboot_head_encode(const struct xlboot_head *h, uint8_t out[XLBOOT_HEAD])
{
	struct cursor w = cursor_writer(out, XLBOOT_HEAD);

	cursor_put_u8(&w, (uint8_t)h->kind);
	cursor_put_u16(&w, (uint16_t)h->fd);
	cursor_put_u64(&w, h->size);
}

int xlboot_head_decode(const uint8_t *in, size_t len, struct xlboot_head *h)
{
	struct cursor c = cursor_reader(in, len);
	unsigned int kind = cursor_u8(&c);

	h->fd = cursor_u16(&c);
	h->size = cursor_u64(&c);
	h->kind = (enum xlboot_kind)kind;
	return cursor_done(&c) && kind < XLBOOT_KINDS && h->fd >= XLBOOT_FD_MIN &&
			       h->fd <= XLBOOT_FD_MAX && h->size <= LAUNCH_IMAGE_MAX
		       ? 0
		       : -EBADMSG;
}

/* xl's header: its magic, and in x86's order of bytes u32 order | u32 flags that a reader must know |
 * u32 others | u32 length of what follows: u32 length | the description, with its zero. */
#define HEADER	  48
#define IS_JSON	  1u
#define FLAGS_AT  36
#define LENGTH_AT 44

static uint32_t u32_at(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* libxl reads up to the first zero: so there is one, at the end. */
static int parse_config(const struct xlboot_stream *s, size_t rest, json_t **config)
{
	const char *text = (const char *)s->bytes + HEADER + 4;
	size_t len = u32_at(s->bytes + HEADER);

	if (!(u32_at(s->bytes + FLAGS_AT) & IS_JSON) || !len || len > rest - 4 ||
	    strnlen(text, len) != len - 1)
		return -EBADMSG;
	*config = json_loadb(text, len - 1, JSON_REJECT_DUPLICATES, NULL);
	return json_is_object(*config) ? 0 : -EBADMSG;
}

int xlboot_stream_take(struct xlboot_stream *s, const uint8_t *p, size_t n,
		       json_t **config)
{
	size_t room = sizeof(s->bytes) - s->have, rest;

	*config = NULL;
	n = n < room ? n : room;
	memcpy(s->bytes + s->have, p, n);
	s->have += n;
	if (s->have < HEADER)
		return -EAGAIN;
	rest = u32_at(s->bytes + LENGTH_AT);
	if (rest < 4 || rest > sizeof(s->bytes) - HEADER)
		return -EBADMSG;
	if (s->have < HEADER + rest)
		return -EAGAIN;
	if (!parse_config(s, rest, config))
		return 0;
	json_decref(*config);
	*config = NULL;
	return -EBADMSG;
}
