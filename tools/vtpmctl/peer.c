/* SPDX-License-Identifier: Apache-2.0 */
/* vtpmctl peer: the hosts to which vTPMs may be moved. */
#include "lib/crypt.h"
#include "lib/text.h"
#include "lib/tpm2/duplicate.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/policykey.h"
#include "tools/vtpmctl/poolfile.h"
#include "tools/vtpmctl/poollist.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct peer {
	const char *name, *address, *ak, *srk, *pcrs, *manager, *kernel, *policy_key;
	const char *srk_public, *config;

	struct hostconf conf;
	struct poolfile file;
	EVP_PKEY *key;
	uint8_t out[POOL_MAX];
	struct cursor w;
};

#define CONFIG_OPTION OPTION_TEXT("config", struct peer, config, "FILE", HOSTCONF_PATH)
#define KEY_OPTION                                                 \
	OPTION_TEXT("policy-key", struct peer, policy_key, "FILE", \
		    "that of `host init`, which signs the pool")

static const struct args_option add_options[] = {
	OPTION_TEXT("address", struct peer, address, "HOST:PORT",
		    "where `migrate-receive` listens there"),
	OPTION_TEXT("ak", struct peer, ak, "HEX", "Name of its attestation key"),
	OPTION_TEXT("srk", struct peer, srk, "HEX", "Name of its storage key"),
	OPTION_TEXT("srk-public", struct peer, srk_public, "HEX",
		    "the key itself: `peer self --pool-key`"),
	OPTION_TEXT("pcrs", struct peer, pcrs, "N=HEX,N=HEX",
		    "a boot state that it may be in: SHA-256 PCRs"),
	OPTION_TEXT("manager", struct peer, manager, "HEX",
		    "SHA-256 of a manager that vTPMs may run in"),
	OPTION_TEXT("kernel", struct peer, kernel, "HEX",
		    "the same of its stub domain's kernel"),
	KEY_OPTION,
	CONFIG_OPTION,
};

static const struct args_command add_command = {
	.usage = "peer add NAME --policy-key FILE [OPTIONS]",
	.about =
		"Adds a host to the pool, to which vTPMs may be moved; or, of one that is in it,\n"
		"another boot state, or another address.  --manager adds an image, for all.\n"
		"NAME is the one in its certificate.\n",
	.options = add_options,
	.option_count = ARRAY_SIZE(add_options),
	.word = "NAME",
	.word_offset = offsetof(struct peer, name),
};

static const struct args_option remove_options[] = {
	OPTION_TEXT("manager", struct peer, manager, "HEX",
		    "without NAME: the image of this manager"),
	OPTION_TEXT("kernel", struct peer, kernel, "HEX",
		    "and of this stub domain's kernel"),
	KEY_OPTION,
	CONFIG_OPTION,
};

static const struct args_command remove_command = {
	.usage = "peer remove NAME|--manager HEX [OPTIONS] --policy-key FILE",
	.about =
		"Removes a host from the pool, to which no vTPM is moved any more; or an "
		"image,\nin which none runs on another host any more.\n",
	.options = remove_options,
	.option_count = ARRAY_SIZE(remove_options),
	.word = "NAME",
	.word_offset = offsetof(struct peer, name),
	.words_optional = true,
};

static const struct args_option list_options[] = {CONFIG_OPTION};

static const struct args_command list_command = {
	.usage = "peer list [OPTIONS]",
	.about = "Lists the hosts of the pool, and the images, once their signature is "
		 "verified.\n",
	.options = list_options,
	.option_count = ARRAY_SIZE(list_options),
};

static void put_text(struct cursor *w, const char *text)
{
	poolfile_put_part(w, text, strlen(text));
}

static int put_hex(struct cursor *w, const char *hex, size_t min)
{
	uint8_t bytes[BINDING_NAME_MAX];
	size_t n = sizeof(bytes);

	if (hex_decode(hex, bytes, &n) || n < min)
		return -EINVAL;
	poolfile_put_part(w, bytes, n);
	return 0;
}

