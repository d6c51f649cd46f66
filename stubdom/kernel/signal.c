/* SPDX-License-Identifier: Apache-2.0 */
/* Signals: what a program set up is remembered, and none is ever delivered.  One that
 * it sends to itself, as abort() does, ends it.  And futexes, of the one thread. */
#include <errno.h>
#include <stdbool.h>
#include <asm/signal.h>
#include <linux/futex.h>
#include "stubdom/kernel/clock.h"
#include "stubdom/kernel/evtchn.h"
#include "stubdom/kernel/print.h"
#include "stubdom/kernel/process.h"
#include "stubdom/kernel/system.h"
#include "stubdom/kernel/time.h"
#include "stubdom/kernel/user.h"

#define SIGNALS	  64
#define SET_BYTES 8
#define STATUS_OF 128 /* plus the signal: what a shell calls it */
#define ACTION	  4   /* words of the kernel's struct sigaction */
#define SELF	  1
#define OP_MASK	  (~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME))
#define ALTSTACK  3

static uint64_t actions[SIGNALS + 1][ACTION], masked, altstack[ALTSTACK] = {0, 2, 0};

long system_sigaction(uint64_t number, uint64_t new, uint64_t old, uint64_t size)
{
	uint64_t action[ACTION];
	int rc;

	if (size != SET_BYTES || !number || number > SIGNALS)
		return -EINVAL;
	if (new && (number == SIGKILL || number == SIGSTOP))
		return -EINVAL;
	rc = new ? copy_from_user(action, new, sizeof(action)) : 0;
	if (!rc && old)
		rc = copy_to_user(old, actions[number], sizeof(actions[number]));
	for (unsigned int i = 0; !rc && new &&i < ACTION; i++)
		actions[number][i] = action[i];
	return rc;
}

long system_sigmask(uint64_t how, uint64_t new, uint64_t old, uint64_t size)
{
	uint64_t set = 0, before = masked;
	int rc;

	if (size != SET_BYTES || (new &&how > SIG_SETMASK))
		return -EINVAL;
	rc = new ? copy_from_user(&set, new, sizeof(set)) : 0;
	if (!rc && old)
		rc = copy_to_user(old, &before, sizeof(before));
	if (rc || !new)
		return rc;
	if (how == SIG_BLOCK)
		masked |= set;
	else
		masked = how == SIG_UNBLOCK ? masked & ~set : set;
	return 0;
}

long system_sigaltstack(uint64_t new, uint64_t old)
{
	uint64_t stack[ALTSTACK];
	int rc = new ? copy_from_user(stack, new, sizeof(stack)) : 0;

	if (!rc && old)
		rc = copy_to_user(old, altstack, sizeof(altstack));
	for (unsigned int i = 0; !rc && new &&i < ALTSTACK; i++)
		altstack[i] = stack[i];
	return rc;
}

long system_kill(uint64_t pid, uint64_t number)
{
	if (number > SIGNALS)
		return -EINVAL;
	if ((int)pid != SELF && (int)pid != 0 && (int)pid != -SELF)
		return -ESRCH;
	if (!number || actions[number][0] == (uint64_t)SIG_IGN)
		return 0;
	print_line("the program sent itself signal %lu", number);
	process_exit(STATUS_OF + (int)number);
}

long system_tgkill(uint64_t group, uint64_t thread, uint64_t number)
{
	return group == SELF ? system_kill(thread, number) : -ESRCH;
}

/* Waiting without a limit would be for ever: there is no other thread. */
static long wait_futex(uint64_t word, uint32_t value, uint64_t span)
{
	uint64_t until;
	uint32_t now;
	int rc = copy_from_user(&now, word, sizeof(now));

	if (!rc && now != value)
		return -EAGAIN;
	if (!rc)
		rc = clock_deadline(span, &until);
	if (rc)
		return rc;
	if (until == TIME_NEVER)
		return -EDEADLK;
	while (time_now() < until)
		evtchn_wait(until);
	return -ETIMEDOUT;
}

long system_futex(uint64_t word, uint64_t op, uint64_t value, uint64_t span)
{
	if (word % sizeof(uint32_t))
		return -EINVAL;
	switch ((int)op & OP_MASK) {
	case FUTEX_WAIT:
		return wait_futex(word, (uint32_t)value, span);
	case FUTEX_WAKE:
		return user_range(word, sizeof(uint32_t)) ? 0 : -EFAULT;
	default:
		return -ENOSYS;
	}
}
