/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtpmctl pool init, join, publish, leave: which pool this host is in.  That stands in
 * host.json, and who is in the pool in the list of hosts that the policy key has signed
 * (lib/pool.h): at the pool's key "pool" in etcd, and, where it is signed, beside host.json.
 */
#include "lib/text.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/etcdask.h"
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/pool_join.h"
#include "tools/vtpmctl/poolfile.h"
#include "tools/vtpmctl/poolkeys.h"
#include "tools/vtpmctl/poollist.h"
#include "tools/vtpmctl/tpm.h"
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmd/etcd/where.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct join {
	const char *url, *ca, *cert, *key, *config, *socket;
	bool force;
	struct poolkeys_wish keys;

	struct hostconf conf;
	struct hostconf_store old;
	struct poolfile file;
	struct etcdask *etcd;
	struct etcdask_value list; /* as etcd has it */
	uint32_t dropped;	   /* poollist_dropped_key() of what the pool has */
};

#define STORE_OPTIONS                                                                  \
	OPTION_TEXT("store", struct join, url, "URL", "etcd://HOST:PORT,.../POOL"),    \
		OPTION_TEXT("store-ca", struct join, ca, "FILE",                       \
			    "who signs certificates of etcd's members, PEM"),          \
		OPTION_TEXT("store-cert", struct join, cert, "FILE",                   \
			    "this host's certificate, with its name as CN"),           \
		OPTION_TEXT("store-key", struct join, key, "FILE", "its private key"), \
		OPTION_TEXT("config", struct join, config, "FILE", HOSTCONF_PATH),     \
		CLIENT_SOCKET_OPTION(struct join)

static const struct args_option store_options[] = {STORE_OPTIONS};

#define POLICY_KEY_OPTION                                               \
	OPTION_TEXT("policy-key", struct join, keys.policy_key, "FILE", \
		    "of `host init`: makes the pool's key"),            \
		OPTION_TEXT("tcti", struct join, keys.tcti, "TCTI",     \
			    "the TPM, device:/dev/tpmrm0")

static const struct args_option init_options[] = {POLICY_KEY_OPTION, STORE_OPTIONS};

static const struct args_command init_command = {
	.usage = "pool init --store URL OPTIONS",
	.about =
		"Makes a pool in etcd of the hosts in the signed list (`vtpmctl peer`), and\n"
		"takes this host into it: its vTPMs are there when vtpmd is restarted.\n",
	.options = init_options,
	.option_count = ARRAY_SIZE(init_options),
};

static const struct args_command join_command = {
	.usage = "pool join --store URL OPTIONS",
	.about =
		"Takes this host into a pool in etcd, whose list of hosts has it: its vTPMs\n"
		"are there when vtpmd is restarted.  Once more: other addresses, other files.\n",
	.options = store_options,
	.option_count = ARRAY_SIZE(store_options),
};

static const struct args_option publish_options[] = {
	POLICY_KEY_OPTION,
	OPTION_FLAG("new-key", struct join, keys.new_key,
		    "a new one though no host has left"),
	OPTION_FLAG("forget-keys", struct join, keys.forget,
		    "drop those before the newest"),
	OPTION_TEXT("config", struct join, config, "FILE", HOSTCONF_PATH),
	CLIENT_SOCKET_OPTION(struct join),
};

static const struct args_command publish_command = {
	.usage = "pool publish [OPTIONS]",
	.about =
		"Puts the list of hosts that was signed here (`vtpmctl peer add`, `peer\n"
		"remove`) into the pool's etcd, for all hosts.  With --policy-key it gives the\n"
		"pool's key to hosts that have come, and makes a new one when one has left.\n",
	.options = publish_options,
	.option_count = ARRAY_SIZE(publish_options),
};

static const struct args_option leave_options[] = {
	OPTION_FLAG("force", struct join, force,
		    "vtpmd does not answer, and no vTPM runs here"),
	OPTION_TEXT("config", struct join, config, "FILE", HOSTCONF_PATH),
	CLIENT_SOCKET_OPTION(struct join),
};

