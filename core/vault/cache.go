package vault

import (
	"container/list"
	"crypto/cipher"
	"sync"
)

// cache holds the most recently used keys, at most size of them.
type cache struct {
	mu    sync.Mutex
	size  int
	order *list.List // a list of dataKey, most recently used first
	at    map[int64]*list.Element
	count uint64 // of calls of drop and clear
}

func newCache(size int) *cache {
	return &cache{size: size, order: list.New(), at: make(map[int64]*list.Element)}
}

func (c *cache) get(id int64) (cipher.AEAD, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.at[id]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*dataKey).aead, true
}

// put adds a key that was just made.
func (c *cache) put(id int64, a cipher.AEAD) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(id, a)
}

// drops is how often keys were dropped so far.
func (c *cache) drops() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// putSince adds a key that was read from the store after drops returned since. It adds nothing if
// keys were dropped meanwhile: this one may be among them.
func (c *cache) putSince(since uint64, id int64, a cipher.AEAD) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == since {
		c.add(id, a)
	}
}

func (c *cache) add(id int64, a cipher.AEAD) {
	if e, ok := c.at[id]; ok {
		c.order.MoveToFront(e)
		return
	}
	c.at[id] = c.order.PushFront(&dataKey{id: id, aead: a})
	if c.order.Len() > c.size {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.at, last.Value.(*dataKey).id)
	}
}

// drop removes keys that were destroyed in the store.
func (c *cache) drop(ids []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	for _, id := range ids {
		if e, ok := c.at[id]; ok {
			c.order.Remove(e)
			delete(c.at, id)
		}
	}
}

// clear removes all keys.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	c.order.Init()
	clear(c.at)
}
