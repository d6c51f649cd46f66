/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source's side of a guest that moves.  READY reaches xl when the destination has all of
 * the vTPM; GO reaches the destination when vtpmd here has released it, and the one there has
 * said so.  Until then a failure is xl's own: its pipes are closed, and it resumes the guest;
 * or, once it has said GO, it is told what a receiver says that has not started its copy.
 */
#include "tools/vtpmctl/xlmigrate.h"
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/xlgate.h"
#include "tools/vtpmctl/xlwatch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define XL_ENDS_S  120 /* it destroys, or resumes, the guest; or says GO behind READY */
#define XL_STALL_S 90  /* in which a guest that stands still comes no further */
#define XL_REPORT_S \
	120 /* in which the destination says what became of the guest that it may start */
#define XL_STEP \
	(4u * 1024 * 1024) /* bytes of it, taken by the other host, that are further */
#define XL_AGAIN_S 30	   /* less than vtpmd waits for a word */

struct xlsource {
	struct migrate *m;
	struct error *e;
	char *text;
	struct xlpipes xl;
	struct xlgate_stream stream;
	struct xlwatch *watch; /* NULL: nothing tells when the guest is suspended */
	size_t credit;	       /* bytes */
	bool banner, suspended, exports, ready, ready_passed, go, go_passed, reported,
		gives_back;
	bool over;
	uint8_t code; /* of the report */
	time_t heard, told, further, ticked;
	size_t taken; /* of the guest, since it came further */
	struct peerlink_item item;
	uint8_t bytes[PEERLINK_DATA];
};

static volatile sig_atomic_t is_interrupted;

static void note_interrupt(int number)
{
	is_interrupted = 1;
}

static time_t seconds_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static void note_further(struct xlsource *x)
{
	x->further = seconds_now();
	x->taken = 0;
}

static int fail_source(struct xlsource *x, const char *why)
{
	return error_set(x->e, -EBADMSG, CAUSE_PEER, "%s", why);
}

/* To xl, as its receiver would say it. */
static int tell_xl(struct xlsource *x, enum xlgate_text text)
{
	size_t len;
	const uint8_t *bytes = xlgate_bytes(text, &len);

	if (write(x->xl.to, bytes, len) == (ssize_t)len)
		return 0;
	return fail_source(x, "xl migrate has ended too early; its lines above say why");
}

static int report_xl(struct xlsource *x, uint8_t code)
{
	int rc = tell_xl(x, XLGATE_REPORT);

	x->reported = true;
	if (!rc && write(x->xl.to, &code, 1) != 1)
		rc = fail_source(x, "xl migrate has ended before its last word");
	return rc;
}

static int wish_and_flush(struct xlsource *x, const char *event)
{
	int rc = migrate_wish(x->m, event, x->text);

	x->told = x->ticked = seconds_now();
	return rc ? rc : migrate_flush(x->m, x->e);
}

/* It has run there from GO on: what is left of it here goes. */
static int finish_source(struct xlsource *x)
{
	int status = xlpipe_wait(&x->xl, XL_ENDS_S);
	int rc = wish_and_flush(x, "finish");

	x->over = true;
	if (status)
		fprintf(stderr,
			"vtpmctl: xl migrate ended with %d after the guest had started on %s: "
			"see `xl list`, and `xl destroy %s--migratedaway` if it is there\n",
			status, x->m->peer, x->m->guest);
	return rc;
}

/* What vtpmd's state lets pass now. */
static int let_pass(struct xlsource *x)
{
	if (migrate_is(x->m, "held") && x->ready && !x->ready_passed) {
		x->ready_passed = true;
		return tell_xl(x, XLGATE_READY);
	}
	if (migrate_is(x->m, "confirmed") && x->go && !x->go_passed) {
		x->go_passed = true;
		note_further(x);
		return peerlink_send_word(x->m->link, XLWORD(XLWORD_GO, 0), x->e);
	}
	if (migrate_is(x->m, "here") && x->gives_back) {
		x->over = true;
		return tell_xl(x, XLGATE_GO);
	}
	if (migrate_is(x->m, "here") && !x->go_passed)
		return VTPMCTL_FAILED;
	return 0;
}

static int begin_export(struct xlsource *x)
{
	/* one that vtpmd refused before is tried again, and is no step */
	if (!x->suspended)
		note_further(x);
	x->suspended = x->exports = true;
	return migrate_wish_later(x->m, "export", x->text);
}

/* The vTPM follows the guest as soon as that is suspended, beside the last of its memory.
 * vtpmd looks itself whether it is. */
