// SPDX-License-Identifier: GPL-2.0-only
#include <linux/atomic.h>
#include <linux/module.h>
#include <linux/pm.h>
#include <linux/slab.h>
#include <xen/xen.h>
#include "chip.h"
#include "front.h"

/* A backend that comes and goes gets no more than one offer in this time. */
#define OFFER_INTERVAL HZ

enum front_note {
	NOTE_RESUMED, /* another domain, or another life: all grants are void */
	NOTE_THAWED,  /* the suspend is over, whether it took place or not */
};

static void set_phase(struct front *front, enum front_phase phase)
{
	WRITE_ONCE(front->phase, phase);
	wake_up_all(&front->wait);
}

static void poke(struct front *front)
{
	/* Registering a chip takes many commands: not a matter for the short queue. */
	mod_delayed_work(system_long_wq, &front->work, 0);
}

static int write_keys(struct front *front, struct xenbus_transaction xbt,
		      const char **what)
{
	const char *node = front->dev->nodename;
	int rc;

	*what = "writing ring-ref";
	rc = xenbus_printf(xbt, node, "ring-ref", "%u", front->ring.refs[0]);
	if (rc)
		return rc;
	*what = "writing event-channel";
	rc = xenbus_printf(xbt, node, "event-channel", "%u", front->ring.port);
	if (rc)
		return rc;
	*what = "writing feature-protocol-v2";
	return xenbus_printf(xbt, node, "feature-protocol-v2", "%u", 1);
}

static int publish(struct front *front)
{
	const char *what = "starting a transaction";
	struct xenbus_transaction xbt;
	int rc;

	do {
		rc = xenbus_transaction_start(&xbt);
		if (rc)
			break;
		rc = write_keys(front, xbt, &what);
		if (rc) {
			xenbus_transaction_end(xbt, 1);
			break;
		}
		what = "ending a transaction";
		rc = xenbus_transaction_end(xbt, 0);
	} while (rc == -EAGAIN);
	if (rc)
		xenbus_dev_fatal(front->dev, rc, "%s", what);
	return rc;
}

static void offer(struct front *front)
{
	if (time_before(jiffies, front->next_offer)) {
		mod_delayed_work(system_long_wq, &front->work, OFFER_INTERVAL);
		return;
	}
	front->next_offer = jiffies + OFFER_INTERVAL;
	/* Both have said why, to xenstore too, when they fail. */
	if (xtpm_ring_open(&front->ring) || publish(front)) {
		set_phase(front, FRONT_IDLE);
		return;
	}
	set_phase(front, FRONT_OFFERED);
	xenbus_switch_state(front->dev, XenbusStateInitialised);
}

/* A backend that thinks it is connected, or closed, has to see us start. */
static void announce(struct front *front)
{
	set_phase(front, FRONT_WAITING);
	/* The store may hold another state than we remember: of another kernel, or
	 * from before a resume. */
	front->dev->state = XenbusStateUnknown;
	xenbus_switch_state(front->dev, XenbusStateInitialising);
}

static int start(struct front *front)
{
	int rc;

	xtpm_ring_start(&front->ring);
	if (front->chip) {
		rc = xtpm_chip_revive(front);
		xtpm_chip_resume(front);
		if (!rc)
			set_phase(front, FRONT_READY);
		return rc;
	}
	/* The chip is not registered yet: no lock is needed. */
	set_phase(front, FRONT_READY);
	return xtpm_chip_enroll(front);
}

static void connect(struct front *front)
{
	struct xenbus_device *dev = front->dev;
	int rc;

	if (!xenbus_read_unsigned(dev->otherend, "feature-protocol-v2", 0)) {
		set_phase(front, FRONT_IDLE);
		xenbus_dev_fatal(dev, -EPROTONOSUPPORT,
				 "the backend does not speak tpmif protocol 2");
		return;
	}
	xenbus_switch_state(dev, XenbusStateConnected);
	rc = start(front);
	if (!rc)
		return;
	set_phase(front, FRONT_IDLE);
	xtpm_ring_stop(&front->ring);
	xenbus_dev_fatal(dev, rc, "the TPM does not start; see the log of its backend");
}

static void close(struct front *front)
{
	/* A chip whose commands would have to wait for a backend cannot say
	 * TPM2_Shutdown; one that is ready can. */
	if (front->phase != FRONT_READY)
		set_phase(front, FRONT_IDLE);
	if (front->chip)
		xtpm_chip_retire(front);
	set_phase(front, FRONT_IDLE);
	xtpm_ring_stop(&front->ring);
	xenbus_frontend_closed(front->dev);
}

static void backend_starts(struct front *front)
{
	switch (front->phase) {
	case FRONT_READY:
		xtpm_ring_stop(&front->ring);
		announce(front);
		break;
	case FRONT_IDLE:
		/* A device that is being taken away is not to come back. */
		if (!xenbus_read_unsigned(front->dev->otherend, "online", 1))
			return;
		announce(front);
		break;
	case FRONT_WAITING:
		break;
	default:
		return;
	}
	offer(front);
}

static void renew(struct front *front)
{
	xtpm_ring_stop(&front->ring);
	xtpm_ring_close(&front->ring);
	front->next_offer = jiffies;
	announce(front);
}

static void thaw(struct front *front)
{
	if (front->phase != FRONT_SUSPENDED)
		return;
	xtpm_chip_resume(front);
	set_phase(front, FRONT_READY);
}

