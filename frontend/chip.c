// SPDX-License-Identifier: GPL-2.0-only
#include <linux/slab.h>
#include <linux/string.h>
#include "chip.h"
#include "compat.h"

/* The core's durations are those of a chip.  A vTPM answers when its state is
 * durable, on a host that does other things too. */
#define WAIT_MIN (30 * HZ)
/* How long a command waits for a new backend. */
#define READY_WAIT (10 * HZ)

static struct front *front_of(struct tpm_chip *chip)
{
	/* The chip's own drvdata is the chip: see xtpm_chip_suspend(). */
	return dev_get_drvdata(chip->dev.parent);
}

static int wait_ready(struct front *front)
{
	enum front_phase phase;

	wait_event_killable_timeout(front->wait,
				    (phase = READ_ONCE(front->phase)) == FRONT_READY ||
					    phase == FRONT_IDLE,
				    READY_WAIT);
	/* EPIPE is what the core itself says of a chip that is gone. */
	return READ_ONCE(front->phase) == FRONT_READY ? 0 : -EPIPE;
}

static int chip_send(COMPAT_SEND_ARGS)
{
	struct front *front = front_of(chip);
	unsigned long wait;
	int rc;

	front->response_len = 0;
	if (xtpm_packet_check(buf, len))
		return -EINVAL;
	rc = wait_ready(front);
	if (rc)
		return rc;
	wait = tpm_calc_ordinal_duration(chip, xtpm_packet_code(buf));
	return xtpm_ring_exchange(&front->ring, buf, len,
				  max_t(unsigned long, wait, WAIT_MIN), front->response,
				  &front->response_len);
}

static int chip_recv(struct tpm_chip *chip, u8 *buf, size_t size)
{
	struct front *front = front_of(chip);
	size_t len = front->response_len;

	if (!len)
		return -EIO;
	if (len > size)
		return -EMSGSIZE;
	memcpy(buf, front->response, len);
	memzero_explicit(front->response, len);
	return len;
}

static void chip_cancel(struct tpm_chip *chip)
{
	xtpm_ring_cancel(&front_of(chip)->ring);
}

/* No status: with TPM_CHIP_FLAG_IRQ the core does not poll, send() has waited. */
static const struct tpm_class_ops ops = {
	.flags = TPM_OPS_AUTO_STARTUP,
	.send = chip_send,
	.recv = chip_recv,
	.cancel = chip_cancel,
};

static int identify(struct front *front, struct tpm_chip *chip)
{
	int rc = tpm_chip_start(chip);

	if (rc)
		return rc;
	rc = tpm2_probe(chip);
	tpm_chip_stop(chip);
	/* tpm2_probe() takes silence for a TPM 1.2. */
	if (!rc && !front->response_len)
		rc = -EIO;
	return rc;
}

int xtpm_chip_enroll(struct front *front)
{
	struct tpm_chip *chip = tpm_chip_alloc(&front->dev->dev, &ops);
	int rc;

	if (IS_ERR(chip))
		return PTR_ERR(chip);
	dev_set_drvdata(&chip->dev, chip);
	chip->flags |= TPM_CHIP_FLAG_IRQ;
	rc = identify(front, chip);
	if (!rc && chip->flags & TPM_CHIP_FLAG_TPM2)
		xtpm_eventlog_read(&front->log, &front->ring);
	if (!rc)
		rc = tpm_chip_register(chip);
	if (rc) {
		xtpm_eventlog_remove(&front->log);
		put_device(&chip->dev);
		/* A positive one is a TPM's response code. */
		return rc < 0 ? rc : -EIO;
	}
	xtpm_eventlog_publish(&front->log, chip);
	front->chip = chip;
	return 0;
}

void xtpm_chip_retire(struct front *front)
{
	struct tpm_chip *chip = front->chip;

	front->chip = NULL;
	xtpm_eventlog_remove(&front->log);
	tpm_chip_unregister(chip);
	put_device(&chip->dev);
}

/* A command of our own, past the core: the caller knows that no other runs. */
static int ask(struct front *front, const u8 *cmd, size_t cmd_len,
	       int (*read)(const u8 *rsp, size_t len, u32 *value), u32 *value)
{
	size_t len;
	u8 *rsp;
	int rc;

	rsp = kmalloc(PACKET_MAX, GFP_KERNEL);
	if (!rsp)
		return -ENOMEM;
	rc = xtpm_ring_exchange(&front->ring, cmd, cmd_len, WAIT_MIN, rsp, &len);
	if (!rc)
		rc = read(rsp, len, value);
	kfree(rsp);
	return rc;
}

static int read_code(const u8 *rsp, size_t len, u32 *code)
{
	*code = xtpm_packet_code(rsp);
	return 0;
}

static bool is_tpm2(const struct front *front)
{
	return front->chip->flags & TPM_CHIP_FLAG_TPM2;
}

/* A TPM 1.2 does not count. */
static bool count_resets(struct front *front, u32 *resets)
{
	u8 cmd[PACKET_CLOCK_SIZE];

	xtpm_packet_clock(cmd);
	return is_tpm2(front) &&
	       !ask(front, cmd, sizeof(cmd), xtpm_packet_resets, resets);
}

void xtpm_chip_suspend(struct front *front)
{
	int rc;

	front->resets_known = count_resets(front, &front->resets);
	/* The core finds the chip in the drvdata of the device that it is given:
	 * the bus's device has the front there, so give it the chip's own. */
	rc = tpm_pm_suspend(&front->chip->dev);
	if (rc)
		dev_warn(&front->dev->dev, "the TPM could not save its state: %d\n", rc);
}

void xtpm_chip_resume(struct front *front)
{
	tpm_pm_resume(&front->chip->dev);
}

static int startup(struct front *front, bool saved, u32 *code)
{
	u8 cmd[PACKET_STARTUP_SIZE];

	xtpm_packet_startup(cmd, is_tpm2(front), saved);
	return ask(front, cmd, sizeof(cmd), read_code, code);
}

/* cleared: it started, but with nothing of what it had saved. */
static int start_again(struct front *front, bool *cleared)
{
	u32 started = is_tpm2(front) ? PACKET_TPM2_STARTED : PACKET_TPM1_STARTED;
	u32 code;
	int rc;

	*cleared = false;
	rc = startup(front, true, &code);
	if (rc)
		return rc;
	if (code == 0 || code == started)
		return 0;
	rc = startup(front, false, &code);
	if (rc)
		return rc;
	*cleared = true;
	if (code == 0 || code == started)
		return 0;
	dev_err(&front->dev->dev, "the TPM does not start: code 0x%x\n", code);
	return -EIO;
}

int xtpm_chip_revive(struct front *front)
{
	bool cleared;
	u32 resets;
	int rc;

	rc = start_again(front, &cleared);
	if (rc)
		return rc;
	if (front->resets_known && count_resets(front, &resets) &&
	    resets != front->resets)
		cleared = true;
	front->resets_known = false;
	if (is_tpm2(front)) {
		xtpm_eventlog_read(&front->log, &front->ring);
		xtpm_eventlog_publish(&front->log, front->chip);
	}
	if (cleared)
		dev_warn(&front->dev->dev, "the TPM was reset and its PCRs are lost; "
					   "restart the guest if it relies on them\n");
	return 0;
}
