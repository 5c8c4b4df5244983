package bus

import "sync"

// Kind tells what a hint is about.
type Kind uint8

// Kinds of hints.
const (
	Conversation Kind = iota + 1 // a conversation's stream grew
	Agent                        // an agent's stream grew
	Outbox                       // a node wrote a command of an account that belongs to another node
	Recent                       // the unread messages in an agent's Recent changed with a conversation's stream
	// A node that stops does not know whether its last append to the stream was written, or still
	// will be. Seq has no meaning here; the nodes that go on must find out from the database.
	ConversationDoubt
	AgentDoubt
)

// Hint names what must be read again. Stream is the id of the conversation, agent or account.
type Hint struct {
	Node   string // the node that published it; a node's own hints do not come back to it
	Kind   Kind
	Stream [16]byte
	Seq    uint64
}

// Bus is what a router needs of a bus. Safe for concurrent use.
type Bus interface {
	// Publish never blocks on readers. Call it after the commit only.
	Publish(h Hint)
	// Subscribe calls fn, from one goroutine per subscription, for hints of
	// other nodes than node. cancel waits until fn no longer runs.
	Subscribe(node string, fn func(Hint)) (cancel func())
	// Close ends all subscriptions and waits for their functions.
	Close() error
}

// Local is the bus of a single process. The zero value is not usable; call NewLocal.
type Local struct {
	mu     sync.Mutex
	subs   map[*sub]struct{}
	closed bool
}

// NewLocal makes a bus that reaches the subscribers of this process.
func NewLocal() *Local { return &Local{subs: map[*sub]struct{}{}} }

type key struct {
	kind   Kind
	stream [16]byte
}

type sub struct {
	node    string
	mu      sync.Mutex
	pending map[key]Hint
	wake    chan struct{} // of size 1
	stop    chan struct{}
	done    chan struct{}
}

// Publish implements Bus.
func (b *Local) Publish(h Hint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subs {
		if s.node != h.Node {
			s.add(h)
		}
	}
}

func (s *sub) add(h Hint) {
	k := key{h.Kind, h.Stream}
	s.mu.Lock()
	if old, ok := s.pending[k]; !ok || h.Seq > old.Seq {
		s.pending[k] = h
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Subscribe implements Bus.
func (b *Local) Subscribe(node string, fn func(Hint)) func() {
	s := &sub{node: node, pending: map[key]Hint{}, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return func() {}
	}
	b.subs[s] = struct{}{}
	go s.run(fn)
	return sync.OnceFunc(func() {
		b.mu.Lock()
		_, mine := b.subs[s]
		delete(b.subs, s)
		b.mu.Unlock()
		if mine {
			close(s.stop)
		}
		<-s.done
	})
}

func (s *sub) run(fn func(Hint)) {
	defer close(s.done)
	for {
		select {
		case <-s.stop:
			return
		case <-s.wake:
		}
		s.mu.Lock()
		batch := s.pending
		s.pending = map[key]Hint{}
		s.mu.Unlock()
		for _, h := range batch {
			fn(h)
		}
	}
}

// Close implements Bus.
func (b *Local) Close() error {
	b.mu.Lock()
	subs := b.subs
	b.subs, b.closed = map[*sub]struct{}{}, true
	b.mu.Unlock()
	for s := range subs {
		close(s.stop)
		<-s.done
	}
	return nil
}