/* The image of --manager and --kernel, as the pool has it. */
static int read_image(const struct peer *p, struct cursor *w, struct error *e)
{
	int rc = 0;

	if (p->kernel)
		rc = put_hex(w, p->kernel, CRYPT_HASH_SIZE);
	else
		poolfile_put_part(w, NULL, 0);
	if (!rc)
		rc = put_hex(w, p->manager, CRYPT_HASH_SIZE);
	return rc || !cursor_ok(w)
		       ? error_set(e, -EINVAL, CAUSE_INTERNAL,
				   "--manager and --kernel take 64 hexadecimal "
				   "digits")
		       : 0;
}

static bool is_same(const struct cursor *from, const struct cursor *to,
		    const struct cursor *image)
{
	return image->len == to->pos - from->pos &&
	       !memcmp(image->rd, from->rd + from->pos, image->len);
}

/* Those that are there, without --manager's; adds: and that. */
static int put_images(struct peer *p, bool adds, struct error *e)
{
	struct cursor c = p->file.pool.image, at, one;
	uint8_t bytes[2 * (2 + BINDING_NAME_MAX)];
	size_t count = p->w.pos;
	struct pool_image image;
	unsigned int n = 0;
	bool found = false;
	int rc;

	one = cursor_writer(bytes, sizeof(bytes));
	rc = p->manager ? read_image(p, &one, e) : 0;
	if (rc)
		return rc;
	one = cursor_reader(bytes, one.pos);
	cursor_put_u8(&p->w, 0);
	for (at = c; p->file.bytes && pool_next_image(&c, &image); at = c) {
		if (p->manager && is_same(&at, &c, &one) && (found = true))
			continue;
		poolfile_put_same(&p->w, &at, &c);
		n++;
	}
	if (p->manager && !adds && !found)
		return error_set(e, -ENOENT, CAUSE_PEER,
				 "the pool has no such image: see `vtpmctl peer list`");
	if (p->manager && adds) {
		cursor_put(&p->w, one.rd, one.len);
		n++;
	}
	if (n > POOL_IMAGES_MAX)
		return error_set(e, -ENOSPC, CAUSE_INTERNAL,
				 "the pool has %d images at most: `vtpmctl peer remove "
				 "--manager` takes one out",
				 POOL_IMAGES_MAX);
	p->out[count] = (uint8_t)n;
	return 0;
}

static int put_state(struct cursor *w, const char *pcrs)
{
	struct approval a = {.pcrs = (1u << POOL_PCRS) - 1};
	uint32_t named = 0;
	const char *at;
	int n;

	if (approval_values_parse(pcrs, &a))
		return -EINVAL;
	/* which it has, approval_values_parse() does not tell */
	for (at = pcrs; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		named |= 1u << strtoul(at, NULL, 10);
	cursor_put_u8(w, (uint8_t)__builtin_popcount(named));
	for (n = 0; n < POOL_PCRS; n++)
		if (named & 1u << n) {
			cursor_put_u8(w, (uint8_t)n);
			cursor_put(w, a.value[n], APPROVAL_HASH_SIZE);
		}
	return 0;
}

/* Those of old, and that of --pcrs. */
static int put_states(struct peer *p, const struct pool_host *old, struct error *e)
{
	uint8_t bytes[1 + POOL_PCRS * (1 + APPROVAL_HASH_SIZE)];
	struct cursor one = cursor_writer(bytes, sizeof(bytes)), c, at;
	size_t count = p->w.pos;
	struct pool_state state;
	unsigned int n = 0;

	if (p->pcrs && put_state(&one, p->pcrs))
		return error_set(
			e, -EINVAL, CAUSE_INTERNAL,
			"--pcrs takes N=HEX,N=HEX with 64 hexadecimal digits each");
	one = cursor_reader(bytes, one.pos);
	cursor_put_u8(&p->w, 0);
	c = old ? old->state : cursor_reader(bytes, 0);
	for (at = c; n < (old ? old->states : 0) && pool_next_state(&c, &state); at = c) {
		poolfile_put_same(&p->w, &at, &c);
		n++;
		if (is_same(&at, &c, &one))
			one.len = 0;
	}
	if (one.len) {
		cursor_put(&p->w, one.rd, one.len);
		n++;
	}
	if (!n || n > POOL_STATES_MAX)
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "a host has 1 to %d boot states in the pool: --pcrs "
				 "gives one; remove the host first to begin anew",
				 POOL_STATES_MAX);
	p->out[count] = (uint8_t)n;
	return 0;
}

