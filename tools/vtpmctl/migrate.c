/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpmctl migrate: carries a handover's messages between two vtpmds, and tells the source's when to
 * go on.  Neither it nor migrate_receive.c decides anything that counts: what a lost connection or
 * a kill of them leaves is one of tools/vtpmd/handover.h's states, from which `--continue` goes on.
 */
#include "lib/text.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/migrate.h"
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/xlimages.h"
#include "tools/vtpmctl/xlmigrate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUIET_MAX 5   /* turns in which nothing comes of it, one after the other ... */
#define TURNS_MAX 100 /* ... and all */

/* Seconds: for another process that is about to end, and for one that asks the other host by
 * itself. */
#define LOCK_S	     2
#define LOCK_ASKED_S 15
#define OTHER_S	     (4 * 3600) /* one that moves a guest: longer than vtpmd lets that last */

static const struct args_option options[] = {
	OPTION_TEXT("continue", struct migrate, goes_on, "NAME",
		    "go on with a handover that was interrupted"),
	OPTION_FLAG("back", struct migrate, back,
		    "with it, at the destination: give the vTPM back"),
	OPTION_FLAG("take", struct migrate, take,
		    "with it: the other host is lost; have it here"),
	OPTION_FLAG("yes", struct migrate, yes,
		    "that it never comes back; with --forget: do it"),
	OPTION_FLAG("moved", struct migrate, moved, "list what has moved away"),
	OPTION_TEXT("forget", struct migrate, forget, "UUID",
		    "forget that it has moved away"),
	OPTION_TEXT("evacuate", struct migrate, evacuate, "HOST",
		    "move all guests that have vTPMs there"),
	OPTION_NUMBER("jobs", struct migrate, jobs, "N", 1, EVACUATE_JOBS_MAX,
		      "so many at a time; 1"),
	MIGRATE_OPTIONS,
};

static const struct args_command command = {
	.usage = "migrate GUEST HOST | --evacuate HOST | --continue NAME | OPTIONS",
	.about =
		"Moves a guest that runs, with its vTPM, to another host of the pool: by xl\n"
		"migrate, and with the vTPM's PCRs, sessions and objects.  Until the other host\n"
		"has proved itself and stored all of it, both go on here when anything fails.\n"
		"A vTPM that no guest has is moved alone, by its own name.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "GUEST",
	.word_offset = offsetof(struct migrate, name),
	.words_optional = true,
	.second = "HOST",
	.second_offset = offsetof(struct migrate, host),
};

/* vtpmd answers one after the other: an answer that nobody has taken is let go. */
static int ask_later(struct migrate *m, json_t *request, char text[CLIENT_TEXT])
{
	char late[CLIENT_TEXT] = "";

	if (migrate_is_asked(m))
		(void)!migrate_take_answer(m, late);
	return client_send(&m->client, m->socket, request, text);
}

bool migrate_is_asked(const struct migrate *m)
{
	return m->client.is_sent;
}

int migrate_take_answer(struct migrate *m, char text[CLIENT_TEXT])
{
	json_t *reply;
	int rc = client_recv(&m->client, &reply, text);

	if (rc)
		return rc;
	json_decref(m->out);
	m->out = json_incref(json_object_get(reply, "messages"));
	m->stopped = json_is_true(json_object_get(reply, "stopped"));
	m->replaced = json_is_true(json_object_get(reply, "replaced"));
	snprintf(m->vtpm, sizeof(m->vtpm), "%s", client_text(reply, "name"));
	snprintf(m->state, sizeof(m->state), "%s", client_text(reply, "state"));
	snprintf(m->why, sizeof(m->why), "%s", client_text(reply, "why"));
	snprintf(m->peer, sizeof(m->peer), "%s", client_text(reply, "peer"));
	m->came |= migrate_is(m, "owned");
	json_decref(reply);
	return VTPMCTL_OK;
}

int migrate_ask(struct migrate *m, json_t *request, char text[CLIENT_TEXT])
{
	int rc = ask_later(m, request, text);

	return rc ? rc : migrate_take_answer(m, text);
}

int migrate_wish_later(struct migrate *m, const char *event, char text[CLIENT_TEXT])
{
	return ask_later(m,
			 json_pack("{s:s, s:s, s:s, s:s*}", "op", "move", "name", m->name,
				   "event", event, "host", m->host),
			 text);
}

