# SPDX-License-Identifier: Apache-2.0
"""What is proved, and what must not be: tests/prove/run reads both.

A module is a source, all of whose functions are proved but those that it names, each with
the reason, and options of frama-c's.  -instantiate: memcpy() and its like on other objects
than bytes.
A mutant is a fault that somebody might make: the text OLD, which stands once in FILE,
becomes NEW, and the goals of FUNCTION are not all proved any more.
"""
from collections import namedtuple

Module = namedtuple("Module", "name source left_out options mutants")
Mutant = namedtuple("Mutant", "name function old new")

# The one that takes longest first: the others are proved beside it.
MODULES = [
    Module("crb", "frontend/crb/crb.c", {}, ["-instantiate"], [
        Mutant("the processor's locality is granted", "is_allowed",
               "locality != CRB_LOCALITY_HARDWARE && c->", "c->"),
        Mutant("what asked gets the TPM, granted or not", "relinquish",
               " && is_allowed(c, n - 1)", ""),
        Mutant("a command's locality gives the TPM up", "give_up",
               "if (s->active == locality && !is_executing(s))", "if (s->active == locality)"),
        Mutant("a command that executes is taken for idle", "write_request",
               "\tif (is_executing(s))\n\t\treturn;\n\tif (v & (REQ", "\tif (v & (REQ"),
        Mutant("a second START", "write_start",
               "!(v & START_BIT) || is_executing(c->s)", "!(v & START_BIT)"),
        Mutant("the size is fetched a second time", "execute",
               "\tcopy_in(cmd + TPM_HEADER, c->buffer",
               "\tsize = c->buffer[5];\n\tcopy_in(cmd + TPM_HEADER, c->buffer"),
        Mutant("a command may be longer than the buffer", "take_header",
               "size >= TPM_HEADER && size <= CRB_BUFFER_MAX ? size : 0",
               "size >= TPM_HEADER ? size : 0"),
        Mutant("the window is one word too long", "read_byte",
               "c->buffer[off - DATA]", "c->buffer[off + 4]"),
        Mutant("there is a sixth locality", "read_byte",
               "locality >= CRB_LOCALITIES", "locality > CRB_LOCALITIES"),
        Mutant("a response may be longer than its place", "crb_complete",
               "len < TPM_HEADER || len > sizeof(s->rsp)", "len < TPM_HEADER"),
        Mutant("a saved response may be longer than its place", "crb_is_sound",
               "s->rsp_len > sizeof(s->rsp)", "s->rsp_len > sizeof(*s)"),
    ]),
    Module("cursor", "lib/cursor.c", {}, [], [
        Mutant("a claim has no bound", "cursor_claim",
               "if (c->bad || n > c->len - c->pos) {", "if (c->bad) {"),
        Mutant("a claim may be one byte too long", "cursor_claim",
               "n > c->len - c->pos)", "n > c->len - c->pos + 1)"),
        Mutant("a bad cursor is read", "cursor_claim",
               "if (c->bad || n > c->len", "if (n > c->len"),
        Mutant("a read begins one byte late", "get_be",
               "c->rd[at + i]", "c->rd[at + i + 1]"),
        Mutant("a reader is written", "put_be",
               "\tif (!c->wr)\n\t\tc->bad = true;\n\tif (!cursor_claim(c, n, &at))\n\t\treturn;\n\t/*@",
               "\tif (!cursor_claim(c, n, &at))\n\t\treturn;\n\t/*@"),
        Mutant("a length is patched in before the buffer", "patch",
               "c->bad || mark < width || mark > c->pos)", "c->bad || mark > c->pos)"),
        Mutant("a length is patched into a reader", "patch",
               "!c->wr || c->bad ||", "c->bad ||"),
        Mutant("a part of an empty buffer is bad", "cursor_sub",
               "s.bad = c->bad;", "s.bad = p == NULL;"),
    ]),
    Module("ring", "backend/ring.c", {
        "shared_read_u32": "an axiom: a word of a memory of bytes",
        "shared_write_u32": "an axiom: a word of a memory of bytes",
        "ring_open": "runs before the guest's bytes come",
        "ring_close": "runs after they came",
    }, ["-instantiate"], [
        Mutant("the length is fetched a second time", "copy_packet",
               "\tif (first > q->len)\n\t\tfirst = q->len;\n",
               "\tq->len = shared_read_u32(r->page + OFFSET_LENGTH);\n"
               "\tif (first > q->len)\n\t\tfirst = q->len;\n"),
        Mutant("a packet may be shorter than a header", "ring_take",
               "q->len < RING_TPM_HEADER_SIZE || q->len", "q->len"),
        Mutant("a packet may be longer than its pages", "ring_take",
               "q->len < RING_TPM_HEADER_SIZE || q->len > ring_room(q)",
               "q->len < RING_TPM_HEADER_SIZE"),
        Mutant("one more extra page is let in", "ring_take",
               "q->nr_extra > RING_EXTRA_MAX", "q->nr_extra > RING_EXTRA_MAX + 1"),
        Mutant("a response runs one byte past its page", "publish",
               "\tif (first > len)\n\t\tfirst = len;\n\tshared",
               "\tif (++first > len)\n\t\tfirst = len;\n\tshared"),
        Mutant("the room forgets the references", "ring_room",
               "(1 + (size_t)q->nr_extra) -\n\t\t      packet_offset(q->nr_extra)",
               "(1 + (size_t)q->nr_extra)"),
        Mutant("pages that were not mapped are kept", "want_extra",
               "\tif (rc)\n\t\treturn rc;\n\tr->extra", "\tr->extra"),
    ]),
    Module("packet", "frontend/packet.c", {}, [], [
        Mutant("a packet may be shorter than a header", "xtpm_packet_check",
               "len < PACKET_HEADER_SIZE || get", "get"),
        Mutant("a length may be more than there is room for", "xtpm_packet_check_length",
               " || length > room)", ")"),
        Mutant("a response may end before the number of resets", "xtpm_packet_resets",
               "len != CLOCK_LENGTH || ", ""),
        Mutant("a part of the log may be longer than its response", "xtpm_packet_log",
               "part->len != len - OFFSET_BYTES || ", ""),
        Mutant("a part may begin at the log's end", "xtpm_packet_log",
               " || offset >= part->total)", ")"),
        Mutant("a part's length is not looked at when it is short", "xtpm_packet_log",
               "len < OFFSET_BYTES", "len < OFFSET_PART"),
    ]),
    Module("user", "stubdom/kernel/user.c", {}, [], [
        Mutant("the end of a range wraps", "user_range",
               "n <= LAYOUT_USER_TOP - at", "at + n <= LAYOUT_USER_TOP"),
        Mutant("a range may begin past the program's half", "user_range",
               "at < LAYOUT_USER_TOP &&", ""),
        Mutant("a range may end one byte past it", "user_range",
               "n <= LAYOUT_USER_TOP - at", "n <= LAYOUT_USER_TOP - at + 1"),
        Mutant("a copy's range is not checked", "copy_from_user",
               "\tif (!user_range(from, n))\n\t\treturn -EFAULT;\n", ""),
        Mutant("a text is one byte longer than its buffer", "copy_text_from_user",
               "\tfor (size_t i = 0; i < size; i++)", "\tfor (size_t i = 0; i <= size; i++)"),
    ]),
]
