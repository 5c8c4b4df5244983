package contract_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// frozen is the file with version 1 as released: one line for each thing that must stay.
const frozen = "testdata/v1.txt"

var update = flag.Bool("update", false, "add what is new to testdata/v1.txt; refuses anything else")

// TestFrozen compares the contract with the released one (X1): messages, fields, enum values, calls
// and reserved numbers may be added, but never changed or removed.
func TestFrozen(t *testing.T) {
	text, err := os.ReadFile(frozen)
	if err != nil {
		t.Fatal(err)
	}
	now := describe(pluginv1.File_parley_plugin_v1_plugin_proto)
	broken, added := compare(strings.Split(strings.TrimSpace(string(text)), "\n"), now)
	for _, line := range broken {
		t.Errorf("released, and changed or gone: %s", line)
	}
	switch {
	case len(added) == 0:
	case *update && len(broken) > 0:
		t.Errorf("%s was not updated: it only grows", frozen)
	case *update:
		if err := os.WriteFile(frozen, []byte(strings.Join(now, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("new; run go test ./plugins/contract -run TestFrozen -update, and see docs/plugin-contract.md, Versions:\n%s", strings.Join(added, "\n"))
	}
}

// compare returns the lines that are missing now, and those that are new.
func compare(before, now []string) (broken, added []string) {
	minus := func(a, b []string) []string {
		return slices.DeleteFunc(slices.Clone(a), func(line string) bool { return slices.Contains(b, line) })
	}
	return minus(before, now), minus(now, before)
}

// describe lists a file's contents, in sorted lines: one for each thing, with all that a peer could
// notice of it.
func describe(f protoreflect.FileDescriptor) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	add("package %s %s", f.Package(), f.Syntax())
	for i := range f.Services().Len() {
		s := f.Services().Get(i)
		add("service %s", s.FullName())
		for j := range s.Methods().Len() {
			m := s.Methods().Get(j)
			add("rpc %s (stream=%v %s) returns (stream=%v %s)", m.FullName(),
				m.IsStreamingClient(), m.Input().FullName(), m.IsStreamingServer(), m.Output().FullName())
		}
	}
	describeEnums(f.Enums(), add)
	describeMessages(f.Messages(), add)
	slices.Sort(out)
	return out
}

func describeEnums(enums protoreflect.EnumDescriptors, add func(string, ...any)) {
	for i := range enums.Len() {
		e := enums.Get(i)
		for j := range e.Values().Len() {
			add("enum %s %s = %d", e.FullName(), e.Values().Get(j).Name(), e.Values().Get(j).Number())
		}
		for j := range e.ReservedRanges().Len() {
			r := e.ReservedRanges().Get(j) // both ends are reserved
			add("reserved %s %d to %d", e.FullName(), r[0], r[1])
		}
		describeReservedNames(e.FullName(), e.ReservedNames(), add)
	}
}

func describeMessages(messages protoreflect.MessageDescriptors, add func(string, ...any)) {
	for i := range messages.Len() {
		m := messages.Get(i)
		add("message %s", m.FullName())
		for j := range m.Fields().Len() {
			add("field %s", describeField(m.Fields().Get(j)))
		}
		for j := range m.ReservedRanges().Len() {
			r := m.ReservedRanges().Get(j) // the end itself is not reserved
			add("reserved %s %d to %d", m.FullName(), r[0], r[1]-1)
		}
		describeReservedNames(m.FullName(), m.ReservedNames(), add)
		describeEnums(m.Enums(), add)
		describeMessages(m.Messages(), add)
	}
}

func describeReservedNames(of protoreflect.FullName, names protoreflect.Names, add func(string, ...any)) {
	for i := range names.Len() {
		add("reserved %s name %s", of, names.Get(i))
	}
}

func describeField(fd protoreflect.FieldDescriptor) string {
	kind := fd.Kind().String()
	if fd.Message() != nil {
		kind = string(fd.Message().FullName())
	}
	if fd.Enum() != nil {
		kind = string(fd.Enum().FullName())
	}
	line := fmt.Sprintf("%s %s %s = %d", fd.FullName(), fd.Cardinality(), kind, fd.Number())
	switch o := fd.ContainingOneof(); {
	case o == nil:
	case o.IsSynthetic():
		line += " with presence"
	default:
		line += " in " + string(o.Name())
	}
	return line
}

// TestFreezeNoticesChanges changes a copy of the contract in every way that would break a plugin,
// and in some that would not.
func TestFreezeNoticesChanges(t *testing.T) {
	message := func(f *descriptorpb.FileDescriptorProto, name string) *descriptorpb.DescriptorProto {
		i := slices.IndexFunc(f.MessageType, func(m *descriptorpb.DescriptorProto) bool { return m.GetName() == name })
		return f.MessageType[i]
	}
	released := protodesc.ToFileDescriptorProto(pluginv1.File_parley_plugin_v1_plugin_proto)
	// A contract from which fields and values were removed already.
	message(released, "Ping").ReservedRange = []*descriptorpb.DescriptorProto_ReservedRange{{Start: new(int32(7)), End: new(int32(9))}}
	message(released, "Ping").ReservedName = []string{"old"}
	released.EnumType[0].ReservedRange = []*descriptorpb.EnumDescriptorProto_EnumReservedRange{{Start: new(int32(90)), End: new(int32(91))}}
	for name, tc := range map[string]struct {
		change func(f *descriptorpb.FileDescriptorProto)
		breaks bool
	}{
		"nothing":       {func(*descriptorpb.FileDescriptorProto) {}, false},
		"field renamed": {func(f *descriptorpb.FileDescriptorProto) { message(f, "Pong").Field[0].Name = new("ident") }, true},
		"field renumbered": {func(f *descriptorpb.FileDescriptorProto) {
			message(f, "Pong").Field[0].Number = new(int32(2))
		}, true},
		"another type": {func(f *descriptorpb.FileDescriptorProto) {
			message(f, "Pong").Field[0].Type = descriptorpb.FieldDescriptorProto_TYPE_UINT32.Enum()
		}, true},
		"another label": {func(f *descriptorpb.FileDescriptorProto) {
			message(f, "Pong").Field[0].Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		}, true},
		"field into a oneof": {func(f *descriptorpb.FileDescriptorProto) {
			m := message(f, "Pong")
			m.OneofDecl = append(m.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: new("choice")})
			m.Field[0].OneofIndex = new(int32(0))
		}, true},
		"field with presence": {func(f *descriptorpb.FileDescriptorProto) {
			m := message(f, "Pong")
			m.OneofDecl = append(m.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: new("_id")})
			m.Field[0].OneofIndex, m.Field[0].Proto3Optional = new(int32(0)), new(true)
		}, true},
		"field gone": {func(f *descriptorpb.FileDescriptorProto) { message(f, "Pong").Field = nil }, true},
		"field gone, its number reserved": {func(f *descriptorpb.FileDescriptorProto) {
			message(f, "Pong").Field = nil
			message(f, "Pong").ReservedRange = []*descriptorpb.DescriptorProto_ReservedRange{{Start: new(int32(1)), End: new(int32(2))}}
		}, true},
		"empty message renamed": {func(f *descriptorpb.FileDescriptorProto) {
			message(f, "DrainResponse").Name = new("Drained")
			f.Service[0].Method[3].OutputType = new(".parley.plugin.v1.Drained")
		}, true},
		"enum value renamed":    {func(f *descriptorpb.FileDescriptorProto) { f.EnumType[1].Value[1].Name = new("ACCESS_OPEN") }, true},
		"enum value renumbered": {func(f *descriptorpb.FileDescriptorProto) { f.EnumType[1].Value[1].Number = new(int32(9)) }, true},
		"enum value gone":       {func(f *descriptorpb.FileDescriptorProto) { f.EnumType[1].Value = f.EnumType[1].Value[:3] }, true},
		"call gone":             {func(f *descriptorpb.FileDescriptorProto) { f.Service[1].Method = f.Service[1].Method[1:] }, true},
		"call streams":          {func(f *descriptorpb.FileDescriptorProto) { f.Service[0].Method[0].ServerStreaming = new(true) }, true},
		"call takes something else": {func(f *descriptorpb.FileDescriptorProto) {
			f.Service[0].Method[0].InputType = new(".parley.plugin.v1.Ping")
		}, true},
		"reserved number given back": {func(f *descriptorpb.FileDescriptorProto) { message(f, "Ping").ReservedRange = nil }, true},
		"reserved range narrower":    {func(f *descriptorpb.FileDescriptorProto) { message(f, "Ping").ReservedRange[0].Start = new(int32(8)) }, true},
		"reserved name given back":   {func(f *descriptorpb.FileDescriptorProto) { message(f, "Ping").ReservedName = nil }, true},
		"reserved value given back":  {func(f *descriptorpb.FileDescriptorProto) { f.EnumType[0].ReservedRange = nil }, true},
		"another package": {func(f *descriptorpb.FileDescriptorProto) {
			renamed := []byte(strings.ReplaceAll(mustText(t, f), "parley.plugin.v1", "parley.plugin.w1"))
			proto.Reset(f)
			if err := proto.Unmarshal(renamed, f); err != nil {
				t.Fatal(err)
			}
		}, true},
		"field added": {func(f *descriptorpb.FileDescriptorProto) {
			m := message(f, "Pong")
			one := proto.CloneOf(m.Field[0])
			one.Name, one.JsonName, one.Number = new("note"), new("note"), new(int32(2))
			m.Field = append(m.Field, one)
		}, false},
		"message added": {func(f *descriptorpb.FileDescriptorProto) {
			f.MessageType = append(f.MessageType, &descriptorpb.DescriptorProto{Name: new("Novelty")})
		}, false},
		"enum value added": {func(f *descriptorpb.FileDescriptorProto) {
			f.EnumType[1].Value = append(f.EnumType[1].Value, &descriptorpb.EnumValueDescriptorProto{Name: new("ACCESS_NEW"), Number: new(int32(4))})
		}, false},
		"call added": {func(f *descriptorpb.FileDescriptorProto) {
			one := proto.CloneOf(f.Service[0].Method[0])
			one.Name = new("Novelty")
			f.Service[0].Method = append(f.Service[0].Method, one)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			changed := proto.CloneOf(released)
			tc.change(changed)
			broken, added := compare(describe(file(t, released)), describe(file(t, changed)))
			if (len(broken) > 0) != tc.breaks {
				t.Errorf("broken %q, want some: %v", broken, tc.breaks)
			}
			if name != "nothing" && len(broken)+len(added) == 0 {
				t.Error("not noticed")
			}
		})
	}
}

// mustText returns the encoded file as text; the names that the test replaces in it must keep their
// lengths.
func mustText(t *testing.T, f *descriptorpb.FileDescriptorProto) string {
	t.Helper()
	b, err := proto.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func file(t *testing.T, f *descriptorpb.FileDescriptorProto) protoreflect.FileDescriptor {
	t.Helper()
	d, err := protodesc.NewFile(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
