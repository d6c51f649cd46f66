/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XVTPM_VTPMCTL_HOST_PREDICT_H
#define XVTPM_VTPMCTL_HOST_PREDICT_H

#include "lib/hostconf.h"
#include "tools/vtpmctl/predict.h"

/* value: the host's PCRs as they are, which the log has to lead to; then as they will be, those
 * of h->pcrs.  *changed: whether one is another one.  -EBADMSG: one is not known; *e names it */
int __must_check hostpredict(const struct hostconf *h, const char *log,
			     const struct predict_from *from,
			     uint8_t value[APPROVAL_PCRS][APPROVAL_HASH_SIZE],
			     bool *changed, struct error *e);

#endif