int migrate_wish(struct migrate *m, const char *event, char text[CLIENT_TEXT])
{
	int rc = migrate_wish_later(m, event, text);

	return rc ? rc : migrate_take_answer(m, text);
}

int migrate_hear_later(struct migrate *m, const char *peer, json_t *messages,
		       char text[CLIENT_TEXT])
{
	return ask_later(m,
			 json_pack("{s:s, s:s, s:o}", "op", "move", "peer", peer,
				   "messages", messages),
			 text);
}

int migrate_hear(struct migrate *m, const char *peer, json_t *messages,
		 char text[CLIENT_TEXT])
{
	int rc = migrate_hear_later(m, peer, messages, text);

	return rc ? rc : migrate_take_answer(m, text);
}

bool migrate_is(const struct migrate *m, const char *state)
{
	return !strcmp(m->state, state);
}

int migrate_flush(struct migrate *m, struct error *e)
{
	int rc;

	if (!json_array_size(m->out))
		return 0;
	rc = peerlink_send(m->link, m->out, e);
	json_array_clear(m->out);
	return rc;
}

int migrate_exchange(struct migrate *m, char text[CLIENT_TEXT], struct error *e)
{
	json_t *in = NULL;
	int rc = peerlink_send(m->link, m->out, e);

	if (!rc)
		rc = peerlink_recv(m->link, &in, e);
	if (rc)
		return VTPMCTL_FAILED;
	json_array_clear(m->out);
	if (json_array_size(in))
		return migrate_hear(m, m->peer, in, text);
	json_decref(in);
	return VTPMCTL_OK;
}

/* What the source does next by itself; without a guest, at once.  NULL: it waits. */
static const char *next_wish(const struct migrate *m)
{
	if (m->domid[0])
		return NULL; /* xlmigrate.c knows when */
	if (migrate_is(m, "proved"))
		return "export";
	if (migrate_is(m, "held"))
		return "commit";
	if (migrate_is(m, "confirmed"))
		return "finish";
	return NULL;
}

bool migrate_is_here(const struct migrate *m)
{
	return migrate_is(m, "here") || migrate_is(m, "taken");
}

bool migrate_has_ended(const struct migrate *m)
{
	return migrate_is_here(m) || migrate_is(m, "away") || migrate_is(m, "absent");
}

/* With what it boots, if it was launched. */
static int move_guest(struct migrate *m, char text[CLIENT_TEXT], struct error *e)
{
	json_t *config = xlguest_config(m);
	int rc = xlimages_send(m, config, text, e);

	json_decref(config);
	return rc ? rc : xlmigrate_run(m, text, e);
}

/* Until it is here again, or away.  An exit status. */
static int carry(struct migrate *m, char text[CLIENT_TEXT], struct error *e)
{
	unsigned int quiet = 0, turns = 0;
	const char *wish;
	int rc = VTPMCTL_OK;

	while (!rc && quiet < QUIET_MAX && turns++ < TURNS_MAX) {
		if (m->domid[0] && migrate_is(m, "proved"))
			return move_guest(m, text, e);
		wish = next_wish(m);
		if (wish) {
			fprintf(stderr, "%s: %s\n", m->name, m->state);
			rc = migrate_wish(m, wish, text);
			/* its record could not be written */
			if (!rc && !strcmp(wish, "finish") && migrate_is(m, "confirmed"))
				rc = VTPMCTL_FAILED;
		} else if (json_array_size(m->out)) {
			rc = migrate_exchange(m, text, e);
			quiet = 0;
		} else if (migrate_has_ended(m)) {
			return VTPMCTL_OK;
		} else {
			usleep(200000u * quiet++);
			rc = migrate_wish(m, "tick", text);
		}
	}
	return rc ? rc : VTPMCTL_FAILED;
}

int migrate_connect(struct migrate *m, const char *host, struct error *e)
{
	struct pool_host h;
	char address[ADDRESS_MAX];
	int rc;

	if (!poolfile_find(&m->file, host, &h))
		return error_set(e, -ENOENT, CAUSE_PEER,
				 "the list of hosts has no %s: see `vtpmctl peer list`",
				 host);
	snprintf(address, sizeof(address), "%.*s", (int)h.address.n,
		 (const char *)h.address.p);
	rc = peerlink_connect(&m->keys, address, host, &m->link, e);
	if ((rc != -EINVAL && rc != -EADDRNOTAVAIL) || poolfile_is_address(address))
		return rc;
	*e = (struct error){.cause = CAUSE_NONE};
	return error_set(
		e, rc, CAUSE_PEER,
		"the list of hosts has \"%s\" as the address of %s, which is no "
		"HOST:PORT: `vtpmctl peer add %s --address HOST:PORT` where the policy key "
		"is, and the new list on each host",
		address, host, host);
}

