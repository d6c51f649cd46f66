/* SPDX-License-Identifier: Apache-2.0 */
/* vtpmctl peer self: what the other hosts of a pool have to be told of this one. */
#include "lib/crypt.h"
#include "lib/hostconf.h"
#include "lib/pool.h"
#include "lib/text.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/file.h"
#include "tools/vtpmctl/hostfile.h"
#include "tools/vtpmctl/poolfile.h"
#include "tools/vtpmctl/tpm.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE_MAX (64u << 20)

struct self {
	const char *name, *address, *manager, *stubdom, *tcti, *config;
	bool process, pool_key;
	uint8_t srk_public[POOL_PUBLIC_MAX];
	size_t srk_public_len;

	struct hostconf conf;
	uint8_t srk_name[TPM_NAME_SIZE];
	uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE];
};

static const struct args_option options[] = {
	OPTION_TEXT("address", struct self, address, "HOST:PORT",
		    "where `migrate-receive` is to listen here"),
	OPTION_TEXT("manager", struct self, manager, "FILE",
		    "/usr/lib/xen-vtpm/vtpm-manager"),
	OPTION_TEXT("stubdom", struct self, stubdom, "FILE",
		    "/usr/lib/xen-vtpm/vtpm-stubdom"),
	OPTION_FLAG("process", struct self, process,
		    "the managers are processes, without stub domains"),
	OPTION_FLAG("pool-key", struct self, pool_key,
		    "with the storage key, for `pool publish`"),
	OPTION_TEXT("tcti", struct self, tcti, "TCTI", "the TPM, device:/dev/tpmrm0"),
	OPTION_TEXT("config", struct self, config, "FILE", HOSTCONF_PATH),
};

static const struct args_command command = {
	.usage = "peer self NAME --address HOST:PORT [OPTIONS]",
	.about =
		"Prints the `vtpmctl peer add` that tells another host of this one, with "
		"the boot\nstate that it is in now and the manager that it has.  NAME is the "
		"one in its\ncertificate.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.word = "NAME",
	.word_offset = offsetof(struct self, name),
};

/* The storage key itself, whose Name s has. */
static int read_storage_key(struct self *s, struct tpm *tpm, struct error *e)
{
	const struct tpm2_transport t = tpm_transport(tpm);
	struct tpm2_cmd c = {.transport = &t, .waits = true};
	uint8_t computed[TPM_NAME_SIZE];
	struct tpm2_bytes public, name;
	int rc = tpm2_read_public(&c, s->conf.srk_handle, &public, &name);

	if (rc)
		return hosttpm_result(&c, rc, e);
	if (public.n > sizeof(s->srk_public) || tpm2_name(public, computed) ||
	    memcmp(computed, s->srk_name, sizeof(computed)) != 0)
		return error_set(
			e, -EPERM, CAUSE_TPM_REPLACED,
			"this TPM is not the one that this host was set up with: "
			"see `vtpmctl host show`");
	memcpy(s->srk_public, public.p, public.n);
	s->srk_public_len = public.n;
	return 0;
}

static int read_tpm(struct self *s, struct error *e)
{
	struct tpm tpm;
	int rc = tpm_open(&tpm, s->tcti, e);

	if (!rc)
		rc = tpm_srk_find(&tpm, s->conf.srk_handle, s->srk_name, e);
	if (!rc)
		rc = tpm_pcrs(&tpm, s->conf.pcrs, s->value, e);
	if (!rc && s->pool_key)
		rc = read_storage_key(s, &tpm, e);
	tpm_close(&tpm);
	if (!rc && memcmp(s->srk_name, s->conf.srk_name, TPM_NAME_SIZE))
		rc = error_set(e, -EPERM, CAUSE_TPM_REPLACED,
			       "this TPM is not the one that this host was set up with: "
			       "see `vtpmctl host show`");
	return rc;
}