static int export_early(struct xlsource *x)
{
	if (!xlwatch_is_suspended(x->watch))
		return 0;
	return begin_export(x);
}

/* Where nothing tells that: when xl has sent all of it. */
static int export_in_time(struct xlsource *x)
{
	if (x->exports || !xlgate_stream_ended(&x->stream))
		return 0;
	return begin_export(x);
}

/* Of a wish that was not waited for.  That the guest was not suspended is a reason only when
 * xl has sent all of it. */
static int hear_vtpmd(struct xlsource *x)
{
	int rc = migrate_take_answer(x->m, x->text);

	if (rc == VTPMCTL_FAILED && !xlgate_stream_ended(&x->stream)) {
		x->exports = false;
		x->text[0] = '\0';
		return 0;
	}
	/* it is sent again only after a while */
	x->told = x->ticked = seconds_now();
	if (!rc)
		rc = migrate_flush(x->m, x->e);
	return rc ? rc : let_pass(x);
}

static int hear_ready(struct xlsource *x)
{
	if (!x->banner || x->ready || !xlgate_stream_ended(&x->stream))
		return fail_source(x,
				   "the other host says that it has the guest before it "
				   "was sent: do not move vTPMs there");
	x->ready = true;
	note_further(x);
	return let_pass(x);
}

static int hear_report(struct xlsource *x, uint32_t code)
{
	int rc;

	if (!x->go_passed || x->reported || code > 255)
		return fail_source(
			x, "the other host says that the guest runs before it may: do "
			   "not move vTPMs there");
	x->code = (uint8_t)code;
	/* it gives back */
	note_further(x);
	rc = report_xl(x, x->code);
	return rc || code ? rc : finish_source(x);
}

static int fail_senseless(struct xlsource *x)
{
	return fail_source(x, "the other host says what makes no sense now: do not move "
			      "vTPMs there, or install one release on both");
}

static int hear_taken(struct xlsource *x, uint32_t bytes)
{
	x->credit += bytes;
	if (x->credit > XL_WINDOW)
		return fail_senseless(x);
	x->taken += bytes;
	/* the last of it is fewer */
	if (x->taken >= XL_STEP ||
	    (bytes && xlgate_stream_ended(&x->stream) && x->credit == XL_WINDOW))
		note_further(x);
	return 0;
}

static int hear_word(struct xlsource *x, uint32_t word)
{
	switch (XLWORD_KIND(word)) {
	case XLWORD_ALIVE:
		return 0;
	case XLWORD_TAKEN:
		return hear_taken(x, XLWORD_VALUE(word));
	case XLWORD_BANNER:
		if (x->banner)
			break;
		x->banner = true;
		return tell_xl(x, XLGATE_BANNER);
	case XLWORD_READY:
		return hear_ready(x);
	case XLWORD_REPORT:
		return hear_report(x, XLWORD_VALUE(word));
	case XLWORD_GIVE_BACK:
		if (!x->code || x->gives_back)
			break;
		x->gives_back = true;
		return let_pass(x);
	case XLWORD_REFUSED:
		return fail_source(x,
				   "the other host does not take what the guest boots: "
				   "`vtpmctl migrate-receive`'s lines there say why");
	case XLWORD_GONE:
		return fail_source(x, "xl migrate-receive has ended on the other host: "
				      "`vtpmctl migrate-receive`'s lines there say why");
	}
	return fail_senseless(x);
}

static int hear_link(struct xlsource *x)
{
	struct migrate *m = x->m;
	int rc = peerlink_recv_item(m->link, &x->item, x->e);

	x->heard = seconds_now();
	if (rc)
		return rc;
	if (x->item.kind == PEERLINK_IS_WORD)
		return hear_word(x, x->item.word);
	if (x->item.kind == PEERLINK_IS_DATA)
		return hear_word(x, 0);
	if (!json_array_size(x->item.messages)) {
		json_decref(x->item.messages);
		return 0;
	}
	rc = migrate_is_asked(m) ? hear_vtpmd(x) : 0;
	if (rc) {
		json_decref(x->item.messages);
		return rc;
	}
	rc = migrate_hear(m, m->peer, x->item.messages, x->text);
	if (!rc)
		rc = migrate_flush(m, x->e);
	return rc ? rc : let_pass(x);
}

