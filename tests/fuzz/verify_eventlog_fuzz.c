/* SPDX-License-Identifier: Apache-2.0 */
/* Event logs as evidence may have them. */
#include "tools/vtpm-verify/evidence.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	/* what was replayed is gone through to its end */
	if (at != size)
		abort();
	return 0;
}
