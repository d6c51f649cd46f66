/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set in order: a binary search tree whose nodes are members of what is in it, so that
 * nothing is allocated, and nothing fails.  Each node draws a weight, and none is below a
 * lighter one (a treap): among n the way to one is some 2 log2(n) nodes long, in whatever
 * order they were added.
 *
 * What compares as equal may be there more than once.  A key must not change while its node
 * is in a tree.
 */
#ifndef VTPMD_TREE_H
#define VTPMD_TREE_H

#include <stddef.h>
#include <stdint.h>

struct tree_node {
	struct tree_node *left, *right;
	uint32_t weight;
};

/* As strcmp() of the key and the node's. */
typedef int tree_compare(const void *key, const struct tree_node *n);

/* The structure that has the node as that member. */
#define TREE_OF(node, type, member) ((type *)((uint8_t *)(node)-offsetof(type, member)))

/* The key is that of n. */
void tree_add(struct tree_node **root, const void *key, struct tree_node *n,
	      tree_compare *compare);
/* n is in the tree. */
void tree_remove(struct tree_node **root, const void *key, struct tree_node *n,
		 tree_compare *compare);
/* One with this key; NULL: there is none. */
struct tree_node *tree_find(struct tree_node *root, const void *key,
			    tree_compare *compare);
/* The one before n, which is in the tree; NULL: n is the first. */
struct tree_node *tree_before(struct tree_node *root, const void *key,
			      const struct tree_node *n, tree_compare *compare);

#endif