static bool has_host_name(const struct pool_host *h, const char *name)
{
	return h->name.n == strlen(name) && !memcmp(h->name.p, name, h->name.n);
}

int migrate_load(struct migrate *m, struct error *e)
{
	int rc = hostfile_load(m->config, &m->conf, e);

	return rc ? rc : poolfile_load(&m->file, m->config, &m->conf, e);
}

int migrate_own(const struct migrate *m, int *days, struct error *e)
{
	char name[POOL_NAME_MAX + 1];
	const char *cert = m->keys.cert;
	struct pool_host h;
	int left, rc = peerlink_own(&m->keys, name, &left, e);

	if (rc)
		return rc;
	if (days)
		*days = left;
	if (poolfile_find(&m->file, name, &h) && !poolfile_is_own(&h, &m->conf))
		return error_set(
			e, -EPERM, CAUSE_PEER,
			"%s is the certificate of %s, which is another host in the list "
			"of hosts: give this host's own; or, when it is %s with another "
			"TPM than before, `vtpmctl peer remove` and `peer add` it anew",
			cert, name, name);
	if (!poolfile_own(&m->file, &m->conf, &h) || has_host_name(&h, name))
		return 0;
	return error_set(
		e, -EPERM, CAUSE_PEER,
		"%s is a certificate of %s, and this host is %.*s in the list of "
		"hosts: have one made of that name (docs/migration.md)",
		cert, name, (int)h.name.n, (const char *)h.name.p);
}

void migrate_end(struct migrate *m)
{
	peerlink_close(m->link);
	client_close(&m->client);
	xlimages_free(m->images);
	json_decref(m->out);
	json_decref(m->comes);
	poolfile_free(&m->file);
	hostconf_free(&m->conf);
}

/* What failed, once: this host's sentence, or vtpmd's. */
static int say(const struct migrate *m, int rc, const char *text, const struct error *e)
{
	if (m->forget && !rc)
		return VTPMCTL_OK;
	if (m->forget) {
		fprintf(stderr, "vtpmctl: %s\n", e->cause ? e->text : text);
		return rc;
	}
	if (m->take && e->cause)
		return vtpmctl_fail(e);
	if (migrate_is(m, "away")) {
		fprintf(stderr, "%s runs on %s\n", m->domid[0] ? m->guest : m->name,
			m->peer);
		return VTPMCTL_OK;
	}
	if (migrate_is_here(m) && !rc && m->goes_on &&
	    (migrate_is(m, "here") || !m->why[0])) {
		fprintf(stderr, "%s is here\n", m->name);
		return VTPMCTL_OK;
	}
	if (migrate_is(m, "absent") && !rc && m->goes_on) {
		fprintf(stderr, "%s is on %s, and nothing of it is here\n", m->name,
			m->peer[0] ? m->peer : "another host");
		return VTPMCTL_OK;
	}
	if (migrate_is_here(m) && (m->why[0] || e->cause))
		fprintf(stderr, "vtpmctl: %s %s: %s\n",
			m->domid[0] && !m->goes_on ? m->guest : m->name,
			m->stopped ? "stays here, and does not run" : "goes on here",
			e->cause && (m->domid[0] || !m->why[0]) ? e->text : m->why);
	else if (e->cause)
		return vtpmctl_fail(e);
	else if (text[0])
		fprintf(stderr, "vtpmctl: %s\n", text);
	else if ((migrate_is(m, "unsure") || migrate_is(m, "stray") ||
		  migrate_is(m, "confirmed") || m->take) &&
		 m->why[0])
		fprintf(stderr, "vtpmctl: %s: %s\n", m->name, m->why);
	else if (m->goes_on && m->link &&
		 (migrate_is(m, "released") || migrate_is(m, "doubt")))
		fprintf(stderr,
			"vtpmctl: the handover of %s is %s, and %s knows nothing of it: when "
			"it had it, and that has moved on from there, `vtpmctl migrate "
			"--forget %s` erases what is left here\n",
			m->name, m->state, m->peer, m->name);
	else
		fprintf(stderr,
			"vtpmctl: the handover of %s is %s: `vtpmctl migrate --continue "
			"%s` goes on with it\n",
			m->name, m->state, m->name);
	return rc ? rc : VTPMCTL_FAILED;
}

