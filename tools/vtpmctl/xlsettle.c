/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a guest whose move was interrupted: both vtpmds are heard until they agree
 * who has its vTPM, and the guest goes on there.  Xen 4.17's xl cannot resume a guest that
 * `xl migrate` has left suspended; libxl can.
 */
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/xl.h"
#include "tools/vtpmctl/xlmigrate.h"

#include <errno.h>
#include <fcntl.h>
#include <libxl.h>
#include <libxl_utils.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define SETTLE_S     300
#define VTPMD_S	     30
#define QUIET_TRIES  3
#define XL_RESUMES_S 10 /* an xl that lives yet does it by itself */
#define AWAY	     "--migratedaway"

int migrate_lock(const struct migrate *m, const char *side, int seconds)
{
	const char *slash = strrchr(m->socket, '/');
	int folder = slash ? (int)(slash - m->socket) : 1, fd, i;
	char path[4096];

	snprintf(path, sizeof(path), "%.*s/%s-%s.lock", folder, slash ? m->socket : ".",
		 side, m->vtpm[0] ? m->vtpm : m->name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	for (i = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB); i++) {
		if (i == seconds * 10) {
			close(fd);
			return -EBUSY;
		}
		usleep(100000);
	}
	return fd >= 0 ? fd : -errno;
}

/* As they are in the file; while it is written, what says nothing, or GO. */
#define NOT_TOLD_NOTE "not told"
#define GO_NOTE	      "go"
#define RUNS_NOTE     "go, and it runs"

static int put_note(int lock, const char *text)
{
	ssize_t n = pwrite(lock, text, strlen(text), 0);

	if (n != (ssize_t)strlen(text))
		return n < 0 ? -errno : -ENOSPC;
	return ftruncate(lock, n) ? -errno : 0;
}

int migrate_note_clear(int lock)
{
	return ftruncate(lock, 0) ? -errno : put_note(lock, NOT_TOLD_NOTE);
}

int migrate_note_set(int lock, enum migrate_note note)
{
	return put_note(lock, note == MIGRATE_RUNS ? RUNS_NOTE : GO_NOTE);
}

enum migrate_note migrate_noted(int lock)
{
	char text[sizeof(RUNS_NOTE) + 1] = "";
	ssize_t n = pread(lock, text, sizeof(text) - 1, 0);

	if (n == 0)
		return MIGRATE_UNKNOWN;
	if (n > 0 && !strcmp(text, NOT_TOLD_NOTE))
		return MIGRATE_NOT_TOLD;
	return n > 0 && !strcmp(text, RUNS_NOTE) ? MIGRATE_RUNS : MIGRATE_GO;
}

/* What comes back for the question, which was sent. */
static int take_turn(struct migrate *m, char text[CLIENT_TEXT], struct error *e)
{
	json_t *in = NULL;

	if (peerlink_recv(m->link, &in, e))
		return VTPMCTL_FAILED;
	if (json_array_size(in))
		return migrate_hear(m, m->peer, in, text);
	json_decref(in);
	return VTPMCTL_OK;
}

/* Whether the guest was started there.  A host of an older release, which does not know the question,
 * ends the connection. */
static int ask_guest(struct migrate *m, struct error *e)
{
	struct peerlink_item *item = calloc(1, sizeof(*item));
	int rc = item ? peerlink_send_word(m->link, XLWORD(XLWORD_DOES_RUN, 0), e)
		      : -ENOMEM;

	if (!rc)
		rc = peerlink_recv_item(m->link, item, e);
	if (!rc && item->kind == PEERLINK_IS_TURN)
		json_decref(item->messages);
	m->runs = !rc && item->kind == PEERLINK_IS_WORD &&
		  item->word == XLWORD(XLWORD_REPORT, 0);
	free(item);
	return rc;
}

/* Of a connection that knows nothing: the other host's last word about vTPM and guest, which it has
 * when no xl of this transfer runs there any more. */
static int ask_other(struct migrate *m, bool never_went, char text[CLIENT_TEXT],
		     struct error *e)
{
	int rc =
		peerlink_send_data(m->link, (const uint8_t *)m->name, strlen(m->name), e);

	if (!rc)
		rc = take_turn(m, text, e);
	/* no guest runs there, since it was never told to start */
	if (!rc && never_went && migrate_is(m, "confirmed")) {
		rc = peerlink_send_word(m->link, XLWORD(XLWORD_HAND_BACK, 0), e);
		if (!rc)
			rc = take_turn(m, text, e);
	}
	if (!rc && json_array_size(m->out))
		rc = migrate_exchange(m, text, e);
	if (!rc && migrate_is(m, "confirmed"))
		rc = ask_guest(m, e);
	return rc;
}

/* What is here of the guest may be all that is left of it. */
static void tell_kept(const struct migrate *m)
{
	if (m->domid[0] && !m->quietly && !migrate_has_ended(m))
		fprintf(stderr,
			"vtpmctl: %s stays suspended here, the domain with the number %s: "
			"%s has its vTPM, or does not answer, and has not said that the "
			"guest runs; `vtpmctl migrate --continue %s` asks it again, and "
			"docs/migration.md has what else can be done\n",
			m->guest[0] ? m->guest : m->name, m->domid, m->peer, m->name);
}

static time_t settle_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* A vtpmd that begins anew answers soon. */
static int tick_patiently(struct migrate *m, char text[CLIENT_TEXT])
{
	int i, rc = migrate_wish(m, "tick", text);

	for (i = 0; rc == VTPMCTL_NO_VTPMD && i < VTPMD_S; i++) {
		client_close(&m->client);
		sleep(1);
		text[0] = '\0';
		rc = migrate_wish(m, "tick", text);
	}
	return rc;
}