static const struct args_command leave_command = {
	.usage = "pool leave [OPTIONS]",
	.about =
		"Has this host keep its vTPMs in its folder again, once vtpmd is restarted.\n"
		"Refused while vTPMs of the pool run here.\n",
	.options = leave_options,
	.option_count = ARRAY_SIZE(leave_options),
};

/* -- this host --------------------------------------------------------------------- */

static int load_conf(struct join *j, struct error *e)
{
	int rc = hostfile_load(j->config, &j->conf, e);

	if (rc)
		return rc;
	j->old = j->conf.store;
	memset(&j->conf.store, 0, sizeof(j->conf.store));
	if (!j->conf.ak_handle)
		return error_set(
			e, -ENOENT, CAUSE_PEER,
			"this host has no attestation key, by which a pool's list of hosts "
			"knows it: `vtpmctl host init` makes one where there is a TPM");
	return 0;
}

static int take_file(const char *option, const char *path, char **out, struct error *e)
{
	*out = realpath(path, NULL);
	return *out ? 0
		    : error_set(e, -errno, CAUSE_NOT_CONFIGURED,
				"%s, of --%s, cannot be read: %s", path, option,
				strerror(errno));
}

static int take_options(struct join *j, struct error *e)
{
	struct hostconf_store *s = &j->conf.store;
	int rc = take_file("store-ca", j->ca, &s->ca, e);

	if (!rc)
		rc = take_file("store-cert", j->cert, &s->cert, e);
	if (!rc)
		rc = take_file("store-key", j->key, &s->key, e);
	if (rc)
		return rc;
	s->url = strdup(j->url);
	return s->url ? 0 : error_set(e, -ENOMEM, CAUSE_INTERNAL, "there is no memory");
}

static const char *pool_of(const char *url)
{
	const char *slash = strrchr(url, '/');

	return slash ? slash + 1 : url;
}

static bool is_up(const json_t *vtpm)
{
	static const char *const words[] = {"creating", "starting", "running",
					    "stopping"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(client_text(vtpm, "state"), words[i]))
			return true;
	return false;
}

/* What a move has brought, or is to take, is in the store in which that began. */
static int refuse_moving(const json_t *vtpm, struct error *e)
{
	const json_t *handover = json_object_get(vtpm, "handover");
	const char *name = client_text(vtpm, "name");

	if (!json_is_object(handover))
		return 0;
	return error_set(
		e, -EBUSY, CAUSE_INTERNAL,
		"the vTPM %s is in a move with %s (%s): let that end, by `vtpmctl "
		"migrate --continue %s` if nobody goes on with it, and repeat this",
		name, client_text(handover, "peer"), client_text(handover, "step"), name);
}

/* Whether vTPMs run here, or move: *e says which.  -ENOTCONN: vtpmd does not answer. */
static int find_running(struct join *j, const char *next, struct error *e)
{
	char text[CLIENT_TEXT];
	json_t *reply, *v;
	int rc = 0;
	size_t i;

	if (client_try(j->socket, client_request("list", NULL), &reply, text))
		return -ENOTCONN;
	json_array_foreach(json_object_get(reply, "vtpms"), i, v)
	{
		if (!rc)
			rc = refuse_moving(v, e);
		if (!rc && is_up(v))
			rc = error_set(e, -EBUSY, CAUSE_INTERNAL,
				       "the vTPM %s runs here, and the store of a vTPM "
				       "that runs does not change: %s, and repeat this",
				       client_text(v, "name"), next);
	}
	json_decref(reply);
	return rc;
}

/* Of which pool the vtpmd that runs is; "": of none, or it does not answer. */
static void ask_pool(const struct join *j, char pool[CLIENT_TEXT])
{
	char text[CLIENT_TEXT];
	json_t *reply;

	pool[0] = '\0';
	if (client_try(j->socket, client_request("pool", NULL), &reply, text))
		return;
	snprintf(pool, CLIENT_TEXT, "%s", client_text(reply, "pool"));
	json_decref(reply);
}

static int check_other_pool(const struct join *j, struct error *e)
{
	char prefix[WHERE_PREFIX_MAX];
	int rc = where_prefix(j->url, prefix, e);

	if (rc)
		return rc;
	if (!j->old.url || !strcmp(pool_of(j->old.url), pool_of(j->url)))
		return 0;
	return error_set(
		e, -EEXIST, CAUSE_NOT_CONFIGURED,
		"this host is in the pool %s already: `vtpmctl pool leave` before "
		"it joins another",
		pool_of(j->old.url));
}