#define ABORT_TRIES 5

void migrate_take_back(struct migrate *m)
{
	struct error e = {.cause = CAUSE_NONE};
	char text[CLIENT_TEXT] = "";

	/* vtpmd began anew meanwhile, and only the other host knows how it ended */
	if (migrate_wish(m, "cancel", text) && !m->goes_on &&
	    !migrate_wish(m, "tick", text) && migrate_is(m, "doubt"))
		(void)!xlsettle(m, true, text, &e);
}

/* The connection that there was may be what failed. */
void migrate_tell(struct migrate *m)
{
	struct error e = {.cause = CAUSE_NONE};
	char text[CLIENT_TEXT] = "";
	int i;

	if (!json_array_size(m->out))
		return;
	peerlink_close(m->link);
	m->link = NULL;
	for (i = 0; migrate_connect(m, m->peer, &e) && i < ABORT_TRIES; i++)
		sleep(1);
	if (m->link)
		(void)!migrate_exchange(m, text, &e);
}

void migrate_cancel(struct migrate *m)
{
	migrate_take_back(m);
	migrate_tell(m);
}

/* Before RELEASED it is taken back. */
static void give_up(struct migrate *m, int rc)
{
	if (rc && m->state[0] && !migrate_has_ended(m))
		migrate_cancel(m);
}

static int lock_source(struct migrate *m, int seconds, struct error *e)
{
	m->lock = migrate_lock(m, "migrate", seconds);
	m->busy = false;
	if (m->lock >= 0)
		return VTPMCTL_OK;
	m->busy = true;
	return error_set(
		e, VTPMCTL_FAILED, CAUSE_PEER,
		m->lock == -EBUSY
			? "another `vtpmctl migrate` goes on with %s: wait for it"
			: "no lock can be made for %s beside vtpmd's socket: run "
			  "this as root",
		m->name);
}

/* The other host may run it, unless nothing is there that could: an address at which nothing
 * answers. */
int migrate_see_it_is_gone(struct migrate *m, struct error *e)
{
	struct error why = {.cause = CAUSE_NONE};
	struct pool_host h;
	int rc;

	if (!poolfile_find(&m->file, m->peer, &h))
		return 0;
	rc = migrate_connect(m, m->peer, &why);
	if (rc == -ETIMEDOUT || rc == -EHOSTUNREACH || rc == -ENETUNREACH ||
	    rc == -EHOSTDOWN)
		return 0;
	/* that its name is not known here says nothing of it */
	if (rc == -EADDRNOTAVAIL)
		return error_set(
			e, -EBUSY, CAUSE_PEER,
			"%s is not taken: whether its other host, %s, is up is not known, "
			"since its name has no address: see DNS; when all that it had is "
			"lost, `vtpmctl peer remove %s` first",
			m->name, m->peer, m->peer);
	return error_set(e, -EBUSY, CAUSE_PEER,
			 "%s is not taken: its other host, %s, is up, and may run it: "
			 "`vtpmctl migrate --continue` asks it; when all that it had is "
			 "lost, `vtpmctl peer remove %s` first",
			 m->name, m->peer, m->peer);
}

/* From the other half of a handover, which is lost. */
static int take_over(struct migrate *m, char text[CLIENT_TEXT], struct error *e)
{
	int rc = migrate_wish(m, "tick", text);

	if (rc || migrate_is(m, "taken"))
		return rc;
	if (migrate_is(m, "here") || migrate_is(m, "absent"))
		return error_set(e, VTPMCTL_FAILED, CAUSE_PEER,
				 migrate_is(m, "here")
					 ? "%s is not taken: it is here, and in no move"
					 : "%s is not taken: nothing of it is here",
				 m->name);
	/* one that is stray is in no move with a host that could be asked */
	rc = !migrate_is(m, "stray") && !m->replaced && migrate_see_it_is_gone(m, e)
		     ? VTPMCTL_FAILED
		     : VTPMCTL_OK;
	if (!rc && !m->yes)
		rc = error_set(
			e, VTPMCTL_FAILED, CAUSE_PEER,
			"%s is not taken: if %s runs it, or ever does again, there "
			"are two of it, and what was written there is lost here; "
			"when it is lost for good, say --yes",
			m->name, m->peer);
	/* a guest that xl has left suspended */
	if (!rc && (migrate_is(m, "released") || migrate_is(m, "confirmed") ||
		    migrate_is(m, "doubt")))
		rc = xlguest_of(m);
	if (!rc)
		rc = migrate_wish(m, "take", text);
	return !rc && m->domid[0] ? xlresume(m) : rc;
}

