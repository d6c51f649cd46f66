/* SPDX-License-Identifier: Apache-2.0 */
/* What vtpmd knows of vTPMs that have moved away, and an operator's forgetting one of them. */
#include "tools/vtpmctl/doctor.h"
#include "tools/vtpmctl/migrate.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Above this share of the limit there is still time to do something. */
#define RECORDS_WARN 0.75
#define WAITS_WARN_S 100 /* longer than a move, or a guest's xl, says nothing */

static json_t *list_moves(void)
{
	return json_pack("{s:s, s:s}", "op", "move", "event", "list");
}

int migrate_list_moved(const struct migrate *m)
{
	char text[CLIENT_TEXT];
	const json_t *one;
	json_t *reply;
	size_t i;
	int rc = client_try(m->socket, list_moves(), &reply, text);

	if (rc) {
		fprintf(stderr, "vtpmctl: %s\n", text);
		return rc;
	}
	printf("%-36s  %-16s  %-16s  %s\n", "UUID", "NAME", "HOST", "STATE");
	json_array_foreach(json_object_get(reply, "moves"), i, one)
	{
		if (!json_is_true(json_object_get(one, "here")))
			printf("%-36s  %-16s  %-16s  %s\n", client_text(one, "uuid"),
			       client_text(one, "name"), client_text(one, "peer"),
			       client_text(one, "state"));
	}
	json_decref(reply);
	return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}

/* What the other host may still wait for: that the move is over. */
static int tell_other(struct migrate *m, char text[CLIENT_TEXT], struct error *e)
{
	int rc = migrate_wish(m, "tick", text);

	if (rc || !json_array_size(m->out))
		return rc;
	if (!migrate_connect(m, m->peer, e))
		return migrate_exchange(m, text, e);
	*e = (struct error){.cause = CAUSE_NONE};
	if (!migrate_see_it_is_gone(m, e)) {
		*e = (struct error){.cause = CAUSE_NONE};
		return 0;
	}
	*e = (struct error){.cause = CAUSE_NONE};
	return error_set(
		e, VTPMCTL_FAILED, CAUSE_PEER,
		"%s is not forgotten: %s may not have heard that its move is over, "
		"and does not answer: start `vtpmctl migrate-receive` there; when "
		"all that it had is lost, `vtpmctl peer remove %s` first",
		m->forget, m->peer, m->peer);
}

/* Erases what is left here of one of which the other host, which answers, knows nothing any more. */
static int disown(struct migrate *m, char text[CLIENT_TEXT], struct error *e)
{
	int rc;

	if (!m->link)
		return error_set(
			e, VTPMCTL_FAILED, CAUSE_PEER,
			"%s is not forgotten: it may be on %s, which cannot be asked: when "
			"that is lost for good, `vtpmctl migrate --continue %s --take` has "
			"it here",
			m->forget, m->peer, m->forget);
	if (!m->yes)
		return error_set(
			e, VTPMCTL_FAILED, CAUSE_PEER,
			"%s is not forgotten: %s, to which it went, does not know of it any "
			"more, as when it went on from there; look for it on the other hosts "
			"(`vtpmctl list`), and when one has it, say --yes: what is left of it "
			"here is erased",
			m->forget, m->peer);
	rc = migrate_wish(m, "disown", text);
	if (!rc)
		fprintf(stderr, "%s: what was left of it here is erased\n", m->forget);
	return rc;
}

int migrate_forget(struct migrate *m, char text[CLIENT_TEXT], struct error *e)
{
	int rc;

	m->name = m->forget;
	rc = tell_other(m, text, e);
	if (rc)
		return rc;
	if (migrate_is(m, "released") || migrate_is(m, "doubt"))
		return disown(m, text, e);
	if (!m->yes)
		return error_set(
			e, VTPMCTL_FAILED, CAUSE_PEER,
			"%s is not forgotten: from then on nothing here says that it has "
			"moved to %s, and a backup of it that is restored here is a second "
			"one; when no such backup is left, or the vTPM was deleted there, say "
			"--yes",
			m->forget, m->peer[0] ? m->peer : "another host");
	return migrate_wish(m, "forget", text);
}

/* WARN: some wait for another host, and nobody goes on with them. */
static enum finding judge_waiting(struct doctor *d)
{
	const json_t *one, *first = NULL;
	char text[CLIENT_TEXT];
	json_int_t quiet;
	json_t *reply;
	size_t i, n = 0;

	if (doctor_ask(d, json_pack("{s:s, s:s}", "op", "move", "event", "waiting"),
		       &reply, text))
		return FINE;
	json_array_foreach(json_object_get(reply, "moves"), i, one)
	{
		quiet = json_integer_value(json_object_get(one, "quiet_s"));
		if (quiet >= 0 && quiet < WAITS_WARN_S)
			continue;
		first = first ? first : one;
		n++;
	}
	if (first)
		doctor_say(
			d, WARN,
			"%zu move%s wait%s for another host, as that of %s (%s) for %s: "
			"have `vtpmctl migrate-receive` run on both; `vtpmctl migrate "
			"--continue %s` asks at once, and says what keeps it",
			n, n == 1 ? "" : "s", n == 1 ? "s" : "",
			client_text(first, "name"), client_text(first, "state"),
			client_text(first, "peer"), client_text(first, "call"));
	json_decref(reply);
	return first ? WARN : FINE;
}

enum finding doctor_moves(struct doctor *d)
{
	char text[CLIENT_TEXT];
	json_int_t n, limit;
	json_t *reply;

	if (doctor_ask(d, list_moves(), &reply, text))
		return doctor_say(d, SKIPPED, "%s", text);
	n = json_integer_value(json_object_get(reply, "records"));
	limit = json_integer_value(json_object_get(reply, "limit"));
	json_decref(reply);
	if ((double)n > RECORDS_WARN * (double)limit)
		return doctor_say(
			d, WARN,
			"there are records of %lld vTPMs that moved, and from %lld on "
			"none moves any more: `vtpmctl migrate --moved` lists those that "
			"are elsewhere, `vtpmctl migrate --forget` forgets one",
			(long long)n, (long long)limit);
	if (judge_waiting(d) != FINE)
		return WARN;
	return doctor_say(d, FINE, "%lld of %lld records of vTPMs that moved",
			  (long long)n, (long long)limit);
}
