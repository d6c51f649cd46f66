/* SPDX-License-Identifier: Apache-2.0 */
/* What moves between hosts need here: the list of hosts, this host's certificate for others, and
 * `vtpmctl migrate-receive`. */
#include "tools/vtpmctl/doctor.h"
#include "lib/text.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/xlmigrate.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAYS_LEFT  30
#define RECEIVER_S 8 /* more than migrate_receive.c waits for its vtpmd */

/* The files beside host.json, as doctor has no option for each. */
struct beside {
	char ca[PATH_MAX], cert[PATH_MAX], key[PATH_MAX];
	struct migrate m;
};

/* In a pool vtpmd has that of etcd, which counts when it is newer. */
static void take_pool_list(struct doctor *d, struct poolfile *f)
{
	char text[CLIENT_TEXT];
	const char *hex;
	json_t *reply;

	if (doctor_ask(d, client_request("pool-list", NULL), &reply, text))
		return;
	hex = json_string_value(json_object_get(reply, "list"));
	if (hex)
		(void)!poolfile_take(f, hex, &d->conf);
	json_decref(reply);
}

/* In a pool that `vtpmctl pool` has set up there is one in etcd, without which nothing starts. */
static enum finding say_no_list(struct doctor *d, const struct poolfile *f)
{
	if (!d->conf.store.url)
		return doctor_say(d, SKIPPED,
				  "there is no list of hosts (`vtpmctl peer list`): "
				  "nothing moves to other hosts, or here");
	if (d->silent[0])
		return doctor_say(
			d, SKIPPED,
			"vtpmd, which has the pool's list of hosts from etcd, does "
			"not answer, and there is no %s",
			f->path);
	return doctor_say(
		d, WARN,
		"there is no list of hosts, neither %s nor one in the pool's etcd that this "
		"host's policy key signed: bring it back by `vtpmctl pool init` where the "
		"newest is",
		f->path);
}

/* FINE: d has the list.  SKIPPED, WARN, BAD: it was said. */
static enum finding load_list(struct doctor *d, struct poolfile *f)
{
	struct error e = {.cause = CAUSE_NONE};

	if (!d->configured)
		return doctor_say(d, SKIPPED, "not configured");
	if (poolfile_load(f, d->config, &d->conf, &e))
		return doctor_say(d, BAD, "%s", e.text);
	take_pool_list(d, f);
	return f->bytes ? FINE : say_no_list(d, f);
}

/* Whether the host is in a state that the list approves for it. */
static bool is_state_listed(struct doctor *d, const struct pool_host *h)
{
	uint8_t now[APPROVAL_PCRS][APPROVAL_HASH_SIZE];
	struct error e = {.cause = CAUSE_NONE};
	struct cursor c = h->state;
	struct pool_state s;
	bool same = false;
	int n;

	while (!same && pool_next_state(&c, &s)) {
		same = !tpm_pcrs(&d->tpm, s.pcrs, now, &e);
		for (n = 0; n < POOL_PCRS; n++)
			if (s.pcrs >> n & 1)
				same &= !memcmp(now[n], s.value[n], APPROVAL_HASH_SIZE);
	}
	return same;
}

static enum finding judge_list(struct doctor *d, const struct poolfile *f)
{
	struct pool_host h;

	if (!poolfile_own(f, &d->conf, &h))
		return doctor_say(
			d, WARN,
			"the list of %u hosts does not have this one: `vtpmctl peer self "
			"NAME --address HOST:PORT`, and the `peer add` that it prints",
			f->pool.hosts);
	if (d->tpm_pinned && !is_state_listed(d, &h))
		return doctor_say(
			d, WARN,
			"the list of hosts does not approve the present boot state of "
			"this one, %.*s, and no host gives it a vTPM: `vtpmctl peer self "
			"%.*s --address %.*s`, and the `peer add` that it prints",
			(int)h.name.n, (const char *)h.name.p, (int)h.name.n,
			(const char *)h.name.p, (int)h.address.n,
			(const char *)h.address.p);
	return doctor_say(d, FINE, "the list has %u host%s, of which this one is %.*s",
			  f->pool.hosts, f->pool.hosts == 1 ? "" : "s", (int)h.name.n,
			  (const char *)h.name.p);
}

/* BAD: each move is refused, as vtpmd has used a newer list. */
static enum finding judge_age(struct doctor *d)
{
	char text[CLIENT_TEXT];
	enum finding found = FINE;
	const char *why;
	json_t *reply;

	/* another check says that vtpmd does not answer */
	if (doctor_ask(d, json_pack("{s:s, s:s}", "op", "move", "event", "list"), &reply,
		       text))
		return FINE;
	why = client_text(reply, "old_list");
	if (why[0])
		found = doctor_say(d, BAD, "%s", why);
	json_decref(reply);
	return found;
}

