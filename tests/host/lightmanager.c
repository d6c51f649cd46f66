/* SPDX-License-Identifier: Apache-2.0 */
/* In a manager's place on the host channel, for hosts with a thousand vTPMs: it says HELLO
 * and READY at once, and waits until vtpmd ends it.  Given --unix DIR/NAME, the file
 * DIR/NAME.starts, which it makes again, has the bytes of DIR/anchorings as it began: the
 * test's vtpmctl appends to that for each write of the TPM that begins. */
#include "include/channel.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHANNEL 3

static void note_start(const char *path)
{
	char name[512];
	struct stat st = {.st_size = 0};
	const char *slash = strrchr(path, '/');
	FILE *f;

	snprintf(name, sizeof(name), "%.*s/anchorings", (int)(slash - path), path);
	(void)stat(name, &st);
	snprintf(name, sizeof(name), "%s.starts", path);
	f = fopen(name, "w");
	if (!f)
		_exit(1);
	fprintf(f, "%lld\n", (long long)st.st_size);
	fclose(f);
}

static void send_request(uint16_t type, uint32_t id, const void *payload, uint32_t len)
{
	struct {
		uint16_t type, zero;
		uint32_t id, len;
	} head = {htons(type), 0, htonl(id), htonl(len)};

	if (write(CHANNEL, &head, sizeof(head)) != sizeof(head) ||
	    write(CHANNEL, payload, len) != (ssize_t)len)
		_exit(0);
}

int main(int argc, char **argv)
{
	/* version 2 at least and at most; it starts; no uuid, no generation */
	static const uint8_t hello[2 + 2 + 1 + 16 + 8] = {0, 2, 0, 2},
						    generation[8] = {[7] = 1};
	char buf[4096];

	note_start(argv[argc - 1]);
	send_request(CHANNEL_HELLO, 1, hello, sizeof(hello));
	if (read(CHANNEL, buf, sizeof(buf)) <= 0)
		return 0;
	send_request(CHANNEL_READY, 2, generation, sizeof(generation));
	while (read(CHANNEL, buf, sizeof(buf)) > 0)
		if (buf[0] == 0x40 && buf[1] == 0x01) /* EVENT_STOP, at a frame's begin */
			return 0;
	return 0;
}
