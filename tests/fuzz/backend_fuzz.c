/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole backend between a hostile toolstack's order of events, hostile guests and a
 * clock.  Input: moves of three bytes (what, who, how), and the bytes that a move asks
 * for.  After each move, unless its first bit is set, the backend is called until it is
 * quiet.  What must hold then, and while a command runs, is in the check_ functions.
 */
#include <stddef.h>
#include <stdint.h>

static void shared_access(const volatile uint8_t *address);
#define SHARED_ACCESS(address) shared_access(address)
#include "backend/ring.c"
#include "tests/unit/backend_fake.h"

#define GUESTS	   3
#define FIRST	   5 /* the first guest's domid */
#define DEVICES	   2
#define HEAD	   24 /* bytes of the page that a guest writes: header, refs, packet */
#define MOVES_MAX  200
#define LOOKS_MAX  50
#define LATER_MS   5000 /* past all deadlines */
#define LOCALITIES 5	/* 0 and 2 */
#define NO_GUEST   (-1)
#define OTHER_UUID "00000000-0000-0000-0000-000000000000"

static struct fake_world *w;
static struct cursor in;
static bool alive[GUESTS];
static bool page_changes; /* the guest writes while the backend reads */
static int32_t powered;	  /* the domain for which the TPM was powered on */

static const char *const states[] = {"0", "1", "2",	      "3", "4", "5", "6", "7",
				     "8", "x", "99999999999", "",  "3", "4", "6", NULL};
static const char *const numbers[] = {"100", "101",	   "102", "103",
				      "104", "4294967295", "x",	  NULL};

static void shared_access(const volatile uint8_t *address)
{
	uint8_t where;

	if (!page_changes || !cursor_left(&in) || !(cursor_u8(&in) & 1))
		return;
	where = cursor_u8(&in) % HEAD;
	fake_page(w, 100)[where] = cursor_u8(&in);
}

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}

static int power_on(void *ctx, const struct front_guest *g, enum front_firmware *firmware,
		    const char **why)
{
	int rc = fake_adopt(ctx, g, firmware, why);

	powered = rc ? NO_GUEST : (int32_t)g->domid;
	return rc;
}

static int check_command(void *ctx, uint8_t locality, const uint8_t *cmd, size_t len,
			 uint8_t *rsp, size_t *rsp_len)
{
	struct cursor c = cursor_reader(cmd, len);
	struct front_stats s = fake_stats(w);

	(void)cursor_u16(&c);
	require(s.connected, "only a connected guest's command runs");
	require(LOCALITIES >> locality & 1, "a command's locality is allowed");
	require(cursor_u32(&c) == len, "a command has the size that it names");
	require(powered == (int32_t)s.domid, "no guest finds another's PCRs");
	return fake_execute(ctx, locality, cmd, len, rsp, rsp_len);
}

static void check_balance(void)
{
	struct front_stats s = fake_stats(w);

	if (!s.connected) {
		require(w->maps == w->unmaps, "no page stays mapped");
		require(!w->bound, "no port stays bound");
		return;
	}
	require(s.present && w->bound, "a connected guest is there, with its port");
	require(w->mapped_domid == s.domid, "the page is that guest's");
	require(w->maps - w->unmaps <= 2, "a ring is mapped once, with its extra pages");
}

/* Plays the owner's poll loop without a clock. */
static void settle(void)
{
	for (int looks = 0; looks < LOOKS_MAX; looks++) {
		require(!fake_look(w), "xenstore is not lost");
		check_balance();
		require(fake_timeout(w) != 0, "a due deadline is met or cleared");
		if (!w->changed)
			return;
	}
	require(false, "the backend comes to rest");
}

static void guest_writes(uint32_t domid, uint32_t devid, const char *name,
			 const char *value)
{
	char path[BACKEND_PATH_MAX];

	snprintf(path, sizeof(path), "/local/domain/%u/device/vtpm/%u/%s", domid, devid,
		 name);
	if (value)
		fake_set(w, path, value);
	else
		fake_remove(w, path);
}

static void guest_submits(uint8_t who, uint8_t how)
{
	uint8_t *page = fake_page(w, 100);

	for (int i = 0; i < HEAD; i++)
		page[i] = cursor_u8(&in);
	if (who & 1)
		page[4] = TPMIF_STATE_SUBMIT;
	w->rsp_len = (size_t)how * 20;
	w->execute_error = how == 7 ? -EIO : 0;
	w->events++;
	page_changes = true;
	require(!fake_event(w), "event channels are not lost");
	page_changes = false;
}

static void toolstack_writes(uint32_t domid, uint32_t devid, const char *name,
			     const char *value)
{
	char path[BACKEND_PATH_MAX];

	snprintf(path, sizeof(path), "backend/vtpm/%u/%u/state", domid, devid);
	if (!fake_find(w, path))
		return;
	snprintf(path, sizeof(path), "backend/vtpm/%u/%u/%s", domid, devid, name);
	fake_set(w, path, value);
}

static void toolstack_removes(uint32_t domid, uint32_t devid)
{
	char path[BACKEND_PATH_MAX];

	snprintf(path, sizeof(path), "backend/vtpm/%u/%u", domid, devid);
	fake_remove(w, path);
}