/* There is nothing here that could go back. */
static int refuse_back(struct migrate *m, struct error *e)
{
	const char *peer = m->peer[0] ? m->peer : "another host";

	m->state[0] = '\0'; /* that is no answer to --back */
	return error_set(
		e, VTPMCTL_FAILED, CAUSE_PEER,
		"%s is on %s, and nothing of it is here that could be given back: "
		"`vtpmctl migrate %s HOST` there moves it to this host",
		m->name, peer, m->name);
}

static int continue_migrate(struct migrate *m, char text[CLIENT_TEXT], struct error *e)
{
	int rc;

	m->name = m->goes_on;
	rc = lock_source(m, LOCK_ASKED_S, e);
	if (!rc && m->take)
		return take_over(m, text, e);
	if (!rc)
		rc = migrate_wish(m, "tick", text);
	if (!rc && m->back && (migrate_is(m, "away") || migrate_is(m, "absent")))
		return refuse_back(m, e);
	if (!rc && m->back)
		rc = migrate_wish(m, "back", text);
	if (!rc && m->back && migrate_is(m, "owned") && m->why[0])
		return error_set(e, VTPMCTL_FAILED, CAUSE_PEER,
				 "%s is not given back: %s", m->name, m->why);
	if (!rc && migrate_is(m, "stray"))
		return VTPMCTL_FAILED;
	if (!rc && m->replaced)
		return error_set(e, VTPMCTL_FAILED, CAUSE_PEER, "%s", m->why);
	/* a guest that has come with it runs, and has no part in what is left to be said */
	if (!rc && !m->back && !migrate_is(m, "owned") && !migrate_is(m, "unsure"))
		rc = xlguest_of(m);
	if (!rc && m->domid[0])
		return xlcontinue_run(m, text, e);
	if (!rc && (!migrate_has_ended(m) || json_array_size(m->out)) && !m->link &&
	    migrate_connect(m, m->peer, e))
		rc = VTPMCTL_FAILED;
	return rc ? rc : carry(m, text, e);
}

#define DONE_S 5 /* in which the last message of an earlier move arrives */

/* Whether the move that a vTPM is in may be one of which only that message is missing. */
static bool is_ending(struct migrate *m)
{
	const char *step;

	snprintf(m->vtpm, sizeof(m->vtpm), "%s", m->name);
	xlguest_note_vtpm(m);
	step = client_text(json_object_get(m->comes, "handover"), "step");
	return !step[0] || !strcmp(step, "owned");
}

/* Begins the handover of a vTPM that came here in an earlier one, whose last message (DONE) was
 * lost with who carried it: the host that it came from is asked for that first.  text: why it
 * could not be begun, which stays, as its exit status does, when this is not the reason. */
static int begin_after_done(struct migrate *m, int refused, char text[CLIENT_TEXT],
			    struct error *e)
{
	struct error lost = {.cause = CAUSE_NONE};
	char why[CLIENT_TEXT] = "";
	int i, rc = migrate_wish(m, "tick", why);

	/* the host that it came from carries that move, and is about to end it */
	for (i = 0; rc == VTPMCTL_FAILED && i < DONE_S * 10 && is_ending(m); i++) {
		usleep(100000);
		rc = migrate_wish(m, "tick", why);
	}
	if (!rc && i && migrate_is(m, "here")) {
		text[0] = '\0';
		return migrate_wish(m, "begin", text);
	}
	if (rc || !migrate_is(m, "owned")) {
		/* of an earlier handover, which is not to be told, or cancelled, as this one */
		m->state[0] = m->why[0] = '\0';
		return refused;
	}
	peerlink_close(m->link);
	m->link = NULL;
	if (migrate_connect(m, m->peer, &lost) || carry(m, why, &lost) ||
	    !migrate_is(m, "here"))
		return VTPMCTL_FAILED;
	peerlink_close(m->link);
	m->link = NULL;
	if (migrate_connect(m, m->host, e))
		return VTPMCTL_FAILED;
	text[0] = '\0';
	return migrate_wish(m, "begin", text);
}

