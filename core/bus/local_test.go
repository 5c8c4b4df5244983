package bus_test

import (
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/core/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHintsReachOthersAndMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.NewLocal()
		block := make(chan struct{})
		var mu sync.Mutex
		var got []uint64
		cancel := b.Subscribe("two", func(h bus.Hint) {
			<-block
			mu.Lock()
			got = append(got, h.Seq)
			mu.Unlock()
		})
		own := 0
		cancelOwn := b.Subscribe("one", func(bus.Hint) { own++ })
		b.Publish(bus.Hint{Node: "one", Kind: bus.Conversation, Stream: [16]byte{1}, Seq: 1})
		synctest.Wait() // the reader is still in its first hint
		for seq := uint64(2); seq <= 100; seq++ {
			b.Publish(bus.Hint{Node: "one", Kind: bus.Conversation, Stream: [16]byte{1}, Seq: seq})
		}
		b.Publish(bus.Hint{Node: "one", Kind: bus.Conversation, Stream: [16]byte{1}, Seq: 50}) // an older sequence, delivered late
		close(block)
		synctest.Wait()
		cancel()
		cancelOwn()
		if len(got) != 2 || got[0] != 1 || got[1] != 100 {
			t.Errorf("a slow reader of seqs 1..100 got %v, want [1 100]", got)
		}
		if own != 0 {
			t.Errorf("the publisher's own node got %d hints, want 0", own)
		}
		b.Publish(bus.Hint{Node: "one", Kind: bus.Agent, Seq: 1})
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		b.Subscribe("three", func(bus.Hint) { t.Error("hint after Close") })()
	})
}
