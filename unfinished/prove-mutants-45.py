#!/usr/bin/python3
"""prove-mutants-45.py TREE [MODULE...]: 48 mutants that tests/prove/modules.py does not have, all of a module in one run of
Frama-C over the functions that were changed.  A function without an unproved goal: its mutants SURVIVE.
TREE: a scratch copy (git ls-files '*.c' '*.h' tests/prove | cpio -0pdm), which is changed and put back."""
import sys, os, re
tree = os.path.abspath(sys.argv[1]); want = sys.argv[2:]
path = os.path.join(tree, "tests/prove/run")
src = open(path).read().replace("\nmain()\n", "\n")
sys.argv = [path]
g = {"__file__": path, "__name__": "prove"}
exec(compile(src, path, "exec"), g)
g["BUILD"] = "/tmp/mutants"; g["WHY3"] = "/tmp/mutants/why3.conf"
g["configure"]()
M = {  # module: (function, what, old, new)
"user": [
 ("copy_to_user", "8 bytes past the kernel's buffer are handed out", "copy_bytes((void *)to, from, n)", "copy_bytes((void *)to, (const uint8_t *)from + 8, n)"),
 ("copy_from_user", "a fault in the program's half is a success", "copy_bytes(to, (const void *)from, n) ? -EFAULT : 0", "copy_bytes(to, (const void *)from, n) ? 0 : 0"),
],
"grant": [
 ("take_bit", "a reference/frame in use is given away again", "if (bits[i / 64] >> (i % 64) & 1)", "if (bits[i / 64] >> (i % 64) & 0)"),
 ("grant_share", "a read-only page is shared writable", "(writable ? 0 : GTF_readonly));\n\t*ref", "0);\n\t*ref"),
 ("grant_end", "a page is taken back while the peer writes", "if (now & (GTF_reading | GTF_writing))", "if (now & (GTF_reading & GTF_writing))"),
 ("grant_unmap", "a frame that Xen keeps is used again", " &&\n\t    unmap.status == GNTST_okay)", ")"),
],
"packet": [
 ("xtpm_packet_check", "a packet's own length is not compared", " || get_be32(packet + OFFSET_LENGTH) != len", ""),
 ("xtpm_packet_resets", "an error's bytes are taken for resets", " || xtpm_packet_code(rsp))", ")"),
 ("xtpm_packet_log", "an error response is a part of the log", "\tif (xtpm_packet_code(rsp))\n\t\treturn -ENODATA;\n", ""),
],
"region": [
 ("region_set_rights", "the rights of all regions above change", "i < count && table[i].start < end; i++)\n\t\ttable", "i < count; i++)\n\t\ttable"),
 ("alike", "regions of different rights become one", "a->rights == b->rights && ", ""),
 ("region_remove", "all regions above are forgotten", "erase(first, n);", "erase(first, count - first);"),
 ("region_is_mapped", "holes count as mapped", "i < count && table[i].start <= start;", "i < count;"),
],
"cursor": [
 ("cursor_copy", "the buffer's first bytes are copied", "memcpy(out, c->rd + at, n)", "memcpy(out, c->rd, n)"),
 ("put_be", "all bytes go to one place", "c->wr[at + n] = (uint8_t)v", "c->wr[at] = (uint8_t)v"),
 ("patch", "a length past 65535 is cut to 16 bits", "\tif (width == 2 && n > UINT16_MAX) {\n\t\tc->bad = true;\n\t\treturn;\n\t}\n", ""),
],
"channel": [
 ("channel_reader_take", "the payload that is handed over stays the reader's: freed twice", "memset(r, 0, sizeof(*r));\n}\n\nvoid channel_reader_reset", "r->have = 0;\n\tr->frame.len = 0;\n}\n\nvoid channel_reader_reset"),
 ("channel_reader_add", "the payload is freed while bytes go on coming", "\treturn r->have == CHANNEL_HEADER_SIZE +", "\tfree(r->frame.payload);\n\treturn r->have == CHANNEL_HEADER_SIZE +"),
 ("channel_tlv_put", "a length is cut to 16 bits", "cursor_put_u32(c, (uint32_t)len);\n\tcursor_put(c, value", "cursor_put_u32(c, (uint16_t)len);\n\tcursor_put(c, value"),
],
"evtchn": [
 ("find_free", "an entry that is in use counts as free", "if (!table[i].port)", "if (table[i].port != 77)"),
 ("take_pending", "all events of the word are lost", "__atomic_fetch_and(word, ~bit,", "__atomic_fetch_and(word, 0 * bit,"),
 ("evtchn_scan", "ports that are not armed are taken", "!e->port || !e->armed || ", "!e->port || "),
 ("evtchn_wait_since", "Xen reads past the list of ports", "poll.nr_ports = n;", "poll.nr_ports = n + 64;"),
],
"kmip": [
 ("ttlv_check", "structures nest a million deep", "TTLV_DEPTH_MAX - 1", "1000000"),
 ("length_fits", "an integer of any length", "return len == 4;", "return true;"),
 ("ttlv_next", "padding is not looked at", "if (cursor_u8(c))\n\t\t\tcursor_fail(c);", "(void)cursor_u8(c);"),
],
"elf": [
 ("add_load", "two segments share a page (one writable, one executable)", "if (plan->count && PAGE_DOWN(p->p_vaddr) < plan->high)", "if (plan->count && PAGE_DOWN(p->p_vaddr) < 0)"),
 ("add_load", "two segments that share bytes of the file are let in", "\t\t\treturn \"two segments of the program share bytes of its file\";", "\t\t\tcontinue;"),
 ("check_load", "a segment need not be aligned with its file", "\tif ((p->p_vaddr ^ p->p_offset) & (LAYOUT_PAGE - 1))\n\t\treturn \"a segment of the program is not aligned with its file\";\n", ""),
 ("add", "an executable stack", "p->p_flags & PF_X ? \"the program asks for an executable stack\"\n\t\t\t\t\t : NULL;", "NULL;"),
],
"crb": [
 ("execute", "the header is fetched a second time", "copy_in(cmd + TPM_HEADER, c->buffer + TPM_HEADER, size - TPM_HEADER);", "copy_in(cmd, c->buffer, size);"),
 ("write_word", "a locality without the TPM starts commands as the one that has it", "} else if (c->s->active == locality) {", "} else if (c->s->active != CRB_NO_LOCALITY) {"),
 ("write_request", "a response is wiped while a command executes", "\tif (is_executing(s))\n\t\treturn;\n\tif (v & (REQ", "\texplicit_bzero(s->rsp, sizeof(s->rsp));\n\tif (is_executing(s))\n\t\treturn;\n\tif (v & (REQ"),
 ("seize", "a lower locality seizes the TPM", "s->active < locality &&", "s->active != locality &&"),
 ("read_byte", "a locality without the TPM reads the buffer", "c->s->active == locality ? c->buffer", "c->s->active <= 0xff ? c->buffer"),
],
"ring": [
 ("ring_take", "no packet is copied: the last one's bytes are handed on", "\tcopy_packet(r, q);\n\treturn 0;", "\treturn 0;"),
 ("want_extra", "one byte of the references is compared", "r->extra_refs, nr * sizeof(*refs)))", "r->extra_refs, nr))"),
],
"crypt": [
 ("crypt_gcm_open", "a tag that does not match is none", "rc = EVP_CipherFinal_ex(ctx, end, &n) == 1 ? 0 : -EBADMSG;", "rc = EVP_CipherFinal_ex(ctx, end, &n) == 1 ? 0 : 0;"),
 ("crypt_random", "a failure of the generator is none", "RAND_priv_bytes(out, (int)len) != 1)", "RAND_priv_bytes(out, (int)len) == 99)"),
],
"envelope": [
 ("envelope_header_verify", "one byte of the MAC is compared", "CRYPTO_memcmp(mac, seen, MAC_SIZE)", "CRYPTO_memcmp(mac, seen, 1)"),
 ("envelope_blob_open", "two bytes of the uuid are compared", "sizeof(head.uuid)))\n\t\treturn error_set(e, -EXDEV", "sizeof(head.second)))\n\t\treturn error_set(e, -EXDEV"),
 ("slot_belongs", "any known slot stands in any header", "(k && k->is_extra && (kind", "(k && (kind"),
 ("envelope_header_parse", "bytes may follow the MAC", "if (!cursor_done(&c))\n\t\treturn header_corrupt(e, \"its length", "if (!cursor_ok(&c))\n\t\treturn header_corrupt(e, \"its length"),
],
"tpm_filter": [
 ("gives", "a manager has more handles than are counted", "\tif (i == ARRAY_SIZE(k->f->own))\n\t\tfail(k, \"it has too many objects and sessions in the TPM already\");\n", ""),
 ("may_be", "a handle of any type", "return handle >> 24 == 0x80;", "return true;"),
 ("forget_filter", "a flushed handle stays the manager's", "if (f->own[i].handle == handle) {", "if (f->own[i].handle == handle + 1) {"),
],
}
for n in want or M:
    m = {m.name: m for m in g["modules"].MODULES}[n]
    p = os.path.join(tree, m.source); text = t = open(p).read()
    for f, what, old, new in M[n]:
        if t.count(old) != 1: print("BAD", n, f, what, t.count(old), flush=True); continue
        t = t.replace(old, new)
    if os.environ.get("CHECK"): continue
    open(p, "w").write(t)
    fs = sorted({x[0] for x in M[n]})
    try: goals, left, said = g["ask"](m, fs, tree, m.provers, jobs=1)
    finally: open(p, "w").write(text)
    warn = g["strange"](said)
    for f, what, *_ in M[n]:
        bad = [x for x in left if f"_{f}_" in x]
        print(f"{n}: {f}: {what}: {'SURVIVES' if goals and not bad and '?' not in left else 'caught or undecided ' + str(bad[:3])}", flush=True)
    print(f"# {n}: {goals} goals, left {left}, warnings {warn[:2]}", "" if goals else said[-600:], flush=True)
