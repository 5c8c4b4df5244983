package acd

// ordered is the key of a treap. All keys in one tree must differ.
type ordered[K any] interface{ less(K) bool }

// treap holds any number of search trees over one array of nodes, balanced by pseudo-random
// priorities. A node has the number of the thing that it stands for (an entry, a member), so an
// insertion allocates nothing, and a node is in at most one tree. 0 means no node, and the empty
// tree. Operations take O(log n).
type treap[K ordered[K]] struct {
	nodes []treapNode[K]
	seed  uint32
	pull  func(n int32) // recomputes the sums that a node keeps over its subtree; nil: only the size is kept
}

type treapNode[K any] struct {
	key         K
	left, right int32
	size        int32
	prio        uint32
}

// grow makes room for nodes 1..n.
func (t *treap[K]) grow(n int32) {
	for int32(len(t.nodes)) <= n {
		t.nodes = append(t.nodes, treapNode[K]{})
	}
}

// insert adds node n, which is in no tree, and returns the new root.
func (t *treap[K]) insert(root, n int32, key K) int32 {
	// xorshift32 with a fixed seed, so that every run builds the same trees.
	if t.seed == 0 {
		t.seed = 2463534242
	}
	t.seed ^= t.seed << 13
	t.seed ^= t.seed >> 17
	t.seed ^= t.seed << 5
	t.nodes[n] = treapNode[K]{key: key, size: 1, prio: t.seed}
	t.fix(n)
	return t.add(root, n)
}

func (t *treap[K]) add(root, n int32) int32 {
	if root == 0 {
		return n
	}
	r, x := &t.nodes[root], &t.nodes[n]
	if x.prio > r.prio {
		x.left, x.right = t.split(root, x.key)
		t.fix(n)
		return n
	}
	if x.key.less(r.key) {
		r.left = t.add(r.left, n)
	} else {
		r.right = t.add(r.right, n)
	}
	t.fix(root)
	return root
}

// split divides a tree into the keys below key and the rest.
func (t *treap[K]) split(root int32, key K) (left, right int32) {
	if root == 0 {
		return 0, 0
	}
	r := &t.nodes[root]
	if r.key.less(key) {
		r.right, right = t.split(r.right, key)
		left = root
	} else {
		left, r.left = t.split(r.left, key)
		right = root
	}
	t.fix(root)
	return left, right
}

// remove takes node n out of the tree and returns the new root.
func (t *treap[K]) remove(root, n int32) int32 {
	if root == 0 {
		return 0
	}
	r := &t.nodes[root]
	switch {
	case root == n:
		return t.merge(r.left, r.right)
	case t.nodes[n].key.less(r.key):
		r.left = t.remove(r.left, n)
	default:
		r.right = t.remove(r.right, n)
	}
	t.fix(root)
	return root
}

func (t *treap[K]) merge(a, b int32) int32 {
	if a == 0 || b == 0 {
		return a + b
	}
	if t.nodes[a].prio > t.nodes[b].prio {
		t.nodes[a].right = t.merge(t.nodes[a].right, b)
		t.fix(a)
		return a
	}
	t.nodes[b].left = t.merge(a, t.nodes[b].left)
	t.fix(b)
	return b
}

func (t *treap[K]) fix(n int32) {
	x := &t.nodes[n]
	x.size = 1
	if x.left != 0 {
		x.size += t.nodes[x.left].size
	}
	if x.right != 0 {
		x.size += t.nodes[x.right].size
	}
	if t.pull != nil {
		t.pull(n)
	}
}

// first is the node with the smallest key, or 0.
func (t *treap[K]) first(root int32) int32 {
	for root != 0 && t.nodes[root].left != 0 {
		root = t.nodes[root].left
	}
	return root
}

// next is the node with the smallest key above key, or 0.
func (t *treap[K]) next(root int32, key K) int32 {
	var found int32
	for root != 0 {
		if r := &t.nodes[root]; key.less(r.key) {
			found, root = root, r.left
		} else {
			root = r.right
		}
	}
	return found
}

// size is the number of nodes.
func (t *treap[K]) size(root int32) int {
	if root == 0 {
		return 0
	}
	return int(t.nodes[root].size)
}

// below counts the nodes whose key is less than node n's.
func (t *treap[K]) below(root, n int32) int {
	count, key := 0, t.nodes[n].key
	for root != 0 {
		r := &t.nodes[root]
		if r.key.less(key) {
			count += 1 + t.size(r.left)
			root = r.right
		} else {
			root = r.left
		}
	}
	return count
}
