/* SPDX-License-Identifier: Apache-2.0 */
/* A pool of hosts: etcd, and whether each host of it could start each of its vTPMs. */
#include "tools/vtpmctl/doctor.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/etcdask.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/kmskey.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NO_POOL	 "the store is a folder, and in no pool's etcd"
#define NO_VTPMD "vtpmd does not answer"

/* Above this share of etcd's quota there is still time to do something. */
#define QUOTA_WARN 0.75

#define DAY_S	  86400
#define DAYS_LEFT 30 /* of a certificate */

static double number_of(const json_t *object, const char *key)
{
	return (double)json_integer_value(json_object_get(object, key));
}

/* BAD or WARN with a text; FINE: nothing is to be said of this member. */
static enum finding judge_member(struct doctor *d, const json_t *m)
{
	const char *at = client_text(m, "address");

	if (!json_is_true(json_object_get(m, "up")))
		return doctor_say(d, WARN,
				  "the member %s of etcd does not answer: %s; start it",
				  at, client_text(m, "error"));
	if (strstr(client_text(m, "alarms"), "NOSPACE"))
		return doctor_say(
			d, BAD,
			"etcd takes nothing more, and guests that write wait (%s): "
			"`etcdctl compact`, `etcdctl defrag`, `etcdctl alarm disarm`, and "
			"see --auto-compaction-mode",
			client_text(m, "alarms"));
	if (client_text(m, "alarms")[0])
		return doctor_say(d, BAD, "the member %s of etcd says: %s", at,
				  client_text(m, "alarms"));
	if (number_of(m, "size") > QUOTA_WARN * number_of(m, "quota"))
		return doctor_say(
			d, WARN,
			"etcd at %s has %.0f MiB of a quota of %.0f, and at its end "
			"guests that write wait: see --auto-compaction-mode=revision, "
			"`etcdctl compact`, `etcdctl defrag`",
			at, number_of(m, "size") / 1048576,
			number_of(m, "quota") / 1048576);
	return FINE;
}

static bool is_leased_host(const json_t *pool, const char *host)
{
	const json_t *h;
	size_t i;

	json_array_foreach(json_object_get(pool, "hosts"), i, h)
	{
		if (!strcmp(client_text(h, "name"), host))
			return true;
	}
	return false;
}

/* FINE: of the other hosts nothing is to be said. */
static enum finding judge_witnesses(struct doctor *d, const json_t *pool)
{
	const json_t *hosts = json_object_get(pool, "witnesses"), *h;
	size_t i;

	json_array_foreach(hosts, i, h)
	{
		if (json_is_true(json_object_get(h, "ahead")))
			return doctor_say(
				d, BAD,
				"the host %s has seen more of etcd's data than there are, "
				"or another cluster: they were put back; bring the newest "
				"back, or `vtpmctl pool accept --yes` there",
				client_text(h, "name"));
		if (!is_leased_host(pool, client_text(h, "name")))
			return doctor_say(
				d, WARN,
				"the host %s of the list has no lease in etcd, as its vtpmd "
				"does not run or does not reach etcd: start it there, or, "
				"when that host is lost for good, `vtpmctl peer remove %s` "
				"and `vtpmctl pool publish`",
				client_text(h, "name"), client_text(h, "name"));
		if (!client_text(h, "why")[0])
			continue;
		return doctor_say(
			d, WARN,
			"the host %s does not say what it has seen of the pool's vTPMs, "
			"so that older data of etcd may not be noticed here (%s): "
			"`systemctl enable --now xen-vtpm-migrate-receive` there, and "
			"peer-cert.pem beside host.json here (docs/pool.md)",
			client_text(h, "name"), client_text(h, "why"));
	}
	return FINE;
}

/* FINE: etcd lets this host's user do all that a host does; or vtpmd has its pool from options, and
 * their files are not known. */
static enum finding judge_rights(struct doctor *d)
{
	struct error e = {.cause = CAUSE_NONE};
	struct etcdask *etcd = NULL;
	int rc;

	if (!d->conf.store.url)
		return FINE;
	rc = etcdask_open(&d->conf.store, &etcd, &e);
	if (!rc)
		rc = etcdask_rights(etcd, &e);
	etcdask_close(etcd);
	return rc ? doctor_say(d, BAD, "%s", e.text) : FINE;
}

