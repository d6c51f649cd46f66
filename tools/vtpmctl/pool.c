/* SPDX-License-Identifier: Apache-2.0 */
/* vtpmctl pool: the hosts that share a store in etcd, and what that is like. */
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/pool_join.h"
#include "tools/vtpmctl/table.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <stdio.h>
#include <string.h>

struct pool_args {
	const char *socket;
	bool json, yes;
};

static const struct args_option show_options[] = {
	OPTION_FLAG("json", struct pool_args, json, "as a JSON object"),
	CLIENT_SOCKET_OPTION(struct pool_args),
};

static const struct args_command show_command = {
	.usage = "pool show [OPTIONS]",
	.about =
		"Tells what this host sees of its pool: etcd's members and how full they are,\n"
		"hosts that are there, those in the signed list, how far etcd's data were seen.\n",
	.options = show_options,
	.option_count = ARRAY_SIZE(show_options),
};

static const struct args_option accept_options[] = {
	OPTION_FLAG("yes", struct pool_args, yes,
		    "that etcd's data as they are now are meant"),
	CLIENT_SOCKET_OPTION(struct pool_args),
};

static const struct args_command accept_command = {
	.usage = "pool accept --yes [OPTIONS]",
	.about =
		"Has this host take etcd's data as they are, though it knew newer ones, or\n"
		"another cluster: after etcd was restored from a backup.  What was written\n"
		"since then is lost; vTPMs that run here are ended.  For each host of the pool.\n",
	.options = accept_options,
	.option_count = ARRAY_SIZE(accept_options),
};

static json_int_t get_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void print_members(const json_t *members)
{
	const json_t *m;
	size_t i;

	json_array_foreach(members, i, m)
	{
		char size[TABLE_CELL], quota[TABLE_CELL];

		if (!json_is_true(json_object_get(m, "up"))) {
			printf("member      %s: %s\n", client_text(m, "address"),
			       client_text(m, "error"));
			continue;
		}
		table_count((double)get_number(m, "size"), size);
		table_count((double)get_number(m, "quota"), quota);
		printf("member      %s: etcd %s, %s of %s bytes%s%s%s\n",
		       client_text(m, "address"), client_text(m, "version"), size, quota,
		       json_is_true(json_object_get(m, "leads")) ? ", leads" : "",
		       client_text(m, "alarms")[0] ? ", ALARM: " : "",
		       client_text(m, "alarms"));
	}
}

static size_t count_up(const json_t *members)
{
	const json_t *m;
	size_t i, n = 0;

	json_array_foreach(members, i, m)
	{
		n += json_is_true(json_object_get(m, "up"));
	}
	return n;
}

/* Members that do not run, or do not reach each other: those say that they are not available. */
static void print_majority(const json_t *p)
{
	const json_t *members = json_object_get(p, "members");
	size_t up = count_up(members), all = json_array_size(members);

	if (client_text(p, "trouble")[0] && 2 * up <= all)
		printf("majority    NONE: %zu of %zu members answer; start the others\n",
		       up, all);
}

static void print_list(const json_t *names)
{
	const json_t *name;
	size_t i;

	if (json_is_array(names))
		printf("list        ");
	json_array_foreach(names, i, name)
		printf("%s%s", i ? ", " : "", json_string_value(name));
	if (json_is_array(names))
		putchar('\n');
}

static void print_folder(const json_t *names)
{
	const json_t *name;
	size_t i;

	json_array_foreach(names, i, name)
		printf("in folder   %s: not in the pool, `vtpmctl pool move`\n",
		       json_string_value(name));
}

static bool has_lease(const json_t *p, const char *host)
{
	const json_t *h;
	size_t i;

	json_array_foreach(json_object_get(p, "hosts"), i, h)
	{
		if (!strcmp(client_text(h, "name"), host))
			return true;
	}
	return false;
}

/* Without a list each host is. */
static bool is_listed(const json_t *p, const char *host)
{
	const json_t *list = json_object_get(p, "list"), *name;
	size_t i;

	json_array_foreach(list, i, name)
	{
		if (!strcmp(json_string_value(name), host))
			return true;
	}
	return !json_is_array(list);
}

/* Those whose leases run, and those of the list whose do not. */
static void print_hosts(const json_t *p)
{
	const json_t *h;
	size_t i;

	json_array_foreach(json_object_get(p, "hosts"), i, h)
		printf("host        %s: %lld vTPMs%s\n", client_text(h, "name"),
		       (long long)get_number(h, "vtpms"),
		       is_listed(p, client_text(h, "name")) ? "" : ", not in the list");
	/* without etcd it is not known */
	if (client_text(p, "trouble")[0] || json_is_true(json_object_get(p, "put_back")))
		return;
	json_array_foreach(json_object_get(p, "list"), i, h)
	{
		if (!has_lease(p, json_string_value(h)))
			printf("host        %s: NO LEASE: its vtpmd does not run, or does not "
			       "reach etcd; what it had can be started on other hosts\n",
			       json_string_value(h));
	}
}

