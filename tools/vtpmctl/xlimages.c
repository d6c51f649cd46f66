/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmctl/xlimages.h"
#include "lib/text.h"
#include "tools/vtpmctl/memroom.h"
#include "tools/vtpmctl/vtpmctl.h"
#include "tools/vtpmctl/xl.h"
#include "tools/vtpmctl/xlmigrate.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_images(struct error *e, const char *text)
{
	return error_set(e, VTPMCTL_FAILED, CAUSE_PEER, "%s", text);
}

void xlimages_free(struct xlimages *x)
{
	if (!x)
		return;
	for (int i = 0; i < XLBOOT_KINDS; i++)
		if (x->image[i].fd >= 0)
			close(x->image[i].fd);
	if (x->lock >= 0)
		close(x->lock);
	free(x->bytes);
	free(x);
}

static int take_list(struct xlimages *x, const json_t *reply)
{
	const char *hex = client_text(reply, "measurements");

	snprintf(x->uuid, sizeof(x->uuid), "%s", client_text(reply, "uuid"));
	snprintf(x->lease, sizeof(x->lease), "%s", client_text(reply, "lease"));
	x->list.len = strlen(hex) / 2;
	x->bytes = malloc(x->list.len + 1);
	if (!x->bytes || hex_decode(hex, x->bytes, &x->list.len))
		return -EBADMSG;
	x->list.bytes = x->bytes;
	return !x->list.len || (measure_check(x->bytes, x->list.len) &&
				xlboot_is_list(&x->list))
		       ? 0
		       : -EBADMSG;
}

/* What vtpmd has of the launch of the guest that has, or comes with, the vTPM. */
static int ask_launch(struct migrate *m, const char *vtpm, char text[CLIENT_TEXT],
		      struct error *e)
{
	struct xlimages *x = calloc(1, sizeof(*x));
	json_t *reply;
	int rc, i;

	if (!x)
		return error_set(e, VTPMCTL_FAILED, CAUSE_RESOURCES,
				 "there is no memory");
	for (i = 0; i < XLBOOT_KINDS; i++)
		x->at.fd[i] = x->image[i].fd = -1;
	x->lock = -1;
	m->images = x;
	rc = client_ask(&m->client, m->socket,
			json_pack("{s:s, s:s, s:s}", "op", "move", "name", vtpm, "event",
				  "launch"),
			&reply, text);
	if (rc)
		return rc;
	rc = take_list(x, reply);
	json_decref(reply);
	return rc ? fail_images(e,
				"what was measured of the guest is no launch's: launch "
				"it again, and move it then")
		  : VTPMCTL_OK;
}

/* --- source */

static bool is_xl(const char *pid)
{
	char path[64], name[16] = "";
	FILE *f;
	bool is;

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	f = fopen(path, "re");
	is = f && fgets(name, sizeof(name), f) && !strcmp(name, "xl\n");
	if (f)
		fclose(f);
	return is;
}

/* The image that this xl has there, if it is the one that was measured. */
static bool open_of(const struct xlimages *x, enum xlboot_kind kind, const char *pid,
		    struct launch_image *i)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%.20s/fd/%d", pid, x->at.fd[kind]);
	if (stat(path, &st) || !xlboot_is_size(&x->list, kind, (uint64_t)st.st_size) ||
	    launch_image_open(path, i))
		return false;
	if (xlboot_is_image(&x->list, kind, i))
		return true;
	close(i->fd);
	i->fd = -1;
	return false;
}

/* Whichever xl has it: its bytes are what was measured. */
static bool open_image(struct xlimages *x, enum xlboot_kind kind)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	bool found = false;

	while (proc && !found && (entry = readdir(proc)))
		found = isdigit((unsigned char)entry->d_name[0]) &&
			is_xl(entry->d_name) &&
			open_of(x, kind, entry->d_name, &x->image[kind]);
	if (proc)
		closedir(proc);
	return found;
}

static int wait_taken(struct migrate *m, struct peerlink_item *item, uint32_t value,
		      struct error *e)
{
	if (peerlink_recv_item(m->link, item, e))
		return VTPMCTL_FAILED;
	if (item->kind == PEERLINK_IS_WORD && item->word == XLWORD(XLWORD_TAKEN, value))
		return VTPMCTL_OK;
	if (item->kind == PEERLINK_IS_TURN)
		json_decref(item->messages);
	return fail_images(e,
			   "the other host does not take what the guest boots: `vtpmctl "
			   "migrate-receive`'s lines there say why");
}

static int send_bytes(struct migrate *m, const struct launch_image *i,
		      struct peerlink_item *item, struct error *e)
{
	uint64_t at;
	ssize_t n;
	int rc = 0;

