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

func (c *cache) put(id int64, a cipher.AEAD) {
	c.mu.Lock()
	defer c.mu.Unlock()
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

func (c *cache) drop(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.at[id]; ok {
		c.order.Remove(e)
		delete(c.at, id)
	}
}