/* libxl removes the folder of a device that has no state: the backend refused it. */
static void toolstack_detaches(uint32_t domid, uint32_t devid)
{
	char path[BACKEND_PATH_MAX];

	snprintf(path, sizeof(path), "backend/vtpm/%u/%u/state", domid, devid);
	if (!fake_find(w, path)) {
		toolstack_removes(domid, devid);
		return;
	}
	toolstack_writes(domid, devid, "online", "0");
	toolstack_writes(domid, devid, "state", "5");
}

static void toolstack_destroys(uint32_t domid)
{
	char path[BACKEND_PATH_MAX];

	snprintf(path, sizeof(path), "/local/domain/%u", domid);
	fake_remove(w, path);
	alive[domid - FIRST] = false;
	for (uint32_t devid = 0; devid < DEVICES; devid++)
		toolstack_detaches(domid, devid);
}

static bool has_room(void)
{
	int used = 0;

	for (int i = 0; i < FAKE_NODES; i++)
		used += w->nodes[i].used;
	return used <= FAKE_NODES - 16;
}

static void toolstack_attaches(uint32_t domid, uint32_t devid, uint8_t how)
{
	if (!has_room())
		return;
	alive[domid - FIRST] = true;
	fake_toolstack(w, domid, devid, how % 8 ? FAKE_UUID : OTHER_UUID);
}

static void xen_refuses(uint8_t how)
{
	w->map_error = how & 1 ? -EINVAL : 0;
	w->bind_error = how & 2 ? -ENOSPC : 0;
	w->power_error = how & 4 ? -EPERM : 0;
}

static void guest_moves(uint8_t what, uint32_t domid, uint32_t devid, uint8_t how)
{
	if (!alive[domid - FIRST])
		return;
	switch (what) {
	case 0:
	case 1:
		guest_writes(domid, devid, "state", states[how % ARRAY_SIZE(states)]);
		break;
	case 2:
		guest_writes(domid, devid, "ring-ref",
			     numbers[how % ARRAY_SIZE(numbers)]);
		break;
	case 3:
		guest_writes(domid, devid, "event-channel",
			     numbers[how % ARRAY_SIZE(numbers)]);
		break;
	case 4:
		guest_writes(domid, devid, "feature-protocol-v2",
			     how & 1 ? "1" : states[how % ARRAY_SIZE(states)]);
		break;
	default:
		fake_driver(w, domid);
	}
}

static void move(uint8_t what, uint8_t who, uint8_t how)
{
	uint32_t domid = FIRST + who % GUESTS, devid = who >> 4 & 1;

	switch (what) {
	case 6:
		toolstack_attaches(domid, devid, how);
		break;
	case 7:
		toolstack_detaches(domid, devid);
		break;
	case 8:
		toolstack_destroys(domid);
		break;
	case 9:
		toolstack_removes(domid, devid);
		break;
	case 10:
	case 11:
		guest_submits(who, how);
		break;
	case 12: /* the engine refuses the next guest, or does not */
		w->power_error = how & 1 ? -EPERM : 0;
		break;
	case 13:
		w->now_ms += (uint64_t)how * how * 20;
		break;
	case 14:
		xen_refuses(how);
		break;
	case 15:
		fronts_check_cancel(&w->fronts);
		break;
	default:
		guest_moves(what, domid, devid, how);
	}
}

/* A leaf of another uuid may stay; of ours, none. */
static void check_nothing_is_left(void)
{
	struct front_stats s = fake_stats(w);
	char path[BACKEND_PATH_MAX];

	require(!s.present, "a guest that is gone is not served");
	check_balance();
	for (uint32_t i = 0; i < GUESTS * DEVICES; i++) {
		snprintf(path, sizeof(path), "backend/vtpm/%u/%u/uuid",
			 FIRST + i / DEVICES, i % DEVICES);
		require(!fake_find(w, path), "no leaf of a guest that is gone");
	}
	for (size_t i = 0; i < ARRAY_SIZE(w->watches); i++)
		require(!*w->watches[i] || !strcmp(w->watches[i], "backend/vtpm"),
			"no watch of a guest that is gone");
}

static void end_all(void)
{
	xen_refuses(0);
	for (uint32_t i = 0; i < GUESTS; i++)
		toolstack_destroys(FIRST + i);
	settle();
	w->now_ms += LATER_MS;
	settle();
	check_nothing_is_left();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t what, who;

	w = fake_new();
	w->fronts.tpm =
		(struct front_tpm){w, power_on, fake_refused, check_command, fake_cancel};
	in = cursor_reader(data, size);
	memset(alive, 0, sizeof(alive));
	powered = NO_GUEST;
	page_changes = false;
	if (fake_open(w, LOCALITIES, false))
		abort();
	for (int moves = 0; moves < MOVES_MAX && cursor_left(&in); moves++) {
		what = cursor_u8(&in);
		who = cursor_u8(&in);
		move(what % 16, who, cursor_u8(&in));
		if (!(what & 0x80))
			settle();
	}
	end_all();
	fake_free(w);
	return 0;
}