	for (at = 0; !rc && at < i->size; at += (uint64_t)n) {
		n = pread(i->fd, item->data, sizeof(item->data), (off_t)at);
		if (n <= 0)
			return fail_images(e, "what the guest boots cannot be read");
		rc = peerlink_send_data(m->link, item->data, (size_t)n, e);
	}
	return rc;
}

static int send_image(struct migrate *m, enum xlboot_kind kind,
		      struct peerlink_item *item, struct error *e)
{
	const struct launch_image *i = &m->images->image[kind];
	const struct xlboot_head h = {kind, m->images->at.fd[kind], i->size};
	uint8_t head[XLBOOT_HEAD];
	int rc;

	xlboot_head_encode(&h, head);
	rc = peerlink_send_word(m->link, XLWORD(XLWORD_IMAGE, 0), e);
	if (!rc)
		rc = peerlink_send_data(m->link, head, sizeof(head), e);
	if (!rc)
		rc = wait_taken(m, item, 0, e);
	if (!rc)
		rc = send_bytes(m, i, item, e);
	return rc ? rc : wait_taken(m, item, 1, e);
}

static int send_all(struct migrate *m, struct peerlink_item *item, struct error *e)
{
	struct xlimages *x = m->images;
	int rc = VTPMCTL_OK, i;

	for (i = 0; !rc && i < XLBOOT_KINDS; i++) {
		if (x->at.fd[i] < 0)
			continue;
		if (!open_image(x, (enum xlboot_kind)i))
			return fail_images(
				e, "no xl has what the guest boots any more, with the "
				   "bytes that were measured: launch it again, and move "
				   "it then");
		rc = send_image(m, (enum xlboot_kind)i, item, e);
	}
	return rc;
}

int xlimages_send(struct migrate *m, const json_t *config, char text[CLIENT_TEXT],
		  struct error *e)
{
	struct peerlink_item *item;
	const char *why;
	int rc = ask_launch(m, m->name, text, e);

	if (!rc && !m->images->list.len && xlboot_was_launched(config))
		fprintf(stderr,
			"%s was launched, and its xl, which had what it boots, has ended: "
			"its next reboot ends it; `vtpmctl launch` it again then\n",
			m->guest);
	if (rc || !m->images->list.len)
		return rc;
	if (xlboot_read(config, &m->images->list, &m->images->at, &why))
		return error_set(e, VTPMCTL_FAILED, CAUSE_PEER,
				 "the guest %s: launch it again, and move it then", why);
	item = malloc(sizeof(*item));
	rc = item ? send_all(m, item, e)
		  : error_set(e, VTPMCTL_FAILED, CAUSE_RESOURCES, "there is no memory");
	free(item);
	/* of a connection that was lost it is an errno */
	return rc ? VTPMCTL_FAILED : VTPMCTL_OK;
}

/* --- destination */

/* The other host is told that there is a reason, which stands here. */
static int refuse_image(struct migrate *m, struct error *e, const char *why)
{
	(void)!peerlink_send_word(m->link, XLWORD(XLWORD_REFUSED, 0), e);
	return error_set(e, VTPMCTL_FAILED, CAUSE_PEER,
			 "what the guest of %s boots is refused: %s", m->vtpm, why);
}

static bool is_fd_taken(const struct xlimages *x, int fd)
{
	for (int i = 0; i < XLBOOT_KINDS; i++)
		if (x->at.fd[i] == fd)
			return true;
	return false;
}

static int hear_head(struct migrate *m, struct peerlink_item *item, struct xlboot_head *h,
		     struct error *e)
{
	const struct xlimages *x = m->images;

	if (peerlink_recv_item(m->link, item, e))
		return VTPMCTL_FAILED;
	if (item->kind == PEERLINK_IS_TURN)
		json_decref(item->messages);
	if (item->kind != PEERLINK_IS_DATA ||
	    xlboot_head_decode(item->data, item->len, h))
		return refuse_image(m, e,
				    "what is sent is no image's head, or one that is too "
				    "large");
	if (!x->list.len || !xlboot_has(&x->list, h->kind))
		return refuse_image(m, e, "such an image was not measured");
	if (x->at.fd[h->kind] >= 0 || is_fd_taken(x, h->fd))
		return refuse_image(m, e, "an image comes twice");
	if (!xlboot_is_size(&x->list, h->kind, h->size))
		return refuse_image(m, e, "an image has another size than was measured");
	return VTPMCTL_OK;
}

/* Domain 0 has other things to do with its memory. */
static int refuse_room(struct migrate *m, const struct memroom *r, struct error *e)
{
	char why[200];

	snprintf(why, sizeof(why),
		 "it is %u MiB more, and this host's domain 0 has %u MiB available, of "
		 "which %u are to stay (--spare-memory): see `free`",
		 (unsigned int)(r->left >> 20), (unsigned int)(r->available >> 20),
		 m->spare);
	return refuse_image(m, e, why);
}

