package nodes

import (
	"encoding/binary"
	"testing"

	"github.com/parley-gateway/parley/core/eventlog"
)

func id(n int) (out [16]byte) {
	binary.BigEndian.PutUint64(out[:], 0x0190_0000_0000_7000)
	binary.BigEndian.PutUint64(out[8:], mix(uint64(n)))
	return out
}

func named(names ...string) (out []eventlog.Node) {
	for _, n := range names {
		out = append(out, eventlog.Node{Name: n})
	}
	return out
}

// Nodes of two versions must name the same owner, so these answers must never change.
func TestOwnersStayTheSame(t *testing.T) {
	r := newRing(named("a", "b", "c"))
	got := ""
	for i := range 32 {
		got += r.owner(id(i))
	}
	if want := "cbccbbbbcaaabcacbacbbbacccbacccc"; got != want {
		t.Errorf("owners %s, want %s", got, want)
	}
}

func TestOwnersAreSpreadAndMoveLittle(t *testing.T) {
	const n = 30_000
	three, two := newRing(named("a", "b", "c")), newRing(named("c", "a"))
	count := map[string]int{}
	for i := range n {
		o := three.owner(id(i))
		count[o]++
		if after := two.owner(id(i)); o != "b" && after != o {
			t.Fatalf("id %d moved from %s to %s although only b has gone", i, o, after)
		}
	}
	for name, c := range count {
		if c < n/3*95/100 || c > n/3*105/100 {
			t.Errorf("%s owns %d of %d", name, c, n)
		}
	}
}

func TestNodesAboutToStopOwnNothing(t *testing.T) {
	all := named("a", "b")
	all[0].Draining = true
	r := newRing(all)
	for i := range 100 {
		if o := r.owner(id(i)); o != "b" {
			t.Fatalf("owner %s, want b", o)
		}
	}
	all[1].Draining = true
	if o := newRing(all).owner(id(1)); o == "" {
		t.Error("no owner while all nodes are about to stop")
	}
	if o := newRing(nil).owner(id(1)); o != "" {
		t.Errorf("owner %q without nodes", o)
	}
}
