/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/doctor.h"
#include "tools/vtpmctl/args.h"
#include "tools/vtpmctl/client.h"
#include "tools/vtpmctl/vtpmctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STORE "/var/lib/xen-vtpm"

#define TEXT(field, NAME, VALUE, HELP)                                                 \
	{                                                                              \
		.name = NAME, .kind = ARGS_TEXT,                                       \
		.offset = offsetof(struct doctor, field), .value = VALUE, .help = HELP \
	}

static const struct args_option options[] = {
	{.name = "json",
	 .kind = ARGS_FLAG,
	 .offset = offsetof(struct doctor, json),
	 .help = "as a JSON array"},
	TEXT(tcti, "tcti", "TCTI", "the TPM, " TPM_TCTI),
	TEXT(config, "config", "FILE", HOSTCONF_PATH),
	TEXT(store, "store", "DIR", STORE),
	CLIENT_SOCKET_OPTION(struct doctor),
};

static const struct args_command command = {
	.usage = "doctor [OPTIONS]",
	.about =
		"Looks at all that vTPMs need on this host, and says what to do about what it\n"
		"finds.  Status 0: nothing is wrong (there may be warnings); 1: something is.\n",
	.options = options,
	.option_count = ARRAY_SIZE(options),
};

/* In this order: a later one uses what an earlier one opened. */
static const struct {
	const char *name;
	doctor_check *check;
} checks[] = {
	{"xen", doctor_xen},
	{"devices", doctor_devices},
	{"clock", doctor_clock},
	{"config", doctor_config},
	{"policy-key", doctor_policy_key},
	{"recovery", doctor_recovery},
	{"certificate", doctor_certificate},
	{"tpm", doctor_tpm},
	{"lockout", doctor_lockout},
	{"nv", doctor_nv},
	{"keys", doctor_keys},
	{"attestation", doctor_attest},
	{"kms", doctor_kms},
	{"store", doctor_store},
	{"leases", doctor_leases},
	{"anchor", doctor_anchor},
	{"vtpmd", doctor_vtpmd},
	{"xendomains", doctor_xendomains},
};

enum finding doctor_say(struct doctor *d, enum finding f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->text, sizeof(d->text), fmt, ap);
	va_end(ap);
	return f;
}

static const char *word(enum finding f)
{
	static const char *const words[] = {[FINE] = "ok",
					    [WARN] = "warning",
					    [BAD] = "wrong",
					    [SKIPPED] = "skipped"};

	return words[f];
}

/* Whether something is wrong. */
static bool examine(struct doctor *d)
{
	json_t *all = d->json ? json_array() : NULL;
	bool wrong = false;
	enum finding f;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(checks); i++) {
		f = checks[i].check(d);
		wrong |= f == BAD;
		if (d->json)
			json_array_append_new(all, json_pack("{s:s, s:s, s:s}", "check",
							     checks[i].name, "finding",
							     word(f), "text", d->text));
		else
			printf("%-11s  %-7s  %s\n", checks[i].name, word(f), d->text);
	}
	if (d->json) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(all);
	return wrong;
}

int doctor_main(int argc, char **argv)
{
	struct doctor d = {
		.config = HOSTCONF_PATH,
		.tcti = TPM_TCTI,
		.store = STORE,
		.socket = CLIENT_SOCKET,
	};
	enum args_result parsed = args_parse(&command, argc, argv, &d);
	bool wrong;

	if (parsed != ARGS_RUN)
		return parsed == ARGS_HELP ? VTPMCTL_OK : VTPMCTL_USAGE;
	wrong = examine(&d);
	if (d.tpm_open)
		tpm_close(&d.tpm);
	if (d.configured)
		hostconf_free(&d.conf);
	return wrong || fflush(stdout) ? VTPMCTL_FAILED : VTPMCTL_OK;
}