/* BAD: this host cannot use its pool. */
static enum finding judge_trouble(struct doctor *d, const json_t *pool,
				  const json_t *members)
{
	const char *why = client_text(pool, "trouble");
	const json_t *m;
	size_t i, up = 0;

	if (!why[0])
		return FINE;
	json_array_foreach(members, i, m) up += json_is_true(json_object_get(m, "up"));
	if (2 * up > json_array_size(members))
		return doctor_say(d, BAD, "this host cannot use its pool: %s", why);
	return doctor_say(
		d, BAD,
		"this host cannot use its pool, as no majority of etcd's members answers it, "
		"%zu of %zu: %s; start the others",
		up, json_array_size(members), why);
}

static enum finding judge_pool(struct doctor *d, const json_t *pool)
{
	const json_t *members = json_object_get(pool, "members"), *m;
	enum finding worst = FINE, f;
	char text[sizeof(d->text)] = "";
	size_t i;

	if (json_is_true(json_object_get(pool, "put_back")))
		return doctor_say(
			d, BAD,
			"etcd's data were put back, or it is another cluster, and no vTPM "
			"is started or stored: bring the newest back and restart vtpmd, "
			"or `vtpmctl pool accept --yes`");
	f = judge_trouble(d, pool, members);
	if (f != FINE)
		return f;
	if (client_text(pool, "refused")[0])
		return doctor_say(d, BAD, "%s", client_text(pool, "refused"));
	json_array_foreach(members, i, m)
	{
		f = judge_member(d, m);
		if (f == BAD || (f == WARN && worst == FINE)) {
			worst = f;
			memcpy(text, d->text, sizeof(text));
		}
	}
	if (worst != FINE)
		return doctor_say(d, worst, "%s", text);
	f = judge_rights(d);
	if (f != FINE)
		return f;
	if (!json_is_array(json_object_get(pool, "list")))
		return doctor_say(
			d, WARN,
			"the pool has no signed list of hosts, so that each host that etcd "
			"lets in is in it, and none asks the others what they have seen: "
			"`vtpmctl pool init` (docs/pool.md)");
	f = judge_witnesses(d, pool);
	if (f != FINE)
		return f;
	return doctor_say(d, FINE,
			  "%zu members of etcd answer, none is full, and %zu other hosts "
			  "say what they have seen",
			  json_array_size(members),
			  json_array_size(json_object_get(pool, "witnesses")));
}

enum finding doctor_pool(struct doctor *d)
{
	char text[CLIENT_TEXT];
	enum finding f;
	json_t *reply;
	int status;

	status = doctor_ask(d, client_request("pool", NULL), &reply, text);
	if (status && status != VTPMCTL_NO_VTPMD && d->conf.store.url)
		return doctor_say(
			d, WARN,
			"host.json has a pool's etcd, and vtpmd keeps its vTPMs in a "
			"folder: `systemctl restart vtpmd`; or its option --store, which "
			"goes before that, is a folder");
	if (status)
		return doctor_say(d, SKIPPED,
				  status == VTPMCTL_NO_VTPMD ? NO_VTPMD : NO_POOL);
	f = judge_pool(d, reply);
	json_decref(reply);
	return f;
}

/* -- what is not in etcd yet --------------------------------------------------------------- */

static enum finding judge_left_over(struct doctor *d, const json_t *pool)
{
	const json_t *folder = json_object_get(pool, "folder");
	size_t n = json_array_size(folder);

	if (json_is_true(json_object_get(pool, "unpublished")))
		return doctor_say(
			d, WARN,
			"the list of hosts was signed here and not published, so that the other "
			"hosts have an older one, or none: `vtpmctl pool publish`");
	if (n)
		return doctor_say(
			d, WARN,
			"%zu vTPM%s in this host's folder and not in the pool, and %s neither "
			"started nor backed up (%s%s): `vtpmctl pool move --all`",
			n, n == 1 ? " is" : "s are", n == 1 ? "is" : "are",
			json_string_value(json_array_get(folder, 0)),
			n == 1 ? "" : ", ...");
	return doctor_say(
		d, FINE,
		"etcd has the newest list of hosts, and this host's folder no vTPM");
}

enum finding doctor_pool_list(struct doctor *d)
{
	char text[CLIENT_TEXT];
	enum finding f;
	json_t *reply;
	int status;