/* The vTPMs that run stay where they are: with another store vtpmd would not know them. */
static int check_here(struct join *j, struct error *e)
{
	char pool[CLIENT_TEXT];
	int rc;

	ask_pool(j, pool);
	if (!strcmp(pool, pool_of(j->url)))
		return 0;
	rc = find_running(j, "`vtpmctl stop` it", e);
	return rc == -ENOTCONN ? 0 : rc;
}

/* -- the list ------------------------------------------------------------------------ */

/* Whether the list names this host, by the CN of its certificate and its TPM's keys. */
static int find_self(const struct join *j, const struct pool *pool, const char *where,
		     struct error *e)
{
	const char *name = etcdask_host(j->etcd);
	struct cursor c = pool->host;
	struct pool_host h;

	while (pool_next_host(&c, &h)) {
		if (h.name.n != strlen(name) || memcmp(h.name.p, name, h.name.n) != 0)
			continue;
		if (h.ak.n == sizeof(j->conf.ak_name) &&
		    h.srk.n == sizeof(j->conf.srk_name) &&
		    !memcmp(h.ak.p, j->conf.ak_name, h.ak.n) &&
		    !memcmp(h.srk.p, j->conf.srk_name, h.srk.n))
			return 0;
		return error_set(
			e, -EACCES, CAUSE_PEER,
			"the list of hosts %s has other keys of the host %s, the CN of "
			"--store-cert, than this host's TPM has: give this host's own "
			"certificate, or sign its keys (`vtpmctl peer self %s` prints how)",
			where, name, name);
	}
	return error_set(
		e, -EACCES, CAUSE_PEER,
		"the list of hosts %s has no host %s, which is the CN of --store-cert: "
		"`vtpmctl peer self %s --address HOST:PORT --pool-key` here prints the `peer "
		"add` that signs it in%s",
		where, name, name,
		j->list.buf ? ", and `vtpmctl pool publish` there puts the list into etcd"
			    : "");
}

static int load_file(struct join *j, struct error *e)
{
	int rc = poolfile_load(&j->file, j->config, &j->conf, e);

	if (!rc && !j->file.bytes)
		rc = error_set(
			e, -ENOENT, CAUSE_PEER,
			"there is no list of hosts, %s: `vtpmctl peer self NAME --address "
			"HOST:PORT --pool-key` prints, on each host, the `peer add` that "
			"signs it in",
			j->file.path);
	return rc;
}

/* That of init: etcd has none yet. */
static int init_list(struct join *j, struct error *e)
{
	int rc = load_file(j, e);

	if (!rc)
		rc = find_self(j, &j->file.pool, j->file.path, e);
	if (!rc)
		rc = etcdask_get(j->etcd, POOL_LIST_KEY, &j->list, e);
	if (!rc && j->list.buf)
		rc = error_set(
			e, -EEXIST, CAUSE_PEER,
			"the pool %s is there: `vtpmctl pool join` takes this host "
			"into it, or give another name in --store",
			etcdask_pool(j->etcd));
	return rc;
}

/* That of join: etcd has it, and it is signed by the key that this host pins. */
static int join_list(struct join *j, struct error *e)
{
	struct pool pool;
	int rc = etcdask_get(j->etcd, POOL_LIST_KEY, &j->list, e);

	if (rc)
		return rc;
	if (!j->list.buf)
		return error_set(e, -ENOENT, CAUSE_PEER,
				 "there is no pool %s in this etcd: see the name in "
				 "--store; `vtpmctl pool init`, on one host, makes it",
				 etcdask_pool(j->etcd));
	if (pool_open(j->list.buf, j->list.len, j->conf.policy_key,
		      sizeof(j->conf.policy_key), &pool))
		return error_set(
			e, -EACCES, CAUSE_PEER,
			"the list of hosts of the pool %s is not signed by this host's "
			"policy key: all hosts of a pool are set up with one "
			"(`vtpmctl host init --policy-key FILE`)",
			etcdask_pool(j->etcd));
	return find_self(j, &pool, "in etcd", e);
}