static int hear_bytes(struct migrate *m, struct peerlink_item *item,
		      const struct xlboot_head *h, struct memroom *room, struct error *e)
{
	struct launch_image *i = &m->images->image[h->kind];
	uint64_t left;

	for (left = h->size; left; left -= item->len) {
		if (peerlink_recv_item(m->link, item, e))
			return VTPMCTL_FAILED;
		if (item->kind == PEERLINK_IS_TURN)
			json_decref(item->messages);
		if (item->kind != PEERLINK_IS_DATA || !item->len || item->len > left)
			return refuse_image(m, e,
					    "an image does not come as a whole, or "
					    "is longer than was measured");
		if (memroom_take(room, item->len))
			return refuse_room(m, room, e);
		if (launch_image_add(i, item->data, item->len))
			return refuse_image(m, e,
					    "this host has no memory for it: see "
					    "`free`");
	}
	if (launch_image_end(i))
		return refuse_image(m, e, "it could not be hashed: see `free`");
	if (!xlboot_is_image(&m->images->list, h->kind, i))
		return refuse_image(m, e, "an image is not the one that was measured");
	m->images->at.fd[h->kind] = h->fd;
	return VTPMCTL_OK;
}

int xlimages_receive(struct migrate *m, struct peerlink_item *item,
		     char text[CLIENT_TEXT], struct error *e)
{
	struct memroom room;
	struct xlboot_head h;
	int rc = m->images ? VTPMCTL_OK : ask_launch(m, m->vtpm, text, e);

	if (!rc)
		rc = hear_head(m, item, &h, e);
	if (!rc && memroom_begin(&room, MEMROOM_FILE, m->spare, h.size))
		rc = refuse_room(m, &room, e);
	if (!rc && launch_image_begin(&m->images->image[h.kind]))
		rc = refuse_image(m, e, "this host has no memory for it: see `free`");
	if (!rc && peerlink_send_word(m->link, XLWORD(XLWORD_TAKEN, 0), e))
		rc = VTPMCTL_FAILED;
	if (!rc)
		rc = hear_bytes(m, item, &h, &room, e);
	if (!rc && peerlink_send_word(m->link, XLWORD(XLWORD_TAKEN, 1), e))
		rc = VTPMCTL_FAILED;
	return rc;
}

bool xlimages_expected(const struct migrate *m)
{
	return m->images && m->images->list.len;
}

int xlimages_lock(struct migrate *m, char text[CLIENT_TEXT], struct error *e)
{
	int rc = m->images ? VTPMCTL_OK : ask_launch(m, m->vtpm, text, e), i;
	struct xlimages *x = m->images;

	if (rc || !x->list.len)
		return rc;
	for (i = 0; i < XLBOOT_KINDS; i++)
		if (xlboot_has(&x->list, (enum xlboot_kind)i) && x->at.fd[i] < 0)
			return refuse_image(m, e, "not all that was measured has come");
	x->lock = xl_lease(x->lease);
	return x->lock >= 0
		       ? VTPMCTL_OK
		       : refuse_image(m, e,
				      "vtpmd's file of its launch cannot be locked: see "
				      "`ls -l /run/xen-vtpm`, and move it again");
}

int xlimages_check(const struct xlimages *x, const json_t *config, struct error *e)
{
	const char *why = "is another than was measured";
	const json_t *about = json_object_get(config, "c_info");
	struct xlboot b;

	if (!strcasecmp(client_text(about, "uuid"), x->uuid) &&
	    !xlboot_read(config, &x->list, &b, &why)) {
		if (!memcmp(b.fd, x->at.fd, sizeof(b.fd)))
			return 0;
		why = "names its images by other numbers than these came with";
	}
	return error_set(e, -EBADMSG, CAUSE_PEER, "the guest that comes %s", why);
}

/* A copy of fd above all numbers that an image may have. */
static int lift(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, XLBOOT_FD_MAX + 1);
}

int xlimages_place(const struct xlimages *x, int reader, int *told)
{
	int lifted[XLBOOT_KINDS], lock = lift(x->lock), i;

	/* with a reader xl can say its last words when vtpmctl has been killed */
	reader = lift(reader);
	*told = lift(*told);
	for (i = 0; i < XLBOOT_KINDS; i++)
		lifted[i] = x->at.fd[i] < 0 ? -1 : lift(x->image[i].fd);
	for (i = XLBOOT_FD_MIN; i <= XLBOOT_FD_MAX; i++)
		close(i);
	for (i = 0; i < XLBOOT_KINDS; i++)
		if (x->at.fd[i] >= 0 && dup2(lifted[i], x->at.fd[i]) < 0)
			return -errno;
	return lock < 0 || reader < 0 || *told < 0 ? -EMFILE : 0;
}