/* The guest, from xl to the other host; then GO, which is held. */
static int hear_xl(struct xlsource *x)
{
	size_t room = x->credit < sizeof(x->bytes) ? x->credit : sizeof(x->bytes), pass;
	ssize_t n = read(x->xl.from, x->bytes, room);
	bool go;
	int rc;

	if (n < 0 && errno == EINTR)
		return 0;
	if (n <= 0)
		return fail_source(x, "xl migrate has given up; its lines above say why");
	if (xlgate_stream_take(&x->stream, x->bytes, (size_t)n, &pass, &go) ||
	    (pass < (size_t)n && !x->ready_passed))
		return fail_source(x, "xl migrate says what vtpmctl does not know: is it "
				      "newer than Xen 4.20?");
	x->credit -= pass;
	rc = pass ? peerlink_send_data(x->m->link, x->bytes, pass, x->e) : 0;
	if (!rc)
		rc = export_in_time(x);
	if (rc || !go)
		return rc;
	x->go = true;
	rc = wish_and_flush(x, "commit");
	/* it may not be released: then the guest goes on here */
	return rc ? rc : let_pass(x);
}

/* vtpmd takes the vTPM back of whom it hears nothing. */
static bool is_tick_due(const struct xlsource *x, time_t now)
{
	bool is_frozen = migrate_is(x->m, "frozen");

	if (migrate_is(x->m, "released"))
		return true;
	/* what is exported may be answered when xl there has made the guest: until then it is said
	 * again just often enough, and the last of the guest's memory may take long */
	return (is_frozen && x->ready) ||
	       ((is_frozen || migrate_is(x->m, "held")) && now - x->ticked >= XL_AGAIN_S);
}

/* Now and then: the other host hears that this one is there, and what it did not answer. */
static int keep_up(struct xlsource *x)
{
	time_t now = seconds_now();
	int rc;

	if (now - x->heard > XL_QUIET_S)
		return fail_source(x, "the other host has not answered for a long time");
	/* it may say for ever that it is there */
	if (x->suspended && !x->go && now - x->further > XL_STALL_S)
		return fail_source(x,
				   "the guest stands still, and the other host takes no "
				   "more of it, or does not get ready: see "
				   "`vtpmctl migrate-receive`'s lines there");
	if (x->code && now - x->further > XL_STALL_S)
		return fail_source(x,
				   "the other host could not start the guest, and does "
				   "not give its vTPM back");
	/* what became of the vTPM is asked on another connection: settle_source() */
	if (x->go_passed && now - x->further > XL_REPORT_S)
		return fail_source(
			x, "the other host was told to start the guest, and does not "
			   "say whether it runs: see `xl list` there, and "
			   "`vtpmctl migrate-receive`'s lines");
	if ((now - x->told) * 1000 < XL_TICK_MS)
		return 0;
	rc = peerlink_send_word(x->m->link, XLWORD(XLWORD_ALIVE, 0), x->e);
	x->told = now;
	if (rc || !is_tick_due(x, now))
		return rc;
	rc = wish_and_flush(x, "tick");
	/* vtpmd may have taken it back */
	return rc ? rc : let_pass(x);
}

/* What there is to be read from. */
enum {
	FROM_LINK,
	FROM_XL,
	FROM_VTPMD,
	FROM_XEN,
	FROM_ALL,
};

static void choose_fds(const struct xlsource *x, struct pollfd p[FROM_ALL])
{
	size_t i;

	p[FROM_LINK].fd = peerlink_fd(x->m->link);
	p[FROM_XL].fd = x->credit && x->banner && !x->go ? x->xl.from : -1;
	p[FROM_VTPMD].fd = migrate_is_asked(x->m) ? client_fd(&x->m->client) : -1;
	p[FROM_XEN].fd = x->exports ? -1 : xlwatch_fd(x->watch);
	for (i = 0; i < FROM_ALL; i++) {
		p[i].events = POLLIN;
		p[i].revents = 0;
	}
}

static int hear_all(struct xlsource *x, const struct pollfd p[FROM_ALL])
{
	int rc = p[FROM_VTPMD].revents ? hear_vtpmd(x) : 0;

	if (!rc && p[FROM_XEN].revents)
		rc = export_early(x);
	if (rc || x->over)
		return rc;
	if (p[FROM_LINK].revents)
		return hear_link(x);
	return p[FROM_XL].revents ? hear_xl(x) : 0;
}

