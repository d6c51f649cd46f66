# SPDX-License-Identifier: Apache-2.0
"""What is proved, and what must not be: tests/prove/run reads both.

A module is a source and its functions that are proved; None is every function of it.
A mutant is a fault that somebody might make: the text OLD, which stands once in FILE,
becomes NEW, and the goals of FUNCTION are not all proved any more.
"""
from collections import namedtuple

Module = namedtuple("Module", "name source functions mutants")
Mutant = namedtuple("Mutant", "name function old new")

MODULES = [
    Module("cursor", "lib/cursor.c", None, [
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
]
