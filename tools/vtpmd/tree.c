/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vtpmd/tree.h"

/* Equal keys are in the order of their nodes' addresses, so that each has one place. */
static int order(const void *key, const struct tree_node *n, const struct tree_node *at,
		 tree_compare *compare)
{
	int rc = compare(key, at);

	if (rc)
		return rc;
	return n == at ? 0 : (uintptr_t)n < (uintptr_t)at ? -1 : 1;
}

/* Marsaglia's xorshift: the weights are to differ, and need not be secret. */
static uint32_t draw_weight(void)
{
	static uint32_t state = 2463534242u;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

void tree_add(struct tree_node **root, const void *key, struct tree_node *n,
	      tree_compare *compare)
{
	struct tree_node **at = root, **left = &n->left, **right = &n->right, *below;

	n->weight = draw_weight();
	while (*at && (*at)->weight >= n->weight)
		at = order(key, n, *at, compare) < 0 ? &(*at)->left : &(*at)->right;
	below = *at;
	*at = n;
	/* what is lighter comes below n, on its two sides */
	while (below)
		if (order(key, n, below, compare) < 0) {
			*right = below;
			right = &below->left;
			below = *right;
		} else {
			*left = below;
			left = &below->right;
			below = *left;
		}
	*left = *right = NULL;
}

void tree_remove(struct tree_node **root, const void *key, struct tree_node *n,
		 tree_compare *compare)
{
	struct tree_node **at = root, *left = n->left, *right = n->right;

	while (*at != n)
		at = order(key, n, *at, compare) < 0 ? &(*at)->left : &(*at)->right;
	while (left && right)
		if (left->weight >= right->weight) {
			*at = left;
			at = &left->right;
			left = *at;
		} else {
			*at = right;
			at = &right->left;
			right = *at;
		}
	*at = left ? left : right;
}

struct tree_node *tree_find(struct tree_node *root, const void *key,
			    tree_compare *compare)
{
	int rc;

	while (root && (rc = compare(key, root)))
		root = rc < 0 ? root->left : root->right;
	return root;
}

struct tree_node *tree_before(struct tree_node *root, const void *key,
			      const struct tree_node *n, tree_compare *compare)
{
	struct tree_node *before = NULL;

	while (root)
		if (order(key, n, root, compare) > 0) {
			before = root;
			root = root->right;
		} else {
			root = root->left;
		}
	return before;
}