int xlsettle(struct migrate *m, bool never_went, char text[CLIENT_TEXT], struct error *e)
{
	time_t end = settle_now() + SETTLE_S;
	int i, rc;

	m->runs = false;
	/* who asks now and then leaves the lock to others meanwhile */
	for (i = 0; settle_now() < end && (!m->quietly || i < QUIET_TRIES); i++) {
		*e = (struct error){.cause = CAUSE_NONE};
		if (tick_patiently(m, text))
			break;
		if (migrate_has_ended(m))
			return VTPMCTL_OK;
		rc = m->link ? 0 : migrate_connect(m, m->peer, e);
		if (!rc && json_array_size(m->out))
			rc = migrate_exchange(m, text, e);
		if (!rc)
			rc = ask_other(m, never_went, text, e);
		if (migrate_has_ended(m) ||
		    (!rc && migrate_is(m, "confirmed") && m->runs))
			return VTPMCTL_OK;
		peerlink_close(m->link);
		m->link = NULL;
		if (i == 5 && !m->quietly)
			fprintf(stderr, "%s: waiting for %s: %s\n", m->name, m->peer,
				e->text[0] ? e->text
					   : "it does not say that the guest runs");
		sleep(1);
	}
	tell_kept(m);
	return VTPMCTL_FAILED;
}

static int resume_with(libxl_ctx *ctx, uint32_t domid)
{
	char *name = libxl_domid_to_name(ctx, domid), *suffix;
	size_t len = name ? strlen(name) : 0;
	int rc = 0;

	suffix = len > strlen(AWAY) ? name + len - strlen(AWAY) : NULL;
	if (suffix && !strcmp(suffix, AWAY)) {
		char *was = strdup(name);

		*suffix = '\0';
		rc = was ? libxl_domain_rename(ctx, domid, was, name) : ERROR_NOMEM;
		free(was);
	}
	free(name);
	return rc ? rc : libxl_domain_resume(ctx, domid, 1, NULL);
}

/* Whether the domain is suspended: after a while, since xl may be about to resume it. */
static bool stays_suspended(libxl_ctx *ctx, uint32_t domid)
{
	libxl_dominfo info;
	bool is = true;

	for (int i = 0; is && i < XL_RESUMES_S * 5; i++) {
		libxl_dominfo_init(&info);
		is = !libxl_domain_info(ctx, &info, domid) && info.shutdown &&
		     info.shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND;
		libxl_dominfo_dispose(&info);
		if (is)
			usleep(200000);
	}
	return is;
}

bool xlruns(const struct migrate *m)
{
	xentoollog_logger_stdiostream *log =
		xtl_createlogger_stdiostream(stderr, XTL_ERROR, 0);
	libxl_ctx *ctx = NULL;
	libxl_dominfo info;
	bool runs = false;

	if (!libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, (xentoollog_logger *)log)) {
		libxl_dominfo_init(&info);
		runs = !libxl_domain_info(ctx, &info,
					  (uint32_t)strtoul(m->domid, NULL, 10)) &&
		       !info.paused && !info.shutdown;
		libxl_dominfo_dispose(&info);
	}
	libxl_ctx_free(ctx);
	xtl_logger_destroy((xentoollog_logger *)log);
	return runs;
}

int xlresume(const struct migrate *m)
{
	xentoollog_logger_stdiostream *log =
		xtl_createlogger_stdiostream(stderr, XTL_ERROR, 0);
	uint32_t domid = (uint32_t)strtoul(m->domid, NULL, 10);
	libxl_ctx *ctx = NULL;
	int rc = libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, (xentoollog_logger *)log);

	if (!rc && stays_suspended(ctx, domid)) {
		rc = resume_with(ctx, domid);
		if (!rc)
			fprintf(stderr, "the guest of %s was suspended, and goes on\n",
				m->name);
	}
	libxl_ctx_free(ctx);
	xtl_logger_destroy((xentoollog_logger *)log);
	if (!rc)
		return VTPMCTL_OK;
	fprintf(stderr,
		"vtpmctl: the guest with the number %s cannot be resumed (libxl: %d): see "
		"`xl list`, and /var/log/xen\n",
		m->domid, rc);
	return VTPMCTL_XL;
}

/* The guest runs on the other host: what is suspended here must never go on. */
static int destroy_guest(struct migrate *m)
{
	return xl_run((char *[]){"xl", "destroy", m->domid, NULL}, -1);
}

int xlcontinue_run(struct migrate *m, char text[CLIENT_TEXT], struct error *e)
{
	int rc;

	if (migrate_is(m, "released") || migrate_is(m, "confirmed") ||
	    migrate_is(m, "doubt")) {
		/* GO passes when it is confirmed, and who let it pass is dead */
		rc = xlsettle(m, !migrate_is(m, "confirmed"), text, e);
	} else {
		if (!migrate_has_ended(m))
			migrate_cancel(m);
		rc = migrate_has_ended(m) ? VTPMCTL_OK : VTPMCTL_FAILED;
	}
	if (!rc && migrate_is_here(m))
		return xlresume(m);
	if (rc || !migrate_is(m, "confirmed") || !m->runs)
		return rc;
	rc = destroy_guest(m);
	if (!rc)
		rc = migrate_wish(m, "finish", text);
	if (!rc && json_array_size(m->out) &&
	    (m->link || !migrate_connect(m, m->peer, e)))
		rc = migrate_exchange(m, text, e);
	return rc;
}