/* The host that is added; old: what it was, NULL: it is new. */
static int put_new_host(struct peer *p, const struct pool_host *old, struct error *e)
{
	put_text(&p->w, p->name);
	if (p->address)
		put_text(&p->w, p->address);
	else if (old)
		poolfile_put_part(&p->w, old->address.p, old->address.n);
	if (p->ak ? put_hex(&p->w, p->ak, 22)
		  : (poolfile_put_part(&p->w, old->ak.p, old->ak.n), 0))
		return error_set(e, -EINVAL, CAUSE_INTERNAL,
				 "--ak takes a Name, in hexadecimal: `vtpmctl host show` "
				 "there tells it");
	if (p->srk ? put_hex(&p->w, p->srk, 22)
		   : (poolfile_put_part(&p->w, old->srk.p, old->srk.n), 0))
		return error_set(
			e, -EINVAL, CAUSE_INTERNAL,
			"--srk takes a Name, in hexadecimal: `vtpmctl host show` "
			"there tells it");
	return put_states(p, old, e);
}

static bool is_named(const struct pool_host *h, const char *name)
{
	return name && h->name.n == strlen(name) && !memcmp(h->name.p, name, h->name.n);
}

static bool has_key(struct binding_part part, const char *hex)
{
	uint8_t bytes[BINDING_NAME_MAX];
	size_t n = sizeof(bytes);

	return hex && !hex_decode(hex, bytes, &n) && n == part.n &&
	       !memcmp(bytes, part.p, n);
}

/* A key of two hosts says that one of them was described on the other. */
static int refuse_key(const struct peer *p, const struct pool_host *h, struct error *e)
{
	bool ak = has_key(h->ak, p->ak);

	if (!ak && !has_key(h->srk, p->srk))
		return 0;
	return error_set(
		e, -EEXIST, CAUSE_PEER,
		"%s is the one of %.*s, which is in the list already, and each host has its "
		"own: `vtpmctl peer self %s` on the host %s prints them; when it is that "
		"machine under another name, `vtpmctl peer remove %.*s` first",
		ak ? "--ak" : "--srk", (int)h->name.n, (const char *)h->name.p, p->name,
		p->name, (int)h->name.n, (const char *)h->name.p);
}

static int put_hosts(struct peer *p, bool adds, struct error *e)
{
	struct cursor c = p->file.pool.host, at;
	size_t count = p->w.pos;
	struct pool_host h;
	unsigned int n = 0;
	bool found = false;
	int rc = adds && p->address ? poolfile_check_address(p->address, e) : 0;

	cursor_put_u8(&p->w, 0);
	for (at = c; !rc && p->file.bytes && pool_next_host(&c, &h); at = c) {
		if (!is_named(&h, p->name)) {
			rc = adds ? refuse_key(p, &h, e) : 0;
			poolfile_put_same(&p->w, &at, &c);
			n++;
			continue;
		}
		found = true;
		if (adds)
			rc = put_new_host(p, &h, e);
		n += adds;
	}
	if (!rc && adds && !found) {
		if (!p->address || !p->ak || !p->srk)
			return error_set(
				e, -EINVAL, CAUSE_INTERNAL,
				"the list of hosts has no %s yet, and a new host "
				"needs --address, --ak, --srk and --pcrs, as "
				"`vtpmctl peer self %s --address HOST:PORT` prints "
				"them there",
				p->name, p->name);
		rc = poolfile_check_name(p->name, e);
		if (!rc)
			rc = put_new_host(p, NULL, e);
		n++;
	}
	if (!rc && !adds && p->name && !found)
		rc = error_set(e, -ENOENT, CAUSE_PEER,
			       "the list of hosts has no %s: see `vtpmctl peer list`",
			       p->name);
	if (!rc && n > POOL_HOSTS_MAX)
		rc = error_set(e, -ENOSPC, CAUSE_INTERNAL,
			       "the pool has %d hosts at most: remove one",
			       POOL_HOSTS_MAX);
	p->out[count] = (uint8_t)n;
	return rc;
}

static int load_peer(struct peer *p, bool signs, struct error *e)
{
	int rc = hostfile_load(p->config, &p->conf, e);

	if (!rc)
		rc = poolfile_load(&p->file, p->config, &p->conf, e);
	if (!rc && signs)
		rc = poolfile_key(p->policy_key, &p->conf, &p->key, e);
	if (!rc && signs && p->conf.store.url)
		rc = poollist_take_newer(&p->file, &p->conf, e);
	return rc;
}