static int put_list(struct join *j, struct error *e)
{
	int rc = etcdask_put(j->etcd, POOL_LIST_KEY, j->list.mod, j->file.bytes,
			     j->file.len, e);

	if (rc == -EEXIST && !e->text[0])
		return error_set(
			e, rc, CAUSE_PEER,
			"another host has put a list of hosts into etcd meanwhile: "
			"repeat this");
	return rc;
}

/* -- the commands --------------------------------------------------------------------- */

static void free_join(struct join *j)
{
	etcdask_close(j->etcd);
	poolfile_free(&j->file);
	free(j->list.buf);
	hostconf_free(&j->conf);
	j->conf.store = j->old;
	hostconf_drop_store(&j->conf);
	free(j);
}

/* Makes the pool, if it is to be made; then host.json says that this host is in it. */
static int change_pool(struct join *j, bool makes, struct error *e)
{
	bool changed;
	int rc = makes ? poolkeys_update(&j->file, j->config, &j->conf, &j->keys,
					 &changed, e)
		       : 0;

	if (!rc && makes)
		rc = put_list(j, e);
	if (rc)
		return rc;
	rc = hostfile_write(j->config, &j->conf, e);
	if (rc && makes)
		fprintf(stderr,
			"The pool was made, and this host is not in it yet: `vtpmctl pool "
			"join` once that is mended.\n");
	return rc;
}

/* Everything is looked at before anything is changed. */
static int enter_pool(struct join *j, bool makes, struct error *e)
{
	int rc = load_conf(j, e);

	if (!rc)
		rc = take_options(j, e);
	if (!rc)
		rc = check_other_pool(j, e);
	if (!rc)
		rc = etcdask_open(&j->conf.store, &j->etcd, e);
	if (!rc)
		rc = etcdask_rights(j->etcd, e);
	if (!rc)
		rc = makes ? init_list(j, e) : join_list(j, e);
	if (!rc)
		rc = check_here(j, e);
	return rc ? rc : change_pool(j, makes, e);
}

static void say_missing(const struct pool *pool)
{
	struct pool_key newest;
	char names[512];

	if (!pool_newest_key(pool, &newest)) {
		fprintf(stderr,
			"The pool has no key, as the list has no storage key of a host, and "
			"vTPMs of policy host\nopen on one host alone: `vtpmctl peer self "
			"NAME --pool-key` on each prints the `peer add`,\nthen `pool publish "
			"--policy-key FILE`.\n");
		return;
	}
	poolkeys_missing(pool, names, sizeof(names));
	if (names[0])
		fprintf(stderr,
			"Without the pool's key, so that they open no vTPM with a slot of "
			"it:%s.\n`vtpmctl peer self NAME --pool-key` there prints the `peer "
			"add`, then `pool publish`.\n",
			names);
}

/* vtpmd.service has PrivateTmp and ProtectHome. */
static void say_unseen(const char *path)
{
	static const char *const hidden[] = {"/tmp/", "/var/tmp/", "/home/", "/root/",
					     "/run/user/"};

	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		if (!strncmp(path, hidden[i], strlen(hidden[i])))
			fprintf(stderr,
				"vtpmd.service sees no %s, as it has no files below %s of the "
				"host's: move it to /etc/xen-vtpm, and `vtpmctl pool join` once "
				"more.\n",
				path, hidden[i]);
}

static void say_entered(const struct join *j)
{
	const struct hostconf_store *s = &j->conf.store;

	say_unseen(s->ca);
	say_unseen(s->cert);
	say_unseen(s->key);
	fprintf(stderr,
		"This host is %s in the pool %s, once vtpmd is restarted: `systemctl restart "
		"vtpmd`.\n"
		"vTPMs in its folder stay there, and are not started, until it leaves the "
		"pool, or\n`vtpmctl pool move` takes them into it.\n",
		etcdask_host(j->etcd), etcdask_pool(j->etcd));
}

