/* SPDX-License-Identifier: Apache-2.0 */
#include "vtpm_guest.h"
#include "launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

static int refuse(const struct vtpm_guest *g, uint32_t domid, int rc, const char *what,
		  const char **why)
{
	static char text[192];

	snprintf(text, sizeof(text), "domain %u is refused: %s", domid, what);
	hostchan_log(g->chan, LOG_ERR, text);
	*why = text;
	return rc;
}

/* vtpmd has told the journal of its own refusals. */
static int not_told(const struct vtpm_guest *g, uint32_t domid, int rc,
		    const struct hostchan_guest *told, const char **why)
{
	static char text[sizeof(told->why)];

	if (rc == -EPIPE)
		return refuse(g, domid, rc,
			      "vtpmd does not answer, and it alone knows whether the "
			      "guest may have this vTPM: `systemctl status vtpmd`",
			      why);
	if (rc == -EBADMSG || !told->why[0])
		return refuse(g, domid, rc,
			      "vtpmd's answer about it makes no sense: install vtpmd and "
			      "the vTPM manager of one release",
			      why);
	memcpy(text, told->why, sizeof(text));
	*why = text;
	return rc;
}

static int start_anew(const struct vtpm_guest *g, const struct hostchan_guest *told)
{
	int rc;

	eventlog_clear(g->log);
	rc = g->power_on(g->ctx);
	return rc || !told->len ? rc : launch_measure(told->list, told->len, g->log);
}

static int judge(const struct vtpm_guest *g, uint32_t domid, uint64_t *on,
		 const struct hostchan_guest *told, const char **why)
{
	if (told->what == CHANNEL_GUEST_SAME)
		return 0;
	if ((g->only && !told->measured) || (g->tpm12 && told->measured))
		return refuse(g, domid, -EPERM,
			      g->tpm12
				      ? "nothing is measured into a TPM 1.2: `vtpmctl "
					"launch --unmeasured`"
				      : "this vTPM serves measured guests only: start it "
					"with `vtpmctl launch`",
			      why);
	if (told->what == CHANNEL_GUEST_RESUMED)
		return 0;
	/* should it fail in the midst, it is no guest's TPM any more */
	*on = 0;
	if (start_anew(g, told))
		return refuse(g, domid, -EIO,
			      "the TPM could not be started for it, or did not take its "
			      "measurements: stop and start the vTPM",
			      why);
	*on = told->on;
	return 0;
}

int vtpm_guest_adopt(const struct vtpm_guest *g, uint32_t domid, uint64_t *on,
		     const char **why)
{
	struct hostchan_guest told;
	int rc = hostchan_guest(g->chan, domid, *on, &told);

	rc = rc ? not_told(g, domid, rc, &told, why) : judge(g, domid, on, &told, why);
	free(told.list);
	return rc;
}
