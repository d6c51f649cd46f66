/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/measure.h"
#include "lib/text.h"
#include "lib/tpm2/marshal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (1 << 20)

/* All four hashes of bytes.  -EIO */
static int launch_image_hash(const void *bytes, size_t len,
			     uint8_t digests[MEASURE_DIGESTS])
{
	const struct tpm2_hash *h;

	for (h = tpm2_hashes; h < tpm2_hashes + TPM2_BANKS; digests += (h++)->size)
		if (!EVP_Q_digest(NULL, h->name, NULL, bytes, len, digests, NULL))
			return -EIO;
	return 0;
}

#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* Of bytes that cannot change any more. */
static int hash_sealed(struct launch_image *i)
{
	struct stat st;
	void *bytes;
	int rc;

	if (fstat(i->fd, &st))
		return -errno;
	i->size = (uint64_t)st.st_size;
	if (!i->size)
		return launch_image_hash("", 0, i->digests);
	bytes = mmap(NULL, i->size, PROT_READ, MAP_PRIVATE, i->fd, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	rc = launch_image_hash(bytes, i->size, i->digests);
	munmap(bytes, i->size);
	return rc;
}

/* What is hashed is the copy as it is from now on, not what went into it. */
static int seal_and_hash(struct launch_image *i)
{
	return fcntl(i->fd, F_ADD_SEALS, SEALS) ? -errno : hash_sealed(i);
}

static int finish_measure(struct launch_image *i, int rc)
{
	if (!rc)
		rc = seal_and_hash(i);
	if (rc) {
		close(i->fd);
		i->fd = -1;
	}
	return rc;
}

static int copy(int from, int to)
{
	uint64_t copied = 0;
	ssize_t n;

	do {
		n = sendfile(to, from, NULL, CHUNK);
		copied += n > 0 ? (uint64_t)n : 0;
	} while (n > 0 && copied <= LAUNCH_IMAGE_MAX);
	if (copied > LAUNCH_IMAGE_MAX)
		return -EFBIG;
	return n < 0 ? -errno : 0;
}

int launch_image_read(const char *path, struct launch_image *i)
{
	/* a FIFO would have its opener wait */
	int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc = 0;
	struct stat st;

	if (from < 0)
		return -errno;
	if (fstat(from, &st))
		rc = -errno;
	else if (!S_ISREG(st.st_mode))
		rc = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	else if ((uint64_t)st.st_size > LAUNCH_IMAGE_MAX)
		rc = -EFBIG;
	i->fd = -1;
	if (!rc)
		rc = launch_image_begin(i);
	if (!rc)
		rc = finish_measure(i, copy(from, i->fd));
	close(from);
	return rc;
}

int launch_image_open(const char *path, struct launch_image *i)
{
	int seals, rc;

	i->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (i->fd < 0)
		return -errno;
	seals = fcntl(i->fd, F_GET_SEALS);
	rc = seals < 0 || (seals & SEALS) != SEALS ? -EPERM : hash_sealed(i);
	if (rc) {
		close(i->fd);
		i->fd = -1;
	}
	return rc;
}

int launch_image_begin(struct launch_image *i)
{
	i->fd = memfd_create("vtpmctl-launch", MFD_ALLOW_SEALING);
	return i->fd < 0 ? -errno : 0;
}

int launch_image_add(struct launch_image *i, const uint8_t *bytes, size_t len)
{
	ssize_t n;

	for (; len; bytes += n, len -= (size_t)n) {
		n = write(i->fd, bytes, len);
		if (n < 0)
			return -errno;
	}
	return 0;
}

int launch_image_end(struct launch_image *i)
{
	return finish_measure(i, 0);
}

int launch_image_make(const char *name, const void *bytes, size_t len,
		      struct launch_image *i)
{
	const char *p = bytes;
	ssize_t n = 0;

	i->fd = memfd_create(name, MFD_ALLOW_SEALING);
	if (i->fd < 0)
		return -errno;
	for (; len && (n = write(i->fd, p, len)) > 0; p += n)
		len -= (size_t)n;
	return finish_measure(i, n < 0 ? -errno : 0);
}

/* The SHA-256 among an event's digests, in hexadecimal. */
static void print_sha256(const uint8_t digests[MEASURE_DIGESTS],
			 char hex[LAUNCH_IMAGE_SHA256])
{
	const struct tpm2_hash *h;

	for (h = tpm2_hashes; h->id != TPM2_ALG_SHA256; h++)
		digests += h->size;
	hex_encode(digests, h->size, hex);
}

void launch_image_sha256(const struct launch_image *i, char hex[LAUNCH_IMAGE_SHA256])
{
	print_sha256(i->digests, hex);
}

/* Event data is text, or a separator's zeroes. */
static void print_data(const struct measure_event *e)
{
	if (e->type == MEASURE_EV_SEPARATOR) {
		puts("separator");
		return;
	}
	for (size_t i = 0; i < e->data_len; i++)
		putchar(e->data[i] < ' ' || e->data[i] == 0x7f ? '?' : e->data[i]);
	putchar('\n');
}

void launch_measure_print(const uint8_t *bytes, size_t len)
{
	struct cursor list = cursor_reader(bytes, len);
	char hex[LAUNCH_IMAGE_SHA256];
	struct measure_event e;

	while (cursor_left(&list) && measure_next(&list, &e)) {
		print_sha256(e.digests, hex);
		if (e.type == MEASURE_EV_NO_ACTION)
			printf("record: ");
		else
			printf("measure: PCR %u sha256=%s ", e.pcr, hex);
		print_data(&e);
	}
}

#define PCR_CONFIG	   1
#define PCR_KERNEL	   4
#define PCR_LAST_SEPARATOR 7
#define PCR_RAMDISK	   9
#define PCR_CMDLINE	   12

/* The lines that make the machine, in the order in which they are measured: the
 * guest's name and uuid and what happens at its end are not among them. */
static const char keys[] =
	"type builder pvh vcpus maxvcpus memory maxmem cpuid msr_relaxed hap "
	"nestedhvm altp2m acpi apic tsc_mode e820_host passthrough nomigrate "
	"driver_domain seclabel disk vif pci pci_permissive ioports iomem irqs "
	"usbctrl usbdev dtdev p9 channel vfb vkb vdispl vsnd vnuma virtio pvcalls";

bool launch_measure_is_text(const struct measure_event *e)
{
	uint8_t own[MEASURE_DIGESTS];

	return !launch_image_hash(e->data, e->data_len, own) &&
	       !memcmp(own, e->digests, sizeof(own));
}

static int put(struct cursor *list, uint32_t pcr, uint32_t type, const uint8_t *digests,
	       const void *data, size_t len)
{
	uint8_t own[MEASURE_DIGESTS];
	struct measure_event e = {pcr, type, digests ? digests : own, data, len};
	int rc = digests ? 0 : launch_image_hash(data, len, own);

	if (rc)
		return rc;
	if (len > MEASURE_DATA)
		return -E2BIG;
	measure_put(list, &e);
	return cursor_ok(list) ? 0 : -E2BIG;
}

/* An event that tells all: its digest is that of its text. */
static int put_text(struct cursor *list, uint32_t pcr, uint32_t type, const char *text,
		    int len)
{
	if (len < 0 || len > MEASURE_DATA)
		return -E2BIG;
	return put(list, pcr, type, NULL, text, (size_t)len);
}

static int put_config(struct cursor *list, const char *key, int index, const char *value)
{
	char text[MEASURE_DATA + 1];
	int len;

	if (index < 0)
		len = snprintf(text, sizeof(text), "config %s=%s", key, value);
	else
		len = snprintf(text, sizeof(text), "config %s[%d]=%s", key, index, value);
	return put_text(list, PCR_CONFIG, MEASURE_EV_PLATFORM_CONFIG_FLAGS, text, len);
}

/* An item that is a list itself, as vnuma= has them: "config vnuma[0][1]=size=128".
 * -EBADMSG: it has lists as well, which no line of xl's has. */
static int put_inner(struct cursor *list, XLU_Config *cfg, const char *key,
		     XLU_ConfigValue *item)
{
	XLU_ConfigList *inner;
	const char *value;
	int i, rc = 0;

	if (xlu_cfg_value_type(item) != XLU_LIST ||
	    xlu_cfg_value_get_list(cfg, item, &inner, 1))
		return -EBADMSG;
	for (i = 0; !rc && xlu_cfg_get_listitem2(inner, i); i++) {
		value = xlu_cfg_get_listitem(inner, i);
		rc = value ? put_config(list, key, i, value) : -EBADMSG;
	}
	return rc;
}

static int put_key(struct cursor *list, XLU_Config *cfg, const char *key)
{
	XLU_ConfigList *items;
	const char *value;
	char inner[64];
	int i, n = 0, rc = 0;

	if (!xlu_cfg_get_string(cfg, key, &value, 1))
		return put_config(list, key, -1, value);
	if (xlu_cfg_get_list(cfg, key, &items, &n, 1))
		return 0;
	for (i = 0; i < n && !rc; i++) {
		value = xlu_cfg_get_listitem(items, i);
		snprintf(inner, sizeof(inner), "%s[%d]", key, i);
		rc = value ? put_config(list, key, i, value)
			   : put_inner(list, cfg, inner, xlu_cfg_get_listitem2(items, i));
	}
	return rc;
}

static int put_machine(struct cursor *list, XLU_Config *cfg)
{
	static const uint8_t separator[4];
	char copy[sizeof(keys)], *rest = copy, *key;
	uint32_t pcr;
	int rc = 0;

	memcpy(copy, keys, sizeof(keys));
	while (!rc && (key = strsep(&rest, " ")))
		rc = put_key(list, cfg, key);
	for (pcr = 0; pcr <= PCR_LAST_SEPARATOR && !rc; pcr++)
		rc = put(list, pcr, MEASURE_EV_SEPARATOR, NULL, separator,
			 sizeof(separator));
	return rc;
}

/* The digest is the file's; the text only tells which file that was. */
static int put_image(struct cursor *list, uint32_t pcr, const char *what,
		     const char *path, const struct launch_image *i)
{
	const char *slash = strrchr(path, '/');
	char text[512];
	int len = snprintf(text, sizeof(text), "%s size=%llu name=%.300s", what,
			   (unsigned long long)i->size, slash ? slash + 1 : path);

	return put(list, pcr, MEASURE_EV_IPL, i->digests, text, (size_t)len);
}

int launch_measure(const struct launch_measured *m, struct cursor *list)
{
	char text[MEASURE_DATA + 1];
	int rc = put_machine(list, m->cfg);

	if (!rc)
		rc = put_image(list, PCR_KERNEL, "kernel", m->kernel, m->kernel_image);
	if (!rc && m->ramdisk)
		rc = put_image(list, PCR_RAMDISK, "ramdisk", m->ramdisk,
			       m->ramdisk_image);
	else if (!rc)
		rc = put_text(list, PCR_RAMDISK, MEASURE_EV_IPL, "ramdisk none",
			      (int)strlen("ramdisk none"));
	if (!rc)
		rc = put_text(list, PCR_CMDLINE, MEASURE_EV_IPL, text,
			      snprintf(text, sizeof(text), "cmdline %s", m->cmdline));
	return rc;
}