static int run_source(struct xlsource *x)
{
	struct pollfd p[FROM_ALL];
	bool has;
	int rc = 0;

	while (!rc && !x->over) {
		has = peerlink_has(x->m->link);
		choose_fds(x, p);
		if (poll(p, FROM_ALL, has ? 0 : XL_TICK_MS) < 0 && errno != EINTR)
			return fail_source(x, "poll fails");
		if (is_interrupted && !x->go)
			return fail_source(x, "it was interrupted");
		if (has)
			p[FROM_LINK].revents = POLLIN;
		rc = hear_all(x, p);
		if (!rc && !x->over)
			rc = keep_up(x);
	}
	return rc;
}

/* Once xl has READY it renames the guest and says GO, whatever becomes of the connection, and
 * resumes the guest only when it hears behind GO that the receiver has not started its copy:
 * an end of its pipes would leave the guest suspended. */
static void await_go(struct xlsource *x)
{
	struct pollfd p = {.fd = x->xl.from, .events = POLLIN};
	time_t end = seconds_now() + XL_ENDS_S;
	ssize_t n = 1;
	size_t pass;

	while (x->ready_passed && !x->go && n > 0 && seconds_now() < end) {
		if (poll(&p, 1, 1000) <= 0)
			continue;
		n = read(x->xl.from, x->bytes, sizeof(x->bytes));
		if (n > 0 &&
		    xlgate_stream_take(&x->stream, x->bytes, (size_t)n, &pass, &x->go))
			return;
	}
}

/* After the commit the destination is asked what became of it, until it says so. */
static void settle_source(struct xlsource *x)
{
	struct error e = {.cause = CAUSE_NONE};
	char text[CLIENT_TEXT] = "";
	bool never;

	if (x->e->text[0])
		fprintf(stderr, "%s: %s; asking %s what became of the vTPM\n",
			x->m->guest, x->e->text, x->m->peer);
	peerlink_close(x->m->link);
	x->m->link = NULL;
	/* it says itself that it has not started the guest, or does not say that it has: then what
	 * xl has left suspended stays */
	never = !x->go_passed || x->code;
	if (xlsettle(x->m, never, text, &e) || !migrate_is(x->m, "confirmed") ||
	    !x->m->runs)
		return;
	if (!never && (x->reported || !report_xl(x, 0)))
		(void)!finish_source(x);
}

/* The guest goes on here when its vTPM is here. */
static void undo_source(struct xlsource *x)
{
	/* it was given back */
	if (x->over)
		return;
	if (migrate_is(x->m, "released") || migrate_is(x->m, "confirmed"))
		settle_source(x);
	else if (!migrate_has_ended(x->m))
		migrate_take_back(x->m);
	await_go(x);
	if (!x->go || !migrate_is(x->m, "here"))
		return;
	if (x->reported || !report_xl(x, 1))
		(void)!tell_xl(x, XLGATE_GO);
}

int xlmigrate_run(struct migrate *m, char text[CLIENT_TEXT], struct error *e)
{
	struct xlsource *x = calloc(1, sizeof(*x));
	struct sigaction act = {.sa_handler = note_interrupt};
	int rc, status;

	if (!x)
		return error_set(e, VTPMCTL_FAILED, CAUSE_RESOURCES,
				 "there is no memory");
	x->m = m;
	x->e = e;
	x->text = text;
	x->credit = XL_WINDOW;
	x->heard = x->told = x->ticked = seconds_now();
	(void)sigaction(SIGINT, &act, NULL);
	(void)sigaction(SIGTERM, &act, NULL);
	rc = xlpipe_start(m, &x->xl)
		     ? fail_source(x,
				   "xl migrate does not begin; its lines above say why")
		     : peerlink_send_word(m->link, XLWORD(XLWORD_START, 0), e);
	/* behind the fork: it has a thread */
	x->watch = rc ? NULL : xlwatch_open(m->domid);
	if (!rc)
		rc = run_source(x);
	if (rc || x->code)
		undo_source(x);
	xlpipe_close(&x->xl);
	/* the guest goes on; then the other host hears of it */
	if (migrate_is(m, "here"))
		migrate_tell(m);
	status = xlpipe_wait(&x->xl, XL_ENDS_S);
	/* an xl that was killed resumes nothing */
	if (status < 0 && migrate_is(m, "here"))
		(void)!xlresume(m);
	if (status && !rc)
		rc = error_set(e, VTPMCTL_FAILED, CAUSE_PEER,
			       "the guest could not be started on %s: `vtpmctl "
			       "migrate-receive`'s lines there say why",
			       m->peer);
	xlwatch_close(x->watch);
	free(x);
	return rc && !migrate_is(m, "away") ? VTPMCTL_FAILED : VTPMCTL_OK;
}