static bool is_own_host(const struct migrate *m)
{
	const struct hostconf *own = &m->conf;
	struct pool_host h;

	return own->srk_handle && poolfile_find(&m->file, m->host, &h) &&
	       h.srk.n == sizeof(own->srk_name) &&
	       !memcmp(h.srk.p, own->srk_name, h.srk.n);
}

static int find_guest(struct migrate *m)
{
	int rc = xlguest_find(m);

	m->said = rc != VTPMCTL_OK;
	return rc;
}

/* Another process may move the guest of that name: this one goes on when it is done, and has not. */
static int lock_guest(struct migrate *m, const char *guest, struct error *e)
{
	int rc = lock_source(m, 0, e);

	if (rc && m->busy) {
		peerlink_close(m->link);
		m->link = NULL;
		*e = (struct error){.cause = CAUSE_NONE};
		rc = lock_source(m, OTHER_S, e);
	}
	if (rc)
		return rc;
	m->name = guest;
	rc = find_guest(m);
	if (!rc && !m->link && migrate_connect(m, m->host, e))
		return VTPMCTL_FAILED;
	return rc;
}

static int begin_migrate(struct migrate *m, char text[CLIENT_TEXT], struct error *e)
{
	const char *guest = m->name;
	int rc;

	/* what keeps this host from all others, or from that one, is told before anything is
	 * begun */
	if (migrate_own(m, NULL, e) || migrate_connect(m, m->host, e))
		return VTPMCTL_FAILED;
	rc = find_guest(m);
	if (!rc)
		rc = m->with_guest ? lock_guest(m, guest, e) : lock_source(m, LOCK_S, e);
	if (!rc) {
		rc = migrate_wish(m, "begin", text);
		if (rc)
			rc = begin_after_done(m, rc, text, e);
	}
	return rc ? rc : carry(m, text, e);
}

static int run_migrate(struct migrate *m, char text[CLIENT_TEXT], struct error *e)
{
	int rc;

	/* with a connection they are there */
	if (!m->link && migrate_load(m, e))
		return VTPMCTL_FAILED;
	if (m->forget)
		return migrate_forget(m, text, e);
	if (!m->goes_on && is_own_host(m))
		return error_set(e, VTPMCTL_FAILED, CAUSE_PEER,
				 "%s is this host, by its storage key: name another one",
				 m->host);
	rc = m->goes_on ? continue_migrate(m, text, e) : begin_migrate(m, text, e);
	if (!m->said && !m->busy && !m->take)
		give_up(m, rc);
	return rc;
}

int migrate_go_on(struct migrate *m, bool quietly)
{
	struct error e = {.cause = CAUSE_NONE};
	char text[CLIENT_TEXT] = "";
	int rc;

	m->quietly = quietly;
	rc = run_migrate(m, text, &e);
	if (!m->said && !(m->busy && m->goes_on) && !(rc && quietly))
		rc = say(m, rc, text, &e);
	migrate_end(m);
	return rc;
}

int migrate_main(int argc, char **argv)
{
	struct migrate m = {
		.socket = CLIENT_SOCKET, .config = HOSTCONF_PATH, .keys = MIGRATE_KEYS};
	struct error e = {.cause = CAUSE_NONE};
	char text[CLIENT_TEXT] = "";
	int rc;

	args_parse_or_exit(&command, argc, argv, &m);
	if ((m.goes_on != NULL) + (m.host != NULL) + (m.evacuate != NULL) +
			    (m.forget != NULL) + m.moved !=
		    1 ||
	    ((m.back || m.take) && !m.goes_on) || (m.back && m.take) ||
	    (m.yes && !m.take && !m.forget) || (m.jobs && !m.evacuate)) {
		fprintf(stderr,
			"vtpmctl: migrate takes GUEST and HOST, or --evacuate HOST, or "
			"--continue NAME, or --moved, or --forget UUID; `vtpmctl migrate "
			"--help` says more\n");
		return VTPMCTL_USAGE;
	}
	if (m.evacuate)
		return evacuate_run(&m);
	if (m.moved)
		return migrate_list_moved(&m);
	rc = run_migrate(&m, text, &e);
	if (!m.said)
		rc = say(&m, rc, text, &e);
	migrate_end(&m);
	return rc;
}
