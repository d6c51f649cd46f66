/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/guests.h"
#include "tools/vtpmd/launch.h"
#include "tools/vtpmd/xen.h"
#include "lib/atomic.h"
#include "lib/crypt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uuid/uuid.h>

#define MAGIC	 "XVGUEST3"
#define FILE_MAX 1024
#define INCOMING "--incoming"
/* Shown as a signed number. */
#define ON_MASK INT64_MAX

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec;
}

static void guests_file_name(const uint8_t vtpm[16], char name[static 64])
{
	char uuid[37];

	uuid_unparse_lower(vtpm, uuid);
	snprintf(name, 64, "guests-%s", uuid);
}

static void put_guest(struct cursor *w, const struct guest *one)
{
	cursor_put_u32(w, one->domid);
	cursor_put(w, one->uuid, sizeof(one->uuid));
	cursor_put_u64(w, one->on);
}

static void take_guest(struct cursor *c, struct guest *one)
{
	one->domid = cursor_u32(c);
	cursor_copy(c, one->uuid, sizeof(one->uuid));
	one->on = cursor_u64(c);
}

static int keep_guests(const struct guests *g)
{
	uint8_t file[FILE_MAX];
	struct cursor w = cursor_writer(file, sizeof(file));
	char name[64];

	cursor_put(&w, MAGIC, strlen(MAGIC));
	cursor_put_u8(&w, g->launched);
	cursor_put_u8(&w, (uint8_t)g->resume);
	cursor_put(&w, g->saved, sizeof(g->saved));
	cursor_put_u64(&w, g->until);
	put_guest(&w, &g->last);
	cursor_put_u64(&w, g->asked);
	for (unsigned int i = 0; i < g->count; i++)
		put_guest(&w, &g->one[i]);
	guests_file_name(g->at.vtpm, name);
	return cursor_ok(&w) ? atomic_write(g->at.run_dir, name, file, w.pos, false)
			     : -EMSGSIZE;
}

static bool parse_guests(struct cursor *c, struct guests *g)
{
	const uint8_t *magic = cursor_bytes(c, strlen(MAGIC));
	uint8_t launched = cursor_u8(c), resume = cursor_u8(c);

	if (!magic || memcmp(magic, MAGIC, strlen(MAGIC)) || launched > 1 ||
	    resume > GUESTS_RESUME_LOST)
		return false;
	g->launched = launched;
	g->resume = (enum guests_resume)resume;
	cursor_copy(c, g->saved, sizeof(g->saved));
	g->until = cursor_u64(c);
	take_guest(c, &g->last);
	g->asked = cursor_u64(c);
	while (cursor_left(c)) {
		if (g->count == GUESTS_MAX)
			return false;
		take_guest(c, &g->one[g->count++]);
	}
	return cursor_done(c);
}

void guests_load(struct guests *g, const struct guests_place *at)
{
	struct cursor c;
	uint8_t *file;
	char name[64];
	size_t len;

	*g = (struct guests){.at = *at};
	guests_file_name(at->vtpm, name);
	if (atomic_read(at->run_dir, name, FILE_MAX, &file, &len))
		return;
	c = cursor_reader(file, len);
	if (!parse_guests(&c, g))
		*g = (struct guests){.at = *at};
	free(file);
	guests_released(g);
}

static bool lives(const struct guests_place *p, const struct guest *one)
{
	uint8_t uuid[16];

	return p->xen && !xen_uuid(p->xen, one->domid, uuid) &&
	       !memcmp(uuid, one->uuid, sizeof(uuid));
}

void guests_released(struct guests *g)
{
	unsigned int kept = 0, had = g->count;

	for (unsigned int i = 0; i < had; i++)
		if (lives(&g->at, &g->one[i]))
			g->one[kept++] = g->one[i];
	g->count = kept;
	/* not kept: the next start finds them gone, too */
	if (kept != had && keep_guests(g))
		return;
}

bool guests_resumes(const struct guests *g)
{
	if (g->resume == GUESTS_RESUME_TIMED)
		return now() < g->until;
	return g->resume == GUESTS_RESUME_LAUNCHED &&
	       launch_held(g->at.run_dir, g->saved);
}

bool guests_restores(const struct guests *g)
{
	return (g->resume == GUESTS_RESUME_LAUNCHED || g->resume == GUESTS_RESUME_LOST) &&
	       launch_held(g->at.run_dir, g->saved);
}

static const struct guest *find_guest(const struct guests *g, uint32_t domid,
				      const uint8_t uuid[16])
{
	for (unsigned int i = 0; i < g->count; i++)
		if (g->one[i].domid == domid && !memcmp(g->one[i].uuid, uuid, 16))
			return &g->one[i];
	return NULL;
}

/* xl gives a guest that it receives this name until it has all of it. */
bool guests_is_incoming(struct xen *x, uint32_t domid, int *rc)
{
	char path[64], name[256];
	size_t len;

	snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
	*rc = xen_read(x, path, name, sizeof(name));
	if (*rc)
		return false;
	len = strlen(name);
	return len >= strlen(INCOMING) &&
	       !strcmp(name + len - strlen(INCOMING), INCOMING);
}

