/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives unlock over a real TPM and a real KMIP server for tests/host/keys:
 *
 *   keys-probe TPM_SOCKET LOG CONFIG seal HEX OBJECT  seals bytes as the KMS key
 *   keys-probe TPM_SOCKET LOG CONFIG create HEADER    writes a new header
 *   keys-probe TPM_SOCKET LOG CONFIG open HEADER      opens it
 *   keys-probe TPM_SOCKET LOG CONFIG secrets HEADER   prints what must not leak
 *   keys-probe TPM_SOCKET LOG CONFIG half HEADER      with a wrong KMS half
 *
 * CONFIG holds CONFIG TLVs of include/channel.h.  LOG gets every byte that goes
 * to or comes from the TPM and the KMS.  Prints "ok HEX..." or "CAUSE SENTENCE".
 */
#include "lib/cursor.h"
#include "lib/slot/shares.h"
#include "lib/text.h"
#include "stubdom/manager/unlock.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FILE_MAX (256 * 1024)

static FILE *traffic;
static struct error error;
static struct unlock_config config;

struct file {
	uint8_t bytes[FILE_MAX];
	size_t len;
};

static struct file config_file, header_file;

static int read_file(const char *path, struct file *f)
{
	FILE *in = fopen(path, "rb");

	if (!in)
		return -errno;
	f->len = fread(f->bytes, 1, sizeof(f->bytes), in);
	fclose(in);
	return 0;
}

static int write_file(const char *path, const uint8_t *bytes, size_t len)
{
	FILE *out = fopen(path, "wb");
	bool ok = out && fwrite(bytes, 1, len, out) == len;

	return out && fclose(out) == 0 && ok ? 0 : -EIO;
}

static void record(const uint8_t *bytes, size_t len)
{
	fwrite(bytes, 1, len, traffic);
	fflush(traffic);
}

static int tpm(void *ctx, const uint8_t *cmd, size_t len, uint8_t *rsp, size_t *rsp_len)
{
	int *fd = ctx;
	ssize_t n;

	record(cmd, len);
	if (write(*fd, cmd, len) != (ssize_t)len)
		return -EIO;
	n = read(*fd, rsp, *rsp_len); /* swtpm answers in one piece */
	if (n <= 0)
		return -EIO;
	*rsp_len = (size_t)n;
	record(rsp, (size_t)n);
	return 0;
}

static int tpm_connect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return -errno;
	return fd;
}

static int kms_open(void *ctx, unsigned int nth)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	char host[ADDRESS_MAX], *port;
	int *fd = ctx, rc = 0;

	if (address_nth(config.kms_address, nth, host))
		return -EINVAL;
	port = strrchr(host, ':');
	*port++ = '\0';
	if (getaddrinfo(host, port, &hints, &found))
		return -EHOSTUNREACH;
	*fd = socket(found->ai_family, SOCK_STREAM, 0);
	if (connect(*fd, found->ai_addr, found->ai_addrlen)) {
		rc = -errno;
		close(*fd);
	}
	freeaddrinfo(found);
	return rc;
}

static int kms_send(void *ctx, const uint8_t *buf, size_t len)
{
	ssize_t n = send(*(int *)ctx, buf, len, MSG_NOSIGNAL);

	record(buf, len);
	return n < 0 ? -errno : 0;
}

static int kms_recv(void *ctx, uint8_t *buf, size_t room)
{
	ssize_t n = recv(*(int *)ctx, buf, room, 0);

	if (n > 0)
		record(buf, (size_t)n);
	return n < 0 ? -errno : (int)n;
}

static void kms_close(void *ctx)
{
	close(*(int *)ctx);
}

static int tpm_fd, kms_fd;
static const struct unlock host = {
	.config = &config,
	.tpm = {&tpm_fd, tpm},
	.kms = {&kms_fd, kms_open, kms_send, kms_recv, kms_close},
	.error = &error,
};

static void print_hex(const uint8_t *bytes, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		printf("%02x", bytes[i]);
	printf("\n");
}