static int run_enter(const struct args_command *command, bool makes, int argc,
		     char **argv)
{
	struct join *j = calloc(1, sizeof(*j));
	struct error e = {.cause = CAUSE_NONE};
	int rc;

	if (!j)
		return VTPMCTL_FAILED;
	j->config = HOSTCONF_PATH;
	j->socket = CLIENT_SOCKET;
	j->keys.tcti = TPM_TCTI;
	args_parse_or_exit(command, argc, argv, j);
	if (!j->url || !j->ca || !j->cert || !j->key) {
		fprintf(stderr, "vtpmctl: --store, --store-ca, --store-cert and "
				"--store-key go together\n");
		free(j);
		return VTPMCTL_USAGE;
	}
	rc = enter_pool(j, makes, &e);
	if (!rc)
		say_entered(j);
	if (!rc && makes)
		say_missing(&j->file.pool);
	free_join(j);
	return rc ? vtpmctl_fail(&e) : VTPMCTL_OK;
}

int pool_init_main(int argc, char **argv)
{
	return run_enter(&init_command, true, argc, argv);
}

int pool_join_main(int argc, char **argv)
{
	return run_enter(&join_command, false, argc, argv);
}

/* In a pool, as host.json has it: *e says how to get into one. */
static int need_pool(struct join *j, struct error *e)
{
	int rc = load_conf(j, e);

	if (!rc && !j->old.url)
		rc = error_set(
			e, -ENOENT, CAUSE_NOT_CONFIGURED,
			"this host is in no pool: `vtpmctl pool join` takes it into "
			"one");
	return rc;
}

/* What etcd has counts if it is signed, as in tools/vtpmd/move_pool.c. */
static int check_newer(const struct join *j, bool *same, struct error *e)
{
	struct pool there;

	*same = false;
	if (!j->list.buf || pool_open(j->list.buf, j->list.len, j->conf.policy_key,
				      sizeof(j->conf.policy_key), &there))
		return 0;
	*same = there.number == j->file.pool.number;
	if (there.number <= j->file.pool.number)
		return 0;
	return error_set(
		e, -ESTALE, CAUSE_PEER,
		"the list of hosts in etcd is newer than %s, which may lack a host or have "
		"one that was taken out: publish where the newest was signed, or sign here "
		"what is missing (`vtpmctl peer add`)",
		j->file.path);
}

/* Of etcd's list; and of the one that vtpmd has kept, when etcd has none, or an older one. */
static void find_dropped(struct join *j)
{
	struct pool there = {.number = 0};
	struct poolfile kept;

	if (j->list.buf && !pool_open(j->list.buf, j->list.len, j->conf.policy_key,
				      sizeof(j->conf.policy_key), &there))
		j->dropped = poollist_dropped_key(&j->file, &there);
	if (poollist_read_kept(&kept, j->socket, &j->conf))
		return;
	if (kept.pool.number > there.number && !j->dropped)
		j->dropped = poollist_dropped_key(&j->file, &kept.pool);
	poolfile_free(&kept);
}

/* A list that was begun anew would have all vTPMs of the pool lose their key slots. */
static int check_dropped(struct join *j, struct error *e)
{
	find_dropped(j);
	if (!j->dropped || j->keys.forget)
		return 0;
	return error_set(
		e, -EEXIST, CAUSE_PEER,
		"%s does not have version %u of the pool's key, which the pool's newest list "
		"has, and vTPMs may need: move the file away and sign here what is to change "
		"(`vtpmctl peer add` or `peer remove`), which begins with etcd's list then, "
		"and publish that; --forget-keys, when no vTPM needs that key",
		j->file.path, (unsigned int)j->dropped);
}

/* The version of the pool's key that stays when older ones are forgotten; 0: none. */
static uint32_t staying_version(const struct join *j)
{
	struct pool_key k;

	if (!pool_newest_key(&j->file.pool, &k) || k.version == j->dropped)
		return 0;
	return k.version;
}