enum finding doctor_peers(struct doctor *d)
{
	struct poolfile f;
	enum finding found = load_list(d, &f);

	if (found != FINE)
		return found;
	found = judge_age(d);
	if (found == FINE)
		found = judge_list(d, &f);
	poolfile_free(&f);
	return found;
}

/* FINE: there is a list, and a certificate. */
static enum finding load_beside(struct doctor *d, struct beside *b)
{
	enum finding found = load_list(d, &b->m.file);

	if (found != FINE)
		return found;
	if (file_beside(d->config, "peer-ca.pem", b->ca, sizeof(b->ca)) ||
	    file_beside(d->config, "peer-cert.pem", b->cert, sizeof(b->cert)) ||
	    file_beside(d->config, "peer-key.pem", b->key, sizeof(b->key)) ||
	    access(b->cert, F_OK)) {
		poolfile_free(&b->m.file);
		return doctor_say(d, SKIPPED,
				  "there is no certificate for other hosts, %s: nothing "
				  "moves to them, or here",
				  b->cert);
	}
	b->m.keys = (struct peerlink_keys){b->ca, b->cert, b->key};
	b->m.conf = d->conf;
	return FINE;
}

enum finding doctor_peer_cert(struct doctor *d)
{
	struct error e = {.cause = CAUSE_NONE};
	struct beside b = {.ca = ""};
	enum finding found = load_beside(d, &b);
	int days;

	if (found != FINE)
		return found;
	if (migrate_own(&b.m, &days, &e) || peerlink_verify(&b.m.keys, &e))
		found = doctor_say(d, BAD, "%s", e.text);
	else if (days < DAYS_LEFT)
		found = doctor_say(
			d, WARN,
			"%s, this host's certificate for other hosts, expires in %d "
			"day%s: have a new one made (docs/migration.md)",
			b.cert, days, days == 1 ? "" : "s");
	else
		found = doctor_say(
			d, FINE,
			"this host's certificate for other hosts is good for %d days",
			days);
	poolfile_free(&b.m.file);
	return found;
}

/* As another host would connect there. */
static int ask_receiver(const struct beside *b, const char *address, const char *name,
			struct error *e)
{
	struct peerlink_item *item = calloc(1, sizeof(*item));
	struct peerlink *link = NULL;
	int rc = item ? peerlink_connect_soon(&b->m.keys, address, name, RECEIVER_S,
					      &link, e)
		      : -ENOMEM;

	if (!rc)
		rc = peerlink_send_word(link, XLWORD(XLWORD_IS_HEARD, 0), e);
	if (!rc)
		rc = peerlink_recv_item(link, item, e);
	if (item)
		json_decref(item->messages);
	free(item);
	peerlink_close(link);
	return rc;
}

static bool is_unheard(int rc)
{
	return rc == -ECONNREFUSED || rc == -EHOSTUNREACH || rc == -ENETUNREACH ||
	       rc == -EHOSTDOWN || rc == -EADDRNOTAVAIL;
}

static enum finding judge_receiver(struct doctor *d, const struct beside *b,
				   const struct pool_host *h)
{
	struct error e = {.cause = CAUSE_NONE};
	char address[ADDRESS_MAX], name[POOL_NAME_MAX + 1];
	int rc;

	snprintf(address, sizeof(address), "%.*s", (int)h->address.n,
		 (const char *)h->address.p);
	snprintf(name, sizeof(name), "%.*s", (int)h->name.n, (const char *)h->name.p);
	rc = ask_receiver(b, address, name, &e);
	if (!rc)
		return doctor_say(d, FINE, "`vtpmctl migrate-receive` is heard at %s",
				  address);
	if (is_unheard(rc))
		return doctor_say(
			d, WARN,
			"nothing is heard at %s, this host's address in the list of hosts "
			"(%s): nothing moves here, and no move that was interrupted is gone "
			"on with: `systemctl enable --now xen-vtpm-migrate-receive`",
			address, strerror(-rc));
	return doctor_say(
		d, WARN,
		"what is heard at %s, this host's address in the list of hosts, takes "
		"nothing from other hosts: %s; `systemctl restart "
		"xen-vtpm-migrate-receive`, and see `ss -ltnp` and `journalctl -u "
		"xen-vtpm-migrate-receive`",
		address, e.text);
}

enum finding doctor_receive(struct doctor *d)
{
	struct beside b = {.ca = ""};
	enum finding found = load_beside(d, &b);
	struct pool_host h;

	if (found != FINE)
		return found;
	/* which has it refuse all */
	if (d->silent[0])
		found = doctor_say(d, SKIPPED, "vtpmd does not answer");
	else if (poolfile_own(&b.m.file, &d->conf, &h))
		found = judge_receiver(d, &b, &h);
	else
		found = doctor_say(d, SKIPPED,
				   "the list of hosts does not have this one's address");
	poolfile_free(&b.m.file);
	return found;
}
