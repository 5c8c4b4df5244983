package sqlite

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/parley-gateway/parley/core/eventlog"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// summer computes the sum column, a row's checksum. Every field is fixed in size or preceded by its
// length, so that moving bytes from one field to the next changes the sum.
type summer struct {
	crc uint32
	buf [8]byte
}

func (s *summer) num(v uint64) {
	binary.LittleEndian.PutUint64(s.buf[:], v)
	s.crc = crc32.Update(s.crc, castagnoli, s.buf[:])
}

// bytes adds b; nil and empty give the same sum, since the driver does not tell them apart.
func (s *summer) bytes(b []byte) {
	s.num(uint64(len(b)))
	s.crc = crc32.Update(s.crc, castagnoli, b)
}

func (s *summer) id(id eventlog.StreamID) { s.crc = crc32.Update(s.crc, castagnoli, id[:]) }

func eventSum(stream eventlog.StreamID, seq uint64, at int64, e *eventlog.Event) int64 {
	var s summer
	s.id(stream)
	s.num(seq)
	s.num(uint64(at))
	s.num(uint64(e.KeyID))
	s.bytes([]byte(e.Type))
	s.bytes(e.Head)
	s.bytes(e.Body)
	return int64(s.crc)
}

func conversationSum(r *eventlog.ConversationRow, started, ended int64, agents []byte) int64 {
	var s summer
	s.id(r.ID)
	s.num(r.Seq)
	s.id(r.Account)
	s.id(r.Service)
	s.id(r.Contact)
	s.num(uint64(r.KeyID))
	s.bytes([]byte(r.Phase))
	s.bytes([]byte(r.Display))
	s.num(uint64(started))
	s.num(uint64(ended))
	s.bytes(r.State)
	s.bytes(agents)
	return int64(s.crc)
}

func agentSum(r *eventlog.AgentRow) int64 {
	var s summer
	s.id(r.ID)
	s.num(r.Seq)
	s.bytes(r.State)
	return int64(s.crc)
}

func externalSum(account eventlog.StreamID, key eventlog.Key, stream eventlog.StreamID, seq uint64) int64 {
	var s summer
	s.id(account)
	s.bytes(key[:])
	s.id(stream)
	s.num(seq)
	return int64(s.crc)
}

func threadSum(t *eventlog.Thread) int64 {
	var s summer
	s.id(t.Account)
	s.bytes(t.Key[:])
	s.id(t.Conversation)
	return int64(s.crc)
}

func receiptSum(e *eventlog.EarlyReceipt) int64 {
	var s summer
	s.id(e.Account)
	s.bytes(e.Key[:])
	s.bytes([]byte(e.Status))
	s.num(uint64(timeValue(e.At)))
	s.bytes(e.Body)
	s.num(uint64(e.KeyID))
	return int64(s.crc)
}

func outboxSum(r *eventlog.OutboxRow) int64 {
	var s summer
	s.id(r.CommandID)
	s.id(r.Account)
	s.id(r.Conversation)
	for _, n := range []int64{int64(r.Seq), int64(r.Attempt), timeValue(r.NotBefore), timeValue(r.Deadline), r.KeyID, r.Epoch} {
		s.num(uint64(n))
	}
	for _, b := range []string{r.Kind, r.Route, string(r.State), r.Node} {
		s.bytes([]byte(b))
	}
	s.bytes(r.Payload)
	return int64(s.crc)
}