static int refuse_guest(struct guests_verdict *v, int rc, const char *why)
{
	v->why = why;
	return rc;
}

/* Whether the manager did not get the answer with which this one came last: it has no
 * power-on a second time. */
static bool was_not_told(const struct guests *g, const struct guest *known, uint64_t on)
{
	return on && on == g->asked && known->on == g->last.on;
}

/* The power-on of a guest that had this vTPM before; -ENOENT: it had not. */
static int judge_known(const struct guests *g, uint32_t domid, uint64_t on,
		       struct guests_verdict *v)
{
	const struct guest *known = find_guest(g, domid, v->uuid);

	if (!known || (known->on != on && was_not_told(g, known, on)))
		return -ENOENT;
	if (!on || known->on != on)
		return refuse_guest(
			v, -EPERM,
			"this vTPM was restarted while the guest ran, or served "
			"another one since, and its PCRs are lost: reboot it");
	v->what = CHANNEL_GUEST_SAME;
	v->on = on;
	return 0;
}

static int refuse_unmeasured(enum guests_served served, struct guests_verdict *v)
{
	return refuse_guest(
		v, -EPERM,
		served == GUESTS_MEASURED
			? "it was not measured, and this vTPM was made for measured "
			  "guests only: start it with `vtpmctl launch`"
			: "it was not measured: start it with `vtpmctl launch` (a saved "
			  "one with --restore), or stop and start the vTPM for others");
}

static int measured(const struct guests_place *p, enum guests_served served,
		    struct guests_verdict *v, struct cursor *list)
{
	int rc = launch_find(p->run_dir, p->xen ? v->uuid : NULL, p->vtpm, list);

	v->measured = !rc;
	if (rc == -ENOENT)
		return served == GUESTS_ALL ? 0 : refuse_unmeasured(served, v);
	return rc ? refuse_guest(
			    v, rc,
			    "what was measured of it cannot be read: launch it again")
		  : 0;
}

/* What a resume is once another guest has come, or it was revoked. */
static enum guests_resume spent(const struct guests *g)
{
	return guests_restores(g) ? GUESTS_RESUME_LOST : GUESTS_RESUME_NONE;
}

/* A resume is of the last guest, and of the power-on that it had. */
static bool can_resume(const struct guests *g, const uint8_t uuid[16], uint64_t on)
{
	return on && on == g->last.on && !memcmp(g->last.uuid, uuid, 16);
}

/* Whether it comes with the vTPM. */
static bool is_company(const struct guests *g, const uint8_t uuid[16])
{
	return g->arrives && g->has_company &&
	       !memcmp(g->company, uuid, sizeof(g->company));
}

static bool does_resume(const struct guests *g, const uint8_t uuid[16], uint64_t on)
{
	if (g->arrives)
		return on && is_company(g, uuid);
	return on && on == g->last.on && guests_resumes(g) && !memcmp(g->saved, uuid, 16);
}

enum guests_restored guests_expect(const struct guests *g, uint32_t domid, uint64_t on)
{
	const struct guest *known;
	uint8_t uuid[16];

	if (xen_uuid(g->at.xen, domid, uuid))
		return GUESTS_HAS_LOST;
	known = find_guest(g, domid, uuid);
	if (does_resume(g, uuid, on) || (on && known && known->on == on))
		return GUESTS_GOES_ON;
	return can_resume(g, uuid, on) ? GUESTS_MAY_RESUME : GUESTS_HAS_LOST;
}

static void forget_guest(struct guests *g, uint32_t domid, const uint8_t uuid[16])
{
	const struct guest *known = find_guest(g, domid, uuid);

	if (known)
		g->one[known - g->one] = g->one[--g->count];
}

/* The first guest that comes ends a resume, whether it is the saved one or not. */
static int power_on(struct guests *g, uint32_t domid, uint64_t on,
		    struct guests_verdict *v)
{
	bool is_saved = !memcmp(g->saved, v->uuid, sizeof(g->saved));
	bool resumes = does_resume(g, v->uuid, on);
	struct guests next = *g;
	uint8_t drawn[8];
	struct cursor c = cursor_reader(drawn, sizeof(drawn));