	status = doctor_ask(d, client_request("pool", NULL), &reply, text);
	if (status)
		return doctor_say(d, SKIPPED,
				  status == VTPMCTL_NO_VTPMD ? NO_VTPMD : NO_POOL);
	f = judge_left_over(d, reply);
	json_decref(reply);
	return f;
}

/* -- the certificate for etcd -------------------------------------------------------------- */

static enum finding judge_pool_cert(struct doctor *d, const char *path)
{
	struct error e = {.cause = CAUSE_NONE};
	char *pem = NULL, *subject = NULL;
	long long days;
	time_t expires;
	size_t len;

	if (file_read(path, &pem, &len, &e))
		return doctor_say(d, BAD, "%s", e.text);
	if (kmskey_describe(pem, &subject, &expires)) {
		free(pem);
		return doctor_say(
			d, BAD,
			"%s is no certificate, and this host's for etcd is to be "
			"there: put it back (docs/pool.md)",
			path);
	}
	free(pem);
	free(subject);
	days = ((long long)expires - (long long)time(NULL)) / DAY_S;
	if (expires <= time(NULL))
		return doctor_say(
			d, BAD,
			"%s, this host's certificate for etcd, has expired, and etcd ends "
			"each connection: put a new one of the same CN there (docs/pool.md)",
			path);
	if (days < DAYS_LEFT)
		return doctor_say(
			d, WARN,
			"%s, this host's certificate for etcd, expires in %lld day%s: put a "
			"new one of the same CN there (docs/pool.md)",
			path, days, days == 1 ? "" : "s");
	return doctor_say(d, FINE,
			  "this host's certificate for etcd is good for %lld days", days);
}

/* The one that vtpmd uses; when that does not run, as it ends without etcd, host.json's. */
enum finding doctor_pool_cert(struct doctor *d)
{
	char text[CLIENT_TEXT];
	enum finding f;
	json_t *reply;

	if (!doctor_ask(d, client_request("pool", NULL), &reply, text)) {
		f = client_text(reply, "cert")[0]
			    ? judge_pool_cert(d, client_text(reply, "cert"))
			    : doctor_say(d, SKIPPED, NO_POOL);
		json_decref(reply);
		return f;
	}
	if (d->conf.store.cert)
		return judge_pool_cert(d, d->conf.store.cert);
	return doctor_say(d, SKIPPED, NO_POOL);
}

/* -- key slots ------------------------------------------------------------------------- */

/* Names for a sentence: the first ones, and how many there are. */
struct names {
	char text[256];
	size_t count;
};

static void add_name(struct names *n, const char *name)
{
	size_t used = strlen(n->text);

	n->count++;
	if (used + strlen(name) + sizeof(", ...") < sizeof(n->text))
		snprintf(n->text + used, sizeof(n->text) - used, "%s%s", used ? ", " : "",
			 name);
	else if (used && n->text[used - 1] != '.')
		snprintf(n->text + used, sizeof(n->text) - used, ", ...");
}

/* By which version of the pool's key vTPMs have slots. */
struct key_needs {
	struct names lost; /* one that the list does not have */
	struct names shut; /* one that this host does not have */
	struct names
		older; /* one before the newest, which hosts that have left can open */
	json_int_t lost_version;
};

static void find_needs(const json_t *key, struct key_needs *needs)
{
	json_int_t newest = json_integer_value(json_object_get(key, "version")), version;
	const json_t *one, *name;
	struct names *to;
	size_t i, k;

	json_array_foreach(json_object_get(key, "vtpms"), i, one)
	{
		version = json_integer_value(json_object_get(one, "version"));
		to = NULL;
		if (!json_is_true(json_object_get(one, "listed"))) {
			to = &needs->lost;
			needs->lost_version = version;
		} else if (!json_is_true(json_object_get(one, "here"))) {
			to = &needs->shut;
		} else if (version < newest) {
			to = &needs->older;
		}
		json_array_foreach(json_object_get(one, "vtpms"), k, name)
		{
			if (to)
				add_name(to, json_string_value(name));
		}
	}
}