static int seal(char **arg)
{
	uint8_t secret[64], object[HOSTTPM_OBJECT_MAX];
	size_t len = strlen(arg[0]) / 2, object_len = sizeof(object), i;
	int rc;

	for (i = 0; i < len && i < sizeof(secret); i++)
		sscanf(arg[0] + 2 * i, "%2hhx", &secret[i]);
	rc = hosttpm_seal(&config.tpm, &host.tpm, APPROVAL_KMS, config.tpm.auth, secret,
			  i, object, &object_len, &error);
	return rc ? rc : write_file(arg[1], object, object_len);
}

static int create(char **arg)
{
	uint8_t key[32];
	int rc;

	header_file.len = sizeof(header_file.bytes);
	rc = unlock_create(&host, key, header_file.bytes, &header_file.len);
	if (rc)
		return rc;
	printf("ok ");
	print_hex(key, sizeof(key));
	return write_file(arg[0], header_file.bytes, header_file.len);
}

static int open_header(char **arg)
{
	struct envelope_desc desc;
	uint8_t key[32];
	int rc;

	rc = read_file(arg[0], &header_file);
	if (!rc)
		rc = unlock_open(&host, header_file.bytes, header_file.len, key, &desc);
	if (rc)
		return rc;
	printf("ok ");
	print_hex(key, sizeof(key));
	return 0;
}

static int first_slot(const char *path, struct shares *s)
{
	static struct envelope_header h;
	struct cursor c;
	int rc;

	rc = read_file(path, &header_file);
	if (!rc)
		rc = envelope_header_parse(header_file.bytes, header_file.len, &h,
					   &error);
	if (rc)
		return rc;
	c = cursor_reader(h.slots[0].data, h.slots[0].len - SLOT_WRAPPED_SIZE);
	return shares_parse(slot_kind_find(h.slots[0].kind), &c, s);
}

static int tpm_half(const struct shares *s, const uint8_t kms[32], uint8_t out[32])
{
	uint8_t auth[32], info[17 + 16] = "xen-vtpm tpm auth";
	size_t len = 32;
	int rc;

	memcpy(info + 17, config.uuid, 16);
	rc = crypt_hkdf(kms, 32, NULL, 0, info, sizeof(info), auth);
	return rc ? rc
		  : hosttpm_unseal(&config.tpm, &host.tpm, APPROVAL_VTPM, auth, s->object,
				   s->object_len, out, &len, &error);
}

static int secrets(char **arg)
{
	static struct shares s;
	uint8_t kms[32], half[32];
	int rc;

	rc = first_slot(arg[0], &s);
	if (!rc)
		rc = unlock_kms_unwrap(&host, &s.kms, kms);
	if (!rc)
		rc = tpm_half(&s, kms, half);
	if (rc)
		return rc;
	printf("ok ");
	print_hex(kms, 32);
	print_hex(half, 32);
	return 0;
}

static int wrong_half(char **arg)
{
	static const uint8_t guess[32] = "not what the KMS would have said";
	static struct shares s;
	uint8_t half[32];
	int rc;

	rc = first_slot(arg[0], &s);
	return rc ? rc : tpm_half(&s, guess, half);
}

static const struct {
	const char *name;
	int args;
	int (*run)(char **arg);
} verbs[] = {
	{"seal", 2, seal},	 {"create", 1, create},	  {"open", 1, open_header},
	{"secrets", 1, secrets}, {"half", 1, wrong_half},
};

int main(int argc, char **argv)
{
	size_t i;
	int rc = -EINVAL;

	if (argc < 5)
		return 2;
	tpm_fd = tpm_connect(argv[1]);
	traffic = fopen(argv[2], "ab");
	if (tpm_fd < 0 || !traffic || read_file(argv[3], &config_file))
		return 2;
	rc = unlock_config_parse(config_file.bytes, config_file.len, &config, &error);
	for (i = 0; !rc && i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, argv[4]) && argc == 5 + verbs[i].args)
			rc = verbs[i].run(argv + 5);
	if (rc)
		printf("%s %s\n", error_word(error.cause), error.text);
	unlock_config_free(&config);
	return rc ? 1 : 0;
}
