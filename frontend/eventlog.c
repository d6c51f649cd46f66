// SPDX-License-Identifier: GPL-2.0-only
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/module.h>
#include <linux/security.h>
#include <linux/slab.h>
#include "eventlog.h"

/* For all of it: a backend that answers slowly has no log. */
#define READ_WAIT (10 * HZ)
#define ONE_WAIT  (5 * HZ)

/* What an open file holds on to. */
struct eventlog_bytes {
	struct kref kref;
	size_t len;
	u8 bytes[];
};

static void bytes_release(struct kref *kref)
{
	kvfree(container_of(kref, struct eventlog_bytes, kref));
}

/* Reads the chunk at the offset; its total size and checksum must be the first chunk's. */
static int read_part(struct ring *ring, u8 *rsp, u32 offset, struct packet_log *part)
{
	u8 cmd[PACKET_LOG_SIZE];
	size_t rsp_len;
	int rc;

	xtpm_packet_read_log(cmd, offset);
	rc = xtpm_ring_exchange(ring, cmd, sizeof(cmd), ONE_WAIT, rsp, &rsp_len);
	if (rc)
		return rc;
	return xtpm_packet_log(rsp, rsp_len, offset, part);
}

static struct eventlog_bytes *bytes_new(u32 total)
{
	struct eventlog_bytes *b;

	if (!total || total > EVENTLOG_MAX)
		return NULL;
	b = kvmalloc(struct_size(b, bytes, total), GFP_KERNEL);
	if (!b)
		return NULL;
	kref_init(&b->kref);
	b->len = total;
	return b;
}

static struct eventlog_bytes *read_all(struct ring *ring, u8 *rsp)
{
	unsigned long end = jiffies + READ_WAIT;
	struct eventlog_bytes *b = NULL;
	struct packet_log part;
	u32 offset = 0;

	do {
		if (time_after(jiffies, end) || read_part(ring, rsp, offset, &part))
			break;
		if (!b)
			b = bytes_new(part.total);
		if (!b || part.total != b->len)
			break;
		/* xtpm_packet_log(): it is not empty and ends at total at most */
		memcpy(b->bytes + offset, part.bytes, part.len);
		offset += part.len;
		if (offset == b->len)
			return b;
	} while (1);
	kvfree(b);
	return NULL;
}

void xtpm_eventlog_read(struct eventlog *log, struct ring *ring)
{
	u8 *rsp;

	xtpm_eventlog_remove(log);
	rsp = kmalloc(PACKET_MAX, GFP_KERNEL);
	if (!rsp)
		return;
	log->bytes = read_all(ring, rsp);
	kfree(rsp);
}

static int file_open(struct inode *inode, struct file *file)
{
	struct eventlog_bytes *b;

	/* Against xtpm_eventlog_remove(). */
	inode_lock(inode);
	b = inode->i_private;
	if (b)
		kref_get(&b->kref);
	inode_unlock(inode);
	file->private_data = b;
	return b ? 0 : -ENODEV;
}

static int file_release(struct inode *inode, struct file *file)
{
	struct eventlog_bytes *b = file->private_data;

	kref_put(&b->kref, bytes_release);
	return 0;
}

static ssize_t file_read(struct file *file, char __user *to, size_t len, loff_t *pos)
{
	struct eventlog_bytes *b = file->private_data;

	return simple_read_from_buffer(to, len, pos, b->bytes, b->len);
}

static const struct file_operations file_ops = {
	.owner = THIS_MODULE,
	.open = file_open,
	.release = file_release,
	.read = file_read,
	.llseek = default_llseek,
};

void xtpm_eventlog_publish(struct eventlog *log, struct tpm_chip *chip)
{
	struct dentry *d;

	if (!log->bytes)
		return;
	d = securityfs_create_dir(dev_name(&chip->dev), NULL);
	/* The kernel's own, or there is no securityfs. */
	if (IS_ERR(d))
		return;
	log->dir = d;
	d = securityfs_create_file("binary_bios_measurements", 0440, log->dir, log->bytes,
				   &file_ops);
	if (!IS_ERR(d))
		log->file = d;
}

static void remove_file(struct dentry *file)
{
	struct inode *inode = d_inode(file);

	inode_lock(inode);
	inode->i_private = NULL;
	inode_unlock(inode);
	/* A file that is open would keep its name, and so its folder, for which there
	 * could never be another one. */
	dget(file);
	securityfs_remove(file);
	d_drop(file);
	dput(file);
}

void xtpm_eventlog_remove(struct eventlog *log)
{
	if (log->file)
		remove_file(log->file);
	if (log->dir)
		securityfs_remove(log->dir);
	if (log->bytes)
		kref_put(&log->bytes->kref, bytes_release);
	log->file = log->dir = NULL;
	log->bytes = NULL;
}