static int hash_file(const char *path, char hex[2 * CRYPT_HASH_SIZE + 1], struct error *e)
{
	uint8_t hash[CRYPT_HASH_SIZE];
	size_t len;
	char *text;
	int rc = file_read_most(path, IMAGE_MAX, &text, &len, e);

	if (rc)
		return rc;
	rc = crypt_sha256(&(struct crypt_part){(uint8_t *)text, len}, 1, hash);
	free(text);
	if (rc)
		return error_set(e, rc, CAUSE_INTERNAL, "cannot hash %s", path);
	hex_encode(hash, sizeof(hash), hex);
	return 0;
}

static int hash_stubdom(const struct self *s, char hex[2 * CRYPT_HASH_SIZE + 1],
			struct error *e)
{
	struct error why = {.cause = CAUSE_NONE};
	int rc = hash_file(s->stubdom, hex, &why);

	if (rc == -ENOENT)
		return error_set(
			e, rc, why.cause,
			"cannot read %s, the stub domain's kernel, which is not there: say "
			"--process if vTPMs are processes of domain 0 on this host; else "
			"install it (package xen-vtpm-stubdom), or name it by --stubdom",
			s->stubdom);
	return rc ? error_set(e, rc, why.cause, "%s", why.text) : 0;
}

static void print_hex(const char *what, const uint8_t *bytes, size_t len)
{
	char hex[2 * POOL_PUBLIC_MAX + 1];

	hex_encode(bytes, len, hex);
	printf(" \\\n    --%s %s", what, hex);
}

static void print_pcrs(const struct self *s)
{
	char hex[2 * APPROVAL_HASH_SIZE + 1], before = ' ';
	unsigned int n;

	printf(" \\\n    --pcrs");
	for (n = 0; n < APPROVAL_PCRS; n++) {
		if (!(s->conf.pcrs & 1u << n))
			continue;
		hex_encode(s->value[n], APPROVAL_HASH_SIZE, hex);
		printf("%c%u=%s", before, n, hex);
		before = ',';
	}
}

static int print_self(struct self *s, struct error *e)
{
	char manager[2 * CRYPT_HASH_SIZE + 1], kernel[2 * CRYPT_HASH_SIZE + 1] = "";
	int rc = poolfile_check_name(s->name, e);

	if (!rc)
		rc = poolfile_check_address(s->address, e);
	if (!rc)
		rc = hostfile_load(s->config, &s->conf, e);
	if (!rc && !s->conf.ak_handle)
		rc = error_set(
			e, -ENOENT, CAUSE_PEER,
			"this host has no attestation key, with which it proves its "
			"boot state: `vtpmctl host init` makes one where there is a "
			"TPM");
	if (!rc)
		rc = read_tpm(s, e);
	if (!rc)
		rc = hash_file(s->manager, manager, e);
	if (!rc && !s->process)
		rc = hash_stubdom(s, kernel, e);
	if (rc)
		return rc;
	printf("vtpmctl peer add %s --policy-key FILE --address %s", s->name, s->address);
	print_hex("ak", s->conf.ak_name, TPM_NAME_SIZE);
	print_hex("srk", s->srk_name, TPM_NAME_SIZE);
	if (s->pool_key)
		print_hex("srk-public", s->srk_public, s->srk_public_len);
	print_pcrs(s);
	printf(" \\\n    --manager %s", manager);
	if (kernel[0])
		printf(" \\\n    --kernel %s", kernel);
	putchar('\n');
	return 0;
}

int peer_self_main(int argc, char **argv)
{
	struct self *s = calloc(1, sizeof(*s));
	struct error e = {.cause = CAUSE_NONE};
	int rc;

	if (!s)
		return VTPMCTL_FAILED;
	s->config = HOSTCONF_PATH;
	s->manager = "/usr/lib/xen-vtpm/vtpm-manager";
	s->stubdom = "/usr/lib/xen-vtpm/vtpm-stubdom";
	s->tcti = TPM_TCTI;
	args_parse_or_exit(&command, argc, argv, s);
	if (!s->address) {
		fprintf(stderr, "vtpmctl: peer self needs --address HOST:PORT\n");
		free(s);
		return VTPMCTL_USAGE;
	}
	rc = print_self(s, &e);
	hostconf_free(&s->conf);
	free(s);
	return rc ? vtpmctl_fail(&e) : VTPMCTL_OK;
}
