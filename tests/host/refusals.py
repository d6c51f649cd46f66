# SPDX-License-Identifier: Apache-2.0
"""The sentences with which a guest is refused, or goes without its TPM, as the sources have
them; and the rows of docs/errors.md that explain them.

    refusals.py sentences            each one, a line: FILE: SENTENCE
    refusals.py compare ERRORS.MD    what has no row, and rows that nothing says any more
"""
import re
import sys

LITERAL = r'"(?:[^"\\]|\\.)*"'
# what a sentence is given to; in which files; which of the texts there are such sentences
PLACES = [
    (r"\brefusals_add(?:_by_xl)?\(|\brefuse_line\(|\bcannot_measure\(",
     ["tools/vtpmctl/firmware.c", "tools/vtpmctl/boot.c"], ""),
    (r"\bfprintf\(stderr,", ["tools/vtpmctl/vtpmline.c", "tools/vtpmctl/launch.c"], "vtpmctl: "),
    (r"\bfprintf\(stderr,", ["tools/vtpmctl/vtpmctl.c"], 'vtpmctl: "%s" has a control character'),
    (r"\bcontrol_answer_word\(", ["tools/vtpmd/control_launch.c"], "A guest with|A vTPM of the guest|The launch's"),
    (r"\bsnprintf\(text, size,", ["tools/vtpmd/control_op.c"], "The vTPM %s served another guest"),
    (r"\brefuse_guest\(|\bwhy =", ["tools/vtpmd/guests.c", "tools/vtpmd/crb.c", "tools/vtpmd/vtpm_peer.c", "tools/vtpmd/bind.c"],
     "(?!vtpmd was restarted)[a-z]"),  # such are of guests; the others of what a manager asks for
    (r"\blog_line\(\s*LOG_(?:ERR|WARNING),|\*what =", ["tools/vtpmd/crb.c", "tools/vtpmd/board.c"], ""),
    (r"\bsnprintf\(v->refused,", ["tools/vtpmd/vtpm_peer.c"], ""),
    (r"\brefuse_vtpm\(", ["stubdom/manager/vtpm.c"], ""),
    (r"\brefuse_unasked\(|\*why =", ["backend/tpmif.c", "stubdom/manager/front.c"], ""),
    (r"\bfprintf\(stderr,", ["frontend/crb/main.c"], "vtpm-crb: "),
]
SHORT = 25  # a part that is put into another sentence


def statement(text, at):
    """The text from at to the semicolon that ends the statement."""
    for m in re.compile(LITERAL + "|;").finditer(text, at):
        if m.group() == ";":
            return text[at:m.start()]
    raise SystemExit("a statement without an end")


def sentences():
    found = {}
    for start, files, such in PLACES:
        for name in files:
            text = re.sub(r"/\*.*?\*/", "", open(name).read(), flags=re.S)
            for key, value in re.findall(rf"^#define (\w+)\s+({LITERAL})$", text, re.M):
                text = re.sub(rf"(?<!#define )\b{key}\b", lambda m, v=value: v, text)
            for m in re.finditer(start, text):
                for group in re.findall(rf"{LITERAL}(?:\s*{LITERAL})*", statement(text, m.end())):
                    words = "".join(re.findall(LITERAL, group)).replace('""', "")
                    words = re.sub(r'\\(.)', lambda e: "" if e.group(1) == "n" else e.group(1), words[1:-1])
                    if not re.match(such, words):
                        continue
                    words = re.sub(r"^vtpmctl: ", "", words)
                    if len(words) >= SHORT or words.startswith("vtpm-crb: "):
                        found[re.sub(r"%[a-z0-9.]*?(?:lld|[sdu])", "...", words)] = name
    return found


def rows(path):
    """The first cells of the tables in the section about refused guests."""
    text = open(path).read()
    part = re.search(r"^## A guest is refused$(.*?)(?=^## |\Z)", text, re.M | re.S)
    if not part:
        raise SystemExit(f"{path} has no section about refused guests")
    cells = [line.split(" | ")[0].strip("| ") for line in part.group(1).splitlines() if line.startswith("| ")]
    return [c for c in cells if c not in ("the sentence says", "refused guest", "the journal says")]


def compare(path):
    said, explained = sentences(), rows(path)
    for cell in explained:
        if len(cell.replace("...", "").split()) < 3 and not cell.startswith("vtpm-crb: "):
            print(f"a row of few words matches anything: {cell}")
    patterns = {c: re.compile(re.escape(c).replace(r"\.\.\.", ".*")) for c in explained}
    for sentence, name in said.items():
        if not any(p.search(sentence) for p in patterns.values()):
            print(f"no row: {name}: {sentence}")
    for cell, p in patterns.items():
        if not any(p.search(s) for s in said):
            print(f"nothing says: {cell}")


if sys.argv[1] == "sentences":
    for one, source in sentences().items():
        print(f"{source}: {one}")
else:
    compare(sys.argv[2])