	if (is_saved && !resumes && guests_restores(g))
		return refuse_guest(
			v, -EPERM,
			"it was restored, and what this vTPM held for it is lost: "
			"launch it without --restore");
	forget_guest(&next, domid, v->uuid);
	if (next.count == GUESTS_MAX)
		return refuse_guest(
			v, -EPERM,
			"too many domains that run had this vTPM: shut some down");
	if (crypt_random(drawn, sizeof(drawn)))
		return refuse_guest(v, -EIO, "there is no randomness: see vtpmd's log");
	v->what = resumes ? CHANNEL_GUEST_RESUMED : CHANNEL_GUEST_NEW;
	v->on = resumes ? on : (cursor_u64(&c) & ON_MASK) | 1;
	next.resume = resumes ? GUESTS_RESUME_NONE : spent(g);
	next.last = (struct guest){.domid = domid, .on = v->on};
	memcpy(next.last.uuid, v->uuid, sizeof(v->uuid));
	next.asked = on;
	next.one[next.count++] = next.last;
	if (keep_guests(&next))
		return refuse_guest(v, -EIO,
				    "vtpmd cannot write its run folder: see `df /run`");
	*g = next;
	return 0;
}

static int identify(const struct guests *g, uint32_t domid, struct guests_verdict *v)
{
	bool incoming;
	int rc;

	if (xen_uuid(g->at.xen, domid, v->uuid))
		return refuse_guest(v, -ENOENT, "Xen has no such domain");
	incoming = guests_is_incoming(g->at.xen, domid, &rc);
	if (incoming && !is_company(g, v->uuid))
		return refuse_guest(
			v, -EPERM,
			"it comes by `xl migrate`, and what its vTPM holds does "
			"not: use `vtpmctl migrate`, or shut it down there and start it here");
	if (!rc && !incoming && g->arrives)
		return refuse_guest(
			v, -EBUSY,
			"its vTPM comes from another host and is not there yet: see "
			"`vtpmctl show`");
	return rc ? refuse_guest(
			    v, -EPERM,
			    "its name cannot be read from xenstore: `systemctl status xenstored`")
		  : 0;
}

int guests_judge(struct guests *g, uint32_t domid, uint64_t on, enum guests_served served,
		 struct guests_verdict *v, struct cursor *list)
{
	int rc;

	memset(v, 0, sizeof(*v));
	if (!g->at.xen) {
		v->what = CHANNEL_GUEST_NEW;
		v->on = g->last.on = on + 1;
		return measured(&g->at, served, v, list);
	}
	rc = identify(g, domid, v);
	if (rc)
		return rc;
	guests_released(g);
	rc = judge_known(g, domid, on, v);
	if (rc != -ENOENT)
		return rc;
	/* a launch and a resume are of a uuid */
	if (!xen_is_alone(g->at.xen, v->uuid))
		return refuse_guest(
			v, -EPERM,
			"another domain has its uuid, see `xl list -v`: give each "
			"its own");
	/* one that was measured elsewhere has that in its PCRs */
	rc = g->arrives ? 0 : measured(&g->at, served, v, list);
	return rc ? rc : power_on(g, domid, on, v);
}

bool guests_was_last(const struct guests *g, const uint8_t uuid[16])
{
	return !memcmp(g->last.uuid, uuid, sizeof(g->last.uuid));
}

int guests_resume(struct guests *g, uint64_t on, const uint8_t *launched)
{
	struct guests next = *g;

	if (!on || on != g->last.on)
		return -ESTALE;
	if (guests_restores(g) &&
	    (!launched || memcmp(launched, g->saved, sizeof(g->saved))))
		return -EBUSY;
	next.resume = launched ? GUESTS_RESUME_LAUNCHED : GUESTS_RESUME_TIMED;
	memcpy(next.saved, launched ? launched : g->last.uuid, sizeof(next.saved));
	next.until = now() + GUESTS_RESUME_S;
	if (keep_guests(&next))
		return -EIO;
	*g = next;
	return 0;
}

int guests_set_launched(struct guests *g, bool launched)
{
	bool before = g->launched;
	int rc;

	if (before == launched)
		return 0;
	g->launched = launched;
	rc = keep_guests(g);
	if (rc)
		g->launched = before;
	return rc;
}

void guests_arrive(struct guests *g, bool arrives, const uint8_t *uuid)
{
	g->arrives = arrives;
	g->has_company = arrives && uuid;
	if (g->has_company)
		memcpy(g->company, uuid, sizeof(g->company));
}

int guests_take_saved(struct guests *g, const uint8_t uuid[16], uint64_t on)
{
	struct guests next = *g;

	next.last = (struct guest){.on = on};
	memcpy(next.last.uuid, uuid, sizeof(next.last.uuid));
	next.asked = 0;
	next.resume = GUESTS_RESUME_NONE;
	if (keep_guests(&next))
		return -EIO;
	*g = next;
	return 0;
}

void guests_revoke(struct guests *g)
{
	if (g->resume == GUESTS_RESUME_NONE)
		return;
	g->resume = spent(g);
	/* the file is read by the next vtpmd only, and a resume ends by itself */
	(void)!keep_guests(g);
}

void guests_boots(struct guests *g, const uint8_t uuid[16])
{
	if (g->resume == GUESTS_RESUME_NONE || memcmp(g->saved, uuid, sizeof(g->saved)))
		return;
	g->resume = GUESTS_RESUME_NONE;
	/* the launch is held: the next vtpmd would refuse its guest, and say why */
	(void)!keep_guests(g);
}