/* What other keys still open is lost with them. */
static int check_forget(struct join *j, struct error *e)
{
	char text[CLIENT_TEXT];
	json_int_t version = 0;
	json_t *reply, *one;
	int rc = 0;
	size_t i;

	if (!j->keys.forget)
		return 0;
	if (client_try(j->socket, client_request("pool", NULL), &reply, text))
		return error_set(
			e, -ENOTCONN, CAUSE_INTERNAL,
			"vtpmd does not answer at %s, and knows which vTPMs need an older "
			"key: start it",
			j->socket);
	json_array_foreach(json_object_get(json_object_get(reply, "key"), "vtpms"), i,
			   one)
	{
		version = json_integer_value(json_object_get(one, "version"));
		if (!rc && version != (json_int_t)staying_version(j))
			rc = error_set(
				e, -EBUSY, CAUSE_PEER,
				"the key slot of the vTPM %s was made with version %lld of "
				"the pool's key: start it once, and repeat this",
				json_string_value(
					json_array_get(json_object_get(one, "vtpms"), 0)),
				(long long)version);
	}
	json_decref(reply);
	return rc;
}

static int publish(struct join *j, bool *same, struct error *e)
{
	bool changed = false;
	int rc = need_pool(j, e);

	if (!rc)
		rc = load_file(j, e);
	if (!rc)
		rc = etcdask_open(&j->old, &j->etcd, e);
	if (!rc)
		rc = etcdask_get(j->etcd, POOL_LIST_KEY, &j->list, e);
	if (!rc)
		rc = check_newer(j, same, e);
	if (!rc)
		rc = check_dropped(j, e);
	if (!rc)
		rc = check_forget(j, e);
	if (!rc)
		rc = poolkeys_update(&j->file, j->config, &j->conf, &j->keys, &changed,
				     e);
	*same = *same && !changed;
	return rc || *same ? rc : put_list(j, e);
}

int pool_publish_main(int argc, char **argv)
{
	struct join *j = calloc(1, sizeof(*j));
	struct error e = {.cause = CAUSE_NONE};
	bool same = false;
	int rc;

	if (!j)
		return VTPMCTL_FAILED;
	j->config = HOSTCONF_PATH;
	j->socket = CLIENT_SOCKET;
	j->keys.tcti = TPM_TCTI;
	args_parse_or_exit(&publish_command, argc, argv, j);
	rc = publish(j, &same, &e);
	if (!rc)
		fprintf(stderr,
			same ? "The pool %s has this list already.\n"
			     : "The pool %s has this list of hosts now.\n",
			etcdask_pool(j->etcd));
	if (!rc)
		say_missing(&j->file.pool);
	free_join(j);
	return rc ? vtpmctl_fail(&e) : VTPMCTL_OK;
}

static int check_leave(struct join *j, struct error *e)
{
	char pool[CLIENT_TEXT];
	int rc = find_running(j, "`vtpmctl stop` it", e);

	if (rc == -ENOTCONN && j->force)
		return 0;
	if (rc == -ENOTCONN)
		return error_set(
			e, rc, CAUSE_INTERNAL,
			"vtpmd does not answer at %s, and knows whether vTPMs of the pool "
			"run here: start it, or, when none does, give --force",
			j->socket);
	if (!rc)
		return 0;
	ask_pool(j, pool);
	if (strcmp(pool, pool_of(j->old.url)) != 0) {
		/* they are not the pool's */
		e->text[0] = '\0';
		return 0;
	}
	return rc;
}

int pool_leave_main(int argc, char **argv)
{
	struct join *j = calloc(1, sizeof(*j));
	struct error e = {.cause = CAUSE_NONE};
	int rc;

	if (!j)
		return VTPMCTL_FAILED;
	j->config = HOSTCONF_PATH;
	j->socket = CLIENT_SOCKET;
	args_parse_or_exit(&leave_command, argc, argv, j);
	rc = need_pool(j, &e);
	if (!rc)
		rc = check_leave(j, &e);
	if (!rc)
		rc = hostfile_write(j->config, &j->conf, &e);
	if (!rc)
		fprintf(stderr,
			"This host is out of the pool %s, once vtpmd is restarted: "
			"`systemctl restart vtpmd`.\n"
			"Unless that was done, `vtpmctl peer remove` and `vtpmctl pool publish`, "
			"where the list is signed, take it out of the list of hosts.\n",
			pool_of(j->old.url));
	free_join(j);
	return rc ? vtpmctl_fail(&e) : VTPMCTL_OK;
}