/* The storage key of --srk-public, which has to have the Name that stands in the list. */
static int read_public(const struct peer *p, uint8_t public[POOL_PUBLIC_MAX], size_t *len,
		       uint8_t name[TPM2_NAME_SIZE], struct error *e)
{
	struct tpm2_point point;
	size_t n = TPM2_NAME_SIZE;
	uint8_t want[TPM2_NAME_SIZE];
	struct pool_host h;

	if (hex_decode(p->srk_public, public, len) ||
	    tpm2_storage_point((struct tpm2_bytes){public, *len}, &point) ||
	    tpm2_name((struct tpm2_bytes){public, *len}, name))
		return error_set(
			e, -EINVAL, CAUSE_INTERNAL,
			"--srk-public takes a storage key on P-256, in hexadecimal: "
			"`vtpmctl peer self NAME --pool-key` there prints it");
	if (p->srk && !hex_decode(p->srk, want, &n) && n == sizeof(want))
		n = 0;
	else if (!p->srk && poolfile_find(&p->file, p->name, &h) &&
		 h.srk.n == sizeof(want))
		memcpy(want, h.srk.p, sizeof(want)), n = 0;
	if (n || memcmp(want, name, sizeof(want)) != 0)
		return error_set(
			e, -EINVAL, CAUSE_INTERNAL,
			"--srk-public is not the storage key whose Name is --srk");
	return 0;
}

/* The storage keys that are there, and --srk-public's in the place of one of its Name. */
static int put_storages(struct peer *p, struct error *e)
{
	struct cursor c = p->file.pool.storage, at;
	uint8_t public[POOL_PUBLIC_MAX], name[TPM2_NAME_SIZE];
	size_t count = p->w.pos, len = sizeof(public);
	struct pool_storage s;
	unsigned int n = 0;
	int rc = p->srk_public ? read_public(p, public, &len, name, e) : 0;

	if (rc)
		return rc;
	cursor_put_u8(&p->w, 0);
	for (at = c; p->file.bytes && pool_next_storage(&c, &s); at = c) {
		if (p->srk_public && s.name.n == sizeof(name) &&
		    !memcmp(s.name.p, name, sizeof(name)))
			continue;
		poolfile_put_same(&p->w, &at, &c);
		n++;
	}
	if (p->srk_public) {
		poolfile_put_part(&p->w, name, sizeof(name));
		poolfile_put_part(&p->w, public, len);
		n++;
	}
	if (n > POOL_HOSTS_MAX)
		return error_set(
			e, -ENOSPC, CAUSE_INTERNAL,
			"the pool has too many storage keys: `vtpmctl pool publish "
			"--new-key` drops those of hosts that are not in it");
	p->out[count] = (uint8_t)n;
	return 0;
}

/* What the second form of a list has more; the keys stay as they are. */
static int put_keys(struct peer *p, struct error *e)
{
	struct cursor c = p->file.pool.key, at = c;
	unsigned int n = 0;
	struct pool_key k;
	int rc = put_storages(p, e);

	if (rc)
		return rc;
	while (p->file.bytes && pool_next_key(&c, &k))
		n++;
	cursor_put_u8(&p->w, (uint8_t)n);
	if (n)
		poolfile_put_same(&p->w, &at, &c);
	return 0;
}

static int write_pool(struct peer *p, bool adds, struct error *e)
{
	bool has_keys = p->srk_public || (p->file.bytes && p->file.pool.has_keys);
	int rc;

	p->w = cursor_writer(p->out, sizeof(p->out));
	poolfile_begin(&p->w, &p->file, has_keys);
	rc = put_images(p, adds, e);
	if (!rc)
		rc = put_hosts(p, adds, e);
	if (!rc && has_keys)
		rc = put_keys(p, e);
	return rc ? rc : poolfile_sign(&p->file, p->out, &p->w, p->key, &p->conf, e);
}

