/* SPDX-License-Identifier: Apache-2.0 */
#include "launch.h"
#include "lib/tpm2/commands.h"
#include "stubdom/manager/engine.h"

#include <errno.h>

/* The banks that the TPM has, as in struct eventlog. */
static int read_banks(struct tpm2_cmd *c, unsigned int *banks)
{
	uint32_t pcrs[TPM2_BANKS];
	int i, rc = tpm2_get_banks(c, pcrs);

	*banks = 0;
	for (i = 0; i < TPM2_BANKS; i++)
		*banks |= pcrs[i] ? 1u << i : 0;
	return rc;
}

/* Of one bank, in which no event has a digest: the TPM is the firmware's to start. */
static int record_launch(struct cursor *in, struct eventlog *log)
{
	unsigned int banks = 0, i;
	struct measure_event e;
	int rc;

	for (i = 0; i < TPM2_BANKS; i++)
		banks |= tpm2_hashes[i].id == TPM2_ALG_SHA256 ? 1u << i : 0;
	rc = eventlog_begin(log, banks);
	while (!rc && cursor_left(in) && measure_next(in, &e))
		rc = eventlog_add(log, &e);
	if (rc)
		eventlog_clear(log);
	return rc;
}

int launch_measure(const uint8_t *list, size_t len, struct eventlog *log)
{
	struct cursor in = cursor_reader(list, len);
	struct measure_event e;
	struct tpm2_cmd c = {.transport = &engine_tpm};
	unsigned int banks = 0;
	int rc;

	if (!measure_check(list, len))
		return -EBADMSG;
	if (measure_is_record(list, len))
		return record_launch(&in, log);
	rc = read_banks(&c, &banks);
	if (!rc)
		rc = eventlog_begin(log, banks);
	while (!rc && measure_next(&in, &e)) {
		/* never extended without a line in the log */
		rc = eventlog_add(log, &e);
		if (!rc)
			rc = tpm2_pcr_extend(&c, e.pcr, banks, e.digests);
		if (!cursor_left(&in))
			break;
	}
	if (rc)
		eventlog_clear(log);
	return rc;
}
