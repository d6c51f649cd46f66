/* SPDX-License-Identifier: Apache-2.0 */
#include "vtpm_launch.h"
#include "launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

static void say(struct hostchan *chan, uint32_t domid, const char *what)
{
	char text[160];

	snprintf(text, sizeof(text), "domain %u %s", domid, what);
	hostchan_log(chan, LOG_ERR, text);
}

int vtpm_launch(struct hostchan *chan, uint32_t domid, bool only, struct eventlog *log)
{
	uint8_t *list = NULL;
	size_t len = 0;
	int rc = hostchan_launch(chan, domid, &list, &len);

	eventlog_clear(log);
	if (rc == -ENOENT && only) {
		say(chan, domid,
		    "is refused, as it was not measured: start it with `vtpmctl launch`");
		return -EPERM;
	}
	/* without vtpmd, or with one that does not know of launches: as ever */
	if (rc)
		return only ? rc : 0;
	rc = launch_measure(list, len, log);
	if (rc)
		say(chan, domid,
		    "is refused, as its measurements did not go into the TPM");
	free(list);
	return rc;
}