static int run_peer(const struct args_command *command, bool adds, int argc, char **argv)
{
	struct peer *p = calloc(1, sizeof(*p));
	struct error e = {.cause = CAUSE_NONE};
	int rc;

	if (!p)
		return VTPMCTL_FAILED;
	p->config = HOSTCONF_PATH;
	args_parse_or_exit(command, argc, argv, p);
	if (!p->policy_key) {
		fprintf(stderr,
			"vtpmctl: --policy-key FILE is needed, which signs the list "
			"of hosts\n");
		free(p);
		return VTPMCTL_USAGE;
	}
	if (!adds && !p->name == !p->manager) {
		fprintf(stderr,
			"vtpmctl: peer remove takes NAME, or --manager for an image\n");
		free(p);
		return VTPMCTL_USAGE;
	}
	rc = load_peer(p, true, &e);
	if (!rc)
		rc = write_pool(p, adds, &e);
	EVP_PKEY_free(p->key);
	poolfile_free(&p->file);
	hostconf_free(&p->conf);
	free(p);
	return rc ? vtpmctl_fail(&e) : VTPMCTL_OK;
}

static int peer_add_main(int argc, char **argv)
{
	return run_peer(&add_command, true, argc, argv);
}

static int peer_remove_main(int argc, char **argv)
{
	return run_peer(&remove_command, false, argc, argv);
}

static void print_hex(const char *what, struct binding_part part)
{
	char hex[2 * BINDING_NAME_MAX + 1];

	hex_encode(part.p, part.n, hex);
	printf("  %-8s %s\n", what, part.n ? hex : "a process");
}

/* Not on stdout: a program counts the hosts there. */
static void tell_of_none(const struct poolfile *f)
{
	if (!f->bytes)
		fprintf(stderr,
			"There is no list of hosts, %s: `vtpmctl peer add` makes it, as "
			"`vtpmctl peer self NAME --address HOST:PORT` on each host "
			"prints it\n",
			f->path);
	else if (!f->pool.hosts)
		fprintf(stderr,
			"There is no host in the list, %s: `vtpmctl peer add`, as "
			"`vtpmctl peer self NAME --address HOST:PORT` on each host "
			"prints it\n",
			f->path);
}

static void print_pool(const struct pool *pool)
{
	struct cursor c = pool->host;
	struct pool_host h;
	struct pool_image image;
	struct pool_state s;
	int n;

	while (pool_next_host(&c, &h)) {
		printf("%.*s\n  %-8s %.*s\n", (int)h.name.n, (const char *)h.name.p,
		       "address", (int)h.address.n, (const char *)h.address.p);
		print_hex("ak", h.ak);
		print_hex("srk", h.srk);
		while (pool_next_state(&h.state, &s)) {
			printf("  %-8s", "pcrs");
			for (n = 0; n < POOL_PCRS; n++)
				if (s.pcrs & 1u << n) {
					char hex[2 * CRYPT_HASH_SIZE + 1];

					hex_encode(s.value[n], CRYPT_HASH_SIZE, hex);
					printf(" %d=%s", n, hex);
				}
			putchar('\n');
		}
	}
	for (c = pool->image; pool_next_image(&c, &image);) {
		puts("image");
		print_hex("manager", image.manager);
		print_hex("kernel", image.kernel);
	}
}

static int peer_list_main(int argc, char **argv)
{
	struct peer *p = calloc(1, sizeof(*p));
	struct error e = {.cause = CAUSE_NONE};
	int rc;

	if (!p)
		return VTPMCTL_FAILED;
	p->config = HOSTCONF_PATH;
	args_parse_or_exit(&list_command, argc, argv, p);
	rc = load_peer(p, false, &e);
	if (!rc && p->file.bytes)
		print_pool(&p->file.pool);
	if (!rc)
		tell_of_none(&p->file);
	poolfile_free(&p->file);
	hostconf_free(&p->conf);
	free(p);
	return rc ? vtpmctl_fail(&e) : VTPMCTL_OK;
}

int peer_main(int argc, char **argv)
{
	static const struct vtpmctl_command commands[] = {
		{"add", "add a host, a boot state of it, or an image", peer_add_main},
		{"list", "the hosts, their boot states, the images", peer_list_main},
		{"remove", "remove a host, or an image", peer_remove_main},
		{"self", "what other hosts have to be told of this one", peer_self_main},
	};

	return group_main("peer", commands, ARRAY_SIZE(commands), argc, argv);
}