/* Whether one host alone opens it: none of its slots is the pool's or the KMS's alone. */
static bool is_of_one_host(const json_t *vtpm)
{
	const json_t *slots = json_object_get(vtpm, "slots"), *slot;
	bool of_host = false;
	size_t i;

	json_array_foreach(slots, i, slot)
	{
		const char *kind = json_string_value(slot);

		/* kms-get and the like open where theirs do */
		if (!strncmp(kind, "pool", 4) || !strncmp(kind, "kms", 3))
			return false;
		of_host |= !strncmp(kind, "host", 4) || !strcmp(kind, "tpm");
	}
	return of_host;
}

static int find_of_one_host(struct doctor *d, struct names *bound, char *text)
{
	const json_t *vtpm;
	json_t *reply;
	size_t i;

	if (doctor_ask(d, client_request("list", NULL), &reply, text))
		return -1;
	json_array_foreach(json_object_get(reply, "vtpms"), i, vtpm)
	{
		if (is_of_one_host(vtpm))
			add_name(bound, client_text(vtpm, "name"));
	}
	json_decref(reply);
	return 0;
}

static enum finding judge_pool_key(struct doctor *d, const json_t *key)
{
	struct key_needs needs = {.lost_version = 0};
	struct names bound = {.count = 0};
	char text[CLIENT_TEXT];

	if (find_of_one_host(d, &bound, text))
		return doctor_say(d, BAD, "%s", text);
	find_needs(key, &needs);
	if (needs.lost.count)
		return doctor_say(
			d, BAD,
			"no host opens %zu vTPM%s (%s), by key slots of version %lld of the "
			"pool's key, which the list of hosts does not have: bring back the "
			"list that has it, as from another host's copy, pool.list in the "
			"folder of its vtpmd (docs/pool.md)",
			needs.lost.count, needs.lost.count == 1 ? "" : "s",
			needs.lost.text, (long long)needs.lost_version);
	if (json_is_object(key) && !json_is_true(json_object_get(key, "here")))
		return doctor_say(
			d, WARN,
			"this host does not have the pool's key, version %.0f, and starts no "
			"vTPM with a slot of it: `vtpmctl peer self NAME --pool-key` prints "
			"the `peer add` for the host where the list is signed, then `vtpmctl "
			"pool publish` there",
			(double)json_integer_value(json_object_get(key, "version")));
	if (needs.shut.count)
		return doctor_say(
			d, WARN,
			"%zu vTPM%s not open on this host, which came after their key slots "
			"were made with an older version of the pool's key (%s): start each "
			"once on a host that has that version, or `vtpmctl rekey` it there",
			needs.shut.count, needs.shut.count == 1 ? " does" : "s do",
			needs.shut.text);
	if (needs.older.count)
		return doctor_say(
			d, WARN,
			"hosts that have left the pool can open %zu vTPM%s, by key slots of "
			"an older version of the pool's key (%s): start each once, or "
			"`vtpmctl rekey` it",
			needs.older.count, needs.older.count == 1 ? "" : "s",
			needs.older.text);
	if (bound.count)
		return doctor_say(
			d, WARN,
			"one host alone opens %zu vTPM%s, and no other starts %s when it dies "
			"(%s): %s",
			bound.count, bound.count == 1 ? "" : "s",
			bound.count == 1 ? "it" : "them", bound.text,
			json_is_object(key)
				? "start a vTPM of policy host there once, and it gets a "
				  "slot of the pool's; one of policy tpm stays as it is"
				: "the pool has no key (`vtpmctl pool publish --policy-key "
				  "FILE`)");
	if (!json_is_object(key))
		return doctor_say(d, FINE, "the pool has no key, and no vTPM needs one");
	return doctor_say(d, FINE,
			  "this host has the pool's key, and no vTPM an older one");
}

enum finding doctor_pool_key(struct doctor *d)
{
	char text[CLIENT_TEXT];
	enum finding f;
	json_t *reply;
	int status;

	status = doctor_ask(d, client_request("pool", NULL), &reply, text);
	if (status)
		return doctor_say(d, SKIPPED,
				  status == VTPMCTL_NO_VTPMD ? NO_VTPMD : NO_POOL);
	if (client_text(reply, "trouble")[0] || client_text(reply, "refused")[0])
		f = doctor_say(d, SKIPPED, "this host cannot use its pool");
	else
		f = judge_pool_key(d, json_object_get(reply, "key"));
	json_decref(reply);
	return f;
}
