/* SPDX-License-Identifier: Apache-2.0 */
/* Event logs as evidence may have them. */
#include "tools/vtpm-verify/firmware.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As a policy sees it that asks for Secure Boot and names an image, as the record of a launch,
 * too; and one that is made of it. */
static void judge_log(const uint8_t *data, size_t size, const struct eventlog *log)
{
	struct evidence_side evidence = {.log = {(uint8_t *)data, size},
					 .log_is_guests = true,
					 .record = {(uint8_t *)data, size}};
	struct side side = {.who = "vTPM", .e = &evidence, .log = *log, .record = *log};
	struct policy p = {.all = json_pack("{s:{s:[s], s:b}}", "firmware", "image",
					    "sha256:00", "secure_boot", 1)};
	struct verdict v = {0};

	if (!p.all)
		abort();
	judge_firmware(&p, &side, &v);
	json_decref(firmware_policy(&p, &side));
	json_decref(p.all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct eventlog log;
	struct eventlog_event e;
	size_t at, i;
	char name[96];

	if (eventlog_replay(data, size, &log))
		return 0;
	for (at = log.first; eventlog_next(&log, data, size, &at, &e);) {
		eventlog_name(&e, name, sizeof(name));
		if (strlen(name) >= sizeof(name) || e.pcr >= EVENTLOG_PCRS)
			abort();
		for (i = 0; i < log.banks; i++)
			if (e.digest[i] < data ||
			    e.digest[i] + log.alg[i]->size > data + size)
				abort();
	}
	judge_log(data, size, &log);
	/* what was replayed is gone through to its end */
	if (at != size)
		abort();
	return 0;
}
