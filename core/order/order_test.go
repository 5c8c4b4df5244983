package order_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/order"
)

// session is an author who sends refused items again, in the order in which it sent them first.
var session = order.Author{In: [16]byte{1}, Of: "visitor"}

func repeated(id string) order.Item { return order.Item{Author: session, ID: id, Repeats: true} }

// Y3: items that follow a refused one wait until the refused one has come again.
func TestRepeatsComeInOrder(t *testing.T) {
	k := order.New()
	admits := func(s order.Item, want bool) {
		t.Helper()
		if got := k.Admits(&s); got != want {
			t.Errorf("%q: admitted = %v, want %v", s.ID, got, want)
		}
	}
	a, b, c := k.Arrived(repeated("a")), k.Arrived(repeated("b")), k.Arrived(repeated("c"))
	admits(a, true)
	k.Refused(&a)
	admits(b, false)
	admits(c, false)
	admits(order.Item{Author: order.Author{In: [16]byte{1}, Of: "other"}, ID: "x", Repeats: true}, true)
	admits(order.Item{}, true)
	admits(k.Arrived(repeated("c")), false) // c must not come before a and b
	for _, id := range []string{"a", "b", "c", "d"} {
		admits(k.Arrived(repeated(id)), true)
	}
}

// An item that is refused again keeps the place that it had.
func TestRefusedAgain(t *testing.T) {
	k := order.New()
	a := k.Arrived(repeated("a"))
	k.Refused(&a)
	b := k.Arrived(repeated("b"))
	for range 2 {
		if k.Admits(&b) {
			t.Fatal("b was admitted before a")
		}
	}
	for range 3 {
		again := k.Arrived(repeated("a"))
		if !k.Admits(&again) {
			t.Fatal("a was not admitted although nothing is before it")
		}
		k.Refused(&again)
		if early := k.Arrived(repeated("b")); k.Admits(&early) {
			t.Fatal("b was admitted before a, which was refused again")
		}
	}
}

// A carrier repeats each item by itself, so only items that had arrived before a refusal are
// refused along with the refused one.
func TestWithoutRepeats(t *testing.T) {
	k := order.New()
	item := func() order.Item { return k.Arrived(order.Item{Author: session}) }
	first, second := item(), item()
	k.Refused(&first)
	if k.Admits(&second) {
		t.Error("what had arrived before the refusal was admitted")
	}
	if later := item(); !k.Admits(&later) {
		t.Error("what arrived after the refusal was refused")
	}
}

func TestAuthorWhoNeverComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := order.New()
		a := k.Arrived(repeated("a"))
		k.Refused(&a)
		time.Sleep(14 * time.Second)
		k.Sweep()
		if b := k.Arrived(repeated("b")); k.Admits(&b) {
			t.Error("b was admitted while a may still come again")
		}
		time.Sleep(2 * time.Second)
		k.Sweep()
		if b := k.Arrived(repeated("b")); !k.Admits(&b) {
			t.Error("b was refused 16 s after a, which did not come again")
		}
	})
}
