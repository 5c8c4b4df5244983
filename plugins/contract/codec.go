package contract

import (
	"unicode/utf8"

	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Substitute replaces each byte of a string that is not part of valid UTF-8 (ASCII's SUB, U+001A).
// It is one byte for one byte, so that the size of a message, by which credit is counted, stays the
// same.
const Substitute = 0x1A

// NewCodec returns the gRPC codec that both sides of the contract use: plain protobuf, except that
// in a string that is not valid UTF-8 each bad byte is replaced by Substitute, when sending and
// when receiving. The protobuf library refuses such a message as a whole, and gRPC then ends the
// stream, so that one byte from a stranger would end a plugin's session and everything under way in
// it (PR19).
//
// A message without bad bytes costs no more than with gRPC's own codec. mended is called for each
// message with bad bytes; nil = they are not counted.
func NewCodec(mended func()) encoding.CodecV2 {
	if mended == nil {
		mended = func() {}
	}
	return codec{CodecV2: encoding.GetCodecV2(protocodec.Name), mended: mended}
}

type codec struct {
	encoding.CodecV2
	mended func()
}

// Marshal implements encoding.CodecV2. v is not changed.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	data, err := c.CodecV2.Marshal(v)
	if err == nil {
		return data, nil
	}
	m, ok := v.(proto.Message)
	if !ok {
		return nil, err
	}
	copied := proto.Clone(m)
	if !mendMessage(copied.ProtoReflect()) {
		return nil, err
	}
	c.mended()
	return c.CodecV2.Marshal(copied)
}

// Unmarshal implements encoding.CodecV2. data is not changed.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	err := c.CodecV2.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	m, ok := v.(proto.Message)
	if !ok {
		return err
	}
	wire := data.Materialize()
	if !mendWire(wire, m.ProtoReflect().Descriptor()) {
		return err
	}
	c.mended()
	return proto.Unmarshal(wire, m)
}

// mendMessage mends every string in m and reports whether one needed it.
func mendMessage(m protoreflect.Message) (found bool) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		text, message := fd.Kind() == protoreflect.StringKind, fd.Kind() == protoreflect.MessageKind
		switch {
		case fd.IsMap(): // the contract has none (plugin-notes.md 4.10)
		case text && fd.IsList():
			list := m.Mutable(fd).List()
			for i := range list.Len() {
				if s := []byte(list.Get(i).String()); mendText(s) {
					list.Set(i, protoreflect.ValueOfString(string(s)))
					found = true
				}
			}
		case text:
			if s := []byte(v.String()); mendText(s) {
				m.Set(fd, protoreflect.ValueOfString(string(s)))
				found = true
			}
		case message && fd.IsList():
			for i := range v.List().Len() {
				found = mendMessage(v.List().Get(i).Message()) || found
			}
		case message:
			found = mendMessage(v.Message()) || found
		}
		return true
	})
	return found
}

// mendWire mends every string of an encoded message in place and reports whether one needed it. It
// stops where the encoding is broken, and leaves that error to the decoder.
func mendWire(wire []byte, md protoreflect.MessageDescriptor) (found bool) {
	for len(wire) > 0 {
		number, kind, n := protowire.ConsumeTag(wire)
		if n < 0 {
			return found
		}
		wire = wire[n:]
		size := protowire.ConsumeFieldValue(number, kind, wire)
		if size < 0 {
			return found
		}
		if fd := md.Fields().ByNumber(number); fd != nil && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(wire)
			switch fd.Kind() {
			case protoreflect.StringKind:
				found = mendText(value) || found
			case protoreflect.MessageKind:
				found = mendWire(value, fd.Message()) || found
			default: // bytes and packed numbers, which need no mending
			}
		}
		wire = wire[size:]
	}
	return found
}

func mendText(s []byte) (found bool) {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && n == 1 {
			s[i], found = Substitute, true
		}
		i += n
	}
	return found
}