static void follow(struct front *front)
{
	if (test_and_clear_bit(NOTE_RESUMED, &front->notes))
		renew(front);
	if (test_and_clear_bit(NOTE_THAWED, &front->notes))
		thaw(front);
	switch (READ_ONCE(front->backend)) {
	case XenbusStateInitialising:
	case XenbusStateInitWait:
		backend_starts(front);
		break;
	case XenbusStateConnected:
		if (front->phase == FRONT_OFFERED)
			connect(front);
		break;
	case XenbusStateClosing:
		close(front);
		break;
	case XenbusStateClosed:
	case XenbusStateUnknown:
		if (front->phase != FRONT_WAITING)
			close(front);
		break;
	default:
		break;
	}
}

static void front_work(struct work_struct *work)
{
	struct front *front = container_of(to_delayed_work(work), struct front, work);

	mutex_lock(&front->lock);
	follow(front);
	mutex_unlock(&front->lock);
}

static void backend_changed(struct xenbus_device *dev, enum xenbus_state state)
{
	struct front *front = dev_get_drvdata(&dev->dev);

	WRITE_ONCE(front->backend, state);
	/* The work item may be waiting for an answer right now. */
	if (state == XenbusStateClosing)
		xtpm_ring_shorten_timeouts(&front->ring);
	if (state == XenbusStateClosed || state == XenbusStateUnknown)
		xtpm_ring_abort(&front->ring);
	poke(front);
}

static int front_probe(struct xenbus_device *dev, const struct xenbus_device_id *id)
{
	struct front *front = kzalloc(sizeof(*front), GFP_KERNEL);

	if (!front)
		return -ENOMEM;
	front->dev = dev;
	xtpm_ring_init(&front->ring, dev);
	mutex_init(&front->lock);
	init_waitqueue_head(&front->wait);
	INIT_DELAYED_WORK(&front->work, front_work);
	front->next_offer = jiffies;
	/* The bus tells the backend's state as soon as this returns. */
	front->backend = XenbusStateUnknown;
	dev_set_drvdata(&dev->dev, front);
	announce(front);
	return 0;
}

static void front_remove(struct xenbus_device *dev)
{
	struct front *front = dev_get_drvdata(&dev->dev);

	xtpm_ring_shorten_timeouts(&front->ring);
	cancel_delayed_work_sync(&front->work);
	if (front->phase != FRONT_READY)
		set_phase(front, FRONT_IDLE);
	if (front->chip)
		xtpm_chip_retire(front);
	xtpm_ring_stop(&front->ring);
	xtpm_ring_close(&front->ring);
	dev_set_drvdata(&dev->dev, NULL);
	kfree_sensitive(front);
}

/* All is well for the bus even if the TPM could not save its state: a guest must
 * not miss its migration for that. */
static int front_suspend(struct xenbus_device *dev)
{
	struct front *front = dev_get_drvdata(&dev->dev);

	mutex_lock(&front->lock);
	if (front->phase == FRONT_READY) {
		xtpm_chip_suspend(front);
		set_phase(front, FRONT_SUSPENDED);
	}
	mutex_unlock(&front->lock);
	return 0;
}

static int front_resume(struct xenbus_device *dev)
{
	struct front *front = dev_get_drvdata(&dev->dev);

	/* First, so that a lost backend is not taken for the end. */
	set_bit(NOTE_RESUMED, &front->notes);
	smp_mb__after_atomic();
	WRITE_ONCE(front->backend, XenbusStateUnknown);
	poke(front);
	return 0;
}

/* The bus says nothing to a driver when a suspend is undone (`xl save -c`, a failed
 * migration).  The core calls this in any case, after resume. */
static void front_complete(struct device *dev)
{
	struct front *front = dev_get_drvdata(dev);

	if (!front)
		return;
	set_bit(NOTE_THAWED, &front->notes);
	poke(front);
}

/* While this says no, loading the module waits, some 30 s at most: after modprobe
 * there is a /dev/tpm0, which anyone who unlocks a root file system counts on. */
static int front_is_ready(struct xenbus_device *dev)
{
	struct front *front = dev_get_drvdata(&dev->dev);

	return front && READ_ONCE(front->chip);
}

static const struct dev_pm_ops front_pm_ops = {
	.complete = front_complete,
};

static const struct xenbus_device_id front_ids[] = {{"vtpm"}, {""}};
/* The stock module's, which xenbus announces devices by. */
MODULE_ALIAS("xen:vtpm");

static struct xenbus_driver front_driver = {
	.ids = front_ids,
	.not_essential = true,
	.probe = front_probe,
	.remove = front_remove,
	.suspend = front_suspend,
	.resume = front_resume,
	.is_ready = front_is_ready,
	.otherend_changed = backend_changed,
	.driver.pm = &front_pm_ops,
};

static int __init front_init(void)
{
	if (!xen_domain())
		return -ENODEV;
	return xenbus_register_frontend(&front_driver);
}
module_init(front_init);

static void __exit front_exit(void)
{
	xenbus_unregister_driver(&front_driver);
}
module_exit(front_exit);

MODULE_DESCRIPTION("TPM 2.0 of a Xen guest");
MODULE_AUTHOR("The xen-vtpm project");
MODULE_VERSION(XEN_TPMFRONT_VERSION);
MODULE_LICENSE("GPL");