/* The other hosts, and what they have seen. */
static void print_witnesses(const json_t *p)
{
	const json_t *hosts = json_object_get(p, "witnesses"), *h;
	size_t i;

	if (json_array_size(hosts))
		printf("witnessed   %lld vTPMs by all hosts: they start whichever is lost\n",
		       (long long)get_number(p, "witnessed"));

	json_array_foreach(hosts, i, h)
	{
		if (!json_is_true(json_object_get(h, "answers"))) {
			printf("witness     %s: SILENT: %s\n", client_text(h, "name"),
			       client_text(h, "why")[0] ? client_text(h, "why")
							: "not asked yet");
			continue;
		}
		printf("witness     %s: has seen revision %lld, %s%s\n",
		       client_text(h, "name"), (long long)get_number(h, "revision"),
		       client_text(h, "at"),
		       json_is_true(json_object_get(h, "ahead"))
			       ? ": AHEAD of what etcd has, or of another cluster"
			       : "");
	}
}

/* The pool's key, and which vTPMs have slots of older ones. */
static void print_key(const json_t *key)
{
	json_int_t newest = get_number(key, "version"), version;
	const json_t *one, *name;
	size_t i, n;

	if (!json_is_object(key))
		return;
	if (newest)
		printf("key         version %lld%s\n", (long long)newest,
		       json_is_true(json_object_get(key, "here"))
			       ? ""
			       : ", which this host does not have: `vtpmctl pool publish`");
	else
		printf("key         none in the list of hosts\n");
	json_array_foreach(json_object_get(key, "vtpms"), i, one)
	{
		version = get_number(one, "version");
		printf("key slots   %zu of version %lld",
		       json_array_size(json_object_get(one, "vtpms")),
		       (long long)version);
		if (!json_is_true(json_object_get(one, "listed")))
			printf(", which the LIST OF HOSTS LACKS, so that no host opens them:");
		else if (!json_is_true(json_object_get(one, "here")))
			printf(", which this host does not have, until each has been started "
			       "on one that has:");
		else if (version < newest)
			printf(", which hosts that have left can open until each has been "
			       "started:");
		json_array_foreach(json_object_get(one, "vtpms"), n, name)
		{
			if (version < newest ||
			    !json_is_true(json_object_get(one, "here")))
				printf(" %s", json_string_value(name));
		}
		putchar('\n');
	}
}

static void print_pool_state(const json_t *p)
{
	printf("pool        %s\n", client_text(p, "pool"));
	printf("this host   %s\n", client_text(p, "host"));
	if (json_is_true(json_object_get(p, "put_back")))
		printf("state       PUT BACK: revision %lld was seen, and it is %lld now, or "
		       "another cluster; bring the newest back, or `vtpmctl pool accept "
		       "--yes`\n",
		       (long long)get_number(p, "revision"),
		       (long long)get_number(p, "found"));
	else if (client_text(p, "trouble")[0])
		printf("state       not ready: %s\n", client_text(p, "trouble"));
	else if (client_text(p, "refused")[0])
		printf("state       REFUSED: %s\n", client_text(p, "refused"));
	else
		printf("state       ready, at %s\n", client_text(p, "member"));
	printf("cluster     %s\n", client_text(p, "cluster_id"));
	printf("revision    %lld\n", (long long)get_number(p, "revision"));
	printf("lease       %.1f s\n", (double)get_number(p, "lease_ms") / 1000);
	print_list(json_object_get(p, "list"));
	if (json_is_true(json_object_get(p, "unpublished")))
		printf("unpublished this list was signed here, and other hosts do not have it: "
		       "`vtpmctl pool publish`\n");
	print_key(json_object_get(p, "key"));
	print_members(json_object_get(p, "members"));
	print_majority(p);
	print_hosts(p);
	print_witnesses(p);
	print_folder(json_object_get(p, "folder"));
}

static int pool_show_main(int argc, char **argv)
{
	struct pool_args a = {.socket = CLIENT_SOCKET};
	json_t *reply;
	int status;

	args_parse_or_exit(&show_command, argc, argv, &a);
	status = client_call(a.socket, client_request("pool", NULL), &reply);
	if (status)
		return status;
	if (a.json) {
		json_object_del(reply, "ok");
		json_dumpf(reply, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_pool_state(reply);
	}
	json_decref(reply);
	return fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}

static int pool_accept_main(int argc, char **argv)
{
	struct pool_args a = {.socket = CLIENT_SOCKET};
	json_t *reply;
	int status;

	args_parse_or_exit(&accept_command, argc, argv, &a);
	if (!a.yes) {
		fprintf(stderr, "vtpmctl: what was written since these data is lost: "
				"--yes says that they are meant\n");
		return VTPMCTL_USAGE;
	}
	status = client_call(a.socket, client_request("pool-accept", NULL), &reply);
	if (!status) {
		fprintf(stderr,
			"vtpmctl: accepted on this host; accept on all hosts of the "
			"pool before anything is started, and once more on each if "
			"something was\n");
		json_decref(reply);
	}
	return status;
}

int pool_main(int argc, char **argv)
{
	static const struct vtpmctl_command commands[] = {
		{"accept", "take etcd's data as they are, after a restore of etcd",
		 pool_accept_main},
		{"init", "make a pool in etcd, and take this host into it",
		 pool_init_main},
		{"join", "take this host into a pool", pool_join_main},
		{"leave", "keep vTPMs in this host's folder again", pool_leave_main},
		{"move", "between this host's folder and the pool", pool_move_main},
		{"publish", "put the signed list of hosts into etcd", pool_publish_main},
		{"show", "members of etcd, hosts, leases, how far etcd's data are",
		 pool_show_main},
	};

	return group_main("pool", commands, ARRAY_SIZE(commands), argc, argv);
}
