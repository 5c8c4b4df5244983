package sdk

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// One value of each kind, so that the test finds a kind without a conversion.
var (
	everyPart = []Part{
		Text{}, RichText{}, File{}, Location{}, ContactCard{}, Choices{}, Answer{}, Template{}, Reaction{}, Edit{}, Revoke{},
		Unsupported{},
	}
	everyBody = []EventBody{
		Message{}, LateResult{}, DeliveryStatus{}, Receipt{}, Deferred{}, Start{}, Page{}, End{}, Left{}, Attributes{}, OptOut{},
		ReplyWindow{}, ToolEvent{}, CustomerTool{}, CustomerCall{}, Satisfaction{}, FormAnswer{},
		CallIncoming{}, CallLeg{}, CallDigits{}, CallRecording{}, CallState{}, CallPlayed{}, CallEnded{},
		BotPost{}, BotHandOver{}, BotEnd{}, BotAttributes{},
	}
	everyCall = []CallAction{
		CallDial{}, CallInvite{}, CallRing{}, CallAnswer{}, CallHearing{}, CallHold{}, CallMute{}, CallVideo{}, CallSendDigits{},
		CallTransfer{}, CallPlay{}, CallStop{}, CallRecord{}, CallHangUp{},
	}
)

func TestEveryKindHasItsStruct(t *testing.T) {
	members := func(m proto.Message, oneof protoreflect.Name) int {
		return m.ProtoReflect().Descriptor().Oneofs().ByName(oneof).Fields().Len()
	}
	if parts := members(&pluginv1.Part{}, "part"); len(everyPart) != parts {
		t.Errorf("%d kinds of parts, the contract has %d", len(everyPart), parts)
	}
	// Actions, calls and bots have kinds of their own.
	want := members(&pluginv1.Event{}, "kind") - 3 + members(&pluginv1.CustomerAction{}, "action") +
		members(&pluginv1.CallEvent{}, "event") + members(&pluginv1.BotAction{}, "action")
	if len(everyBody) != want {
		t.Errorf("%d kinds of events, the contract has %d", len(everyBody), want)
	}
	if calls := members(&pluginv1.CallCommand{}, "command"); len(everyCall) != calls || len(callNames) != calls {
		t.Errorf("%d and %d kinds of call commands, the contract has %d", len(everyCall), len(callNames), calls)
	}
}

// filler gives every field a different value.
type filler struct {
	n      int
	part   Part
	body   EventBody
	action CallAction
}

func filled[T any](f *filler) T {
	var v T
	f.fill(reflect.ValueOf(&v).Elem())
	return v
}

func (f *filler) fill(v reflect.Value) {
	f.n++
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.UnixMicro(1_700_000_000_000_000 + int64(f.n)).UTC()
		return
	case *time.Duration:
		*x = time.Duration(f.n) * time.Millisecond
		return
	case *Secret:
		*x = NewSecret(fmt.Sprintf("secret-%d", f.n))
		return
	case *Part:
		*x = f.variant(f.part).(Part)
		return
	case *EventBody:
		*x = f.variant(f.body).(EventBody)
		return
	case *CallAction:
		*x = f.variant(f.action).(CallAction)
		return
	case *Block: // panel_test.go has the other kinds
		*x = PanelText{Text: fmt.Sprintf("block-%d", f.n)}
		return
	case *Effect:
		*x = Toast{Text: fmt.Sprintf("toast-%d", f.n)}
		return
	case *SessionState:
		*x = SessionActive
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("s-%d", f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64: // enums have this kind
		v.SetInt(2)
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(f.n))
	case reflect.Float64:
		v.SetFloat(float64(f.n) + 0.5)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(fmt.Appendf(nil, `"b-%d"`, f.n))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			f.fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key)
		f.fill(value)
		v.SetMapIndex(key, value)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				f.fill(v.Field(i))
			}
		}
	case reflect.Func:
	default:
		panic("no filling for " + v.Type().String())
	}
}

// variant fills a struct of the same type as like.
func (f *filler) variant(like any) any {
	v := reflect.New(reflect.TypeOf(like)).Elem()
	f.fill(v)
	return v.Interface()
}

// unset lists the fields without a value in m and in the messages that it contains, except for
// those named in except.
func unset(m protoreflect.Message, except map[protoreflect.FullName]bool) []string {
	var missing []string
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if except[fd.FullName()] {
			continue
		}
		if !m.Has(fd) {
			if fd.ContainingOneof() == nil {
				missing = append(missing, string(fd.FullName()))
			}
			continue
		}
		switch {
		case fd.IsList() && fd.Message() != nil:
			missing = append(missing, unset(m.Get(fd).List().Get(0).Message(), except)...)
		case fd.Message() != nil:
			missing = append(missing, unset(m.Get(fd).Message(), except)...)
		}
	}
	return missing
}

// notAuthors are the fields that the SDK fills in, and not the plugin.
var notAuthors = map[protoreflect.FullName]bool{
	"parley.plugin.v1.Event.seq":                       true,
	"parley.plugin.v1.Command.seq":                     true,
	"parley.plugin.v1.Hook.id":                         true,
	"parley.plugin.v1.HookResult.id":                   true,
	"parley.plugin.v1.DescribeResponse.minor":          true,
	"parley.plugin.v1.DescribeResponse.abilities":      true,
	"parley.plugin.v1.ConfigureRequest.gateway_socket": true,
	"parley.plugin.v1.ConfigureRequest.http_socket":    true,
	"parley.plugin.v1.ConfigureRequest.identity_key":   true,
}

// there checks a conversion to the wire and back: no field of the message stays empty, and the
// value that comes back equals the first.
func there[T any, M proto.Message](t *testing.T, in T, to func(T) (M, error), from func(M) (T, error)) {
	t.Helper()
	wire, err := to(in)
	if err != nil {
		t.Errorf("%T to the wire: %v", in, err)
		return
	}
	for _, name := range unset(wire.ProtoReflect(), notAuthors) {
		t.Errorf("%T: field %s is left out", in, name)
	}
	out, err := from(wire)
	if err != nil {
		t.Errorf("%T from the wire: %v", in, err)
		return
	}
	opts := cmp.Options{
		cmp.AllowUnexported(Secret{}),
		cmp.FilterPath(func(p cmp.Path) bool {
			last := p.Last().String()
			// MinHostMinor is checked by the SDK and not sent; barrier is a func.
			return last == ".MinHostMinor" || last == ".barrier"
		}, cmp.Ignore()),
		cmp.Comparer(func(a, b json.RawMessage) bool { return string(a) == string(b) }),
	}
	if diff := cmp.Diff(in, out, opts); diff != "" {
		t.Errorf("%T there and back: (-in +out)\n%s", in, diff)
	}
}

// sure adds an error to a conversion that cannot fail.
func sure[A, B any](f func(A) B) func(A) (B, error) {
	return func(a A) (B, error) { return f(a), nil }
}

func TestConversionsAreComplete(t *testing.T) {
	f := &filler{part: Text{}, body: Message{}}
	t.Run("manifest", func(t *testing.T) {
		there(t, filled[Manifest](f), sure(func(m Manifest) *pluginv1.DescribeResponse {
			out := manifestToWire(&m)
			out.Abilities = (&Abilities{}).names(&m, 1) // the ability is how Templates is said
			return out
		}), sure(manifestFromWire))
	})
	t.Run("traits", func(t *testing.T) {
		there(t, filled[[]AccountTraits](f), sure(func(l []AccountTraits) *pluginv1.ConfigureResponse {
			return &pluginv1.ConfigureResponse{Accounts: traitsToWire(l), Problems: problemsToWire(filled[Problems](f)), Restart: true}
		}), sure(func(r *pluginv1.ConfigureResponse) []AccountTraits { return traitsFromWire(r.GetAccounts()) }))
	})
	for _, a := range everyCall {
		t.Run(fmt.Sprintf("call %T", a), func(t *testing.T) {
			f.action = a
			there(t, filled[CallCommand](f), func(c CallCommand) (*pluginv1.Command, error) { return callToWire(&c) },
				func(w *pluginv1.Command) (CallCommand, error) {
					out, err := callFromWire(w, w.GetCall())
					return *out, err
				})
		})
	}
	t.Run("mark read", func(t *testing.T) {
		there(t, filled[MarkReadCommand](f), sure(func(c MarkReadCommand) *pluginv1.Command { return markReadToWire(&c) }),
			sure(func(c *pluginv1.Command) MarkReadCommand { return *markReadFromWire(c, c.GetMarkRead()) }))
	})
	t.Run("typing", func(t *testing.T) {
		there(t, filled[TypingCommand](f), sure(func(c TypingCommand) *pluginv1.Command { return typingToWire(&c) }),
			sure(func(c *pluginv1.Command) TypingCommand { return *typingFromWire(c, c.GetTyping()) }))
	})
	t.Run("templates", func(t *testing.T) {
		there(t, filled[[]TemplateInfo](f), sure(func(l []TemplateInfo) *pluginv1.TemplateList { return templatesToWire("a", l) }),
			sure(func(w *pluginv1.TemplateList) []TemplateInfo { _, l := templatesFromWire(w); return l }))
	})
	t.Run("tool start", func(t *testing.T) {
		there(t, filled[ToolStart](f), sure(func(r ToolStart) *pluginv1.ToolStartRequest { return toolStartToWire(&r) }),
			sure(func(w *pluginv1.ToolStartRequest) ToolStart { return *toolStartFromWire(w) }))
	})
	t.Run("tool end", func(t *testing.T) {
		there(t, filled[ToolEnd](f), sure(func(r ToolEnd) *pluginv1.ToolEndRequest { return toolEndToWire(&r) }),
			sure(func(w *pluginv1.ToolEndRequest) ToolEnd { return *toolEndFromWire(w) }))
	})
	t.Run("tool act", func(t *testing.T) {
		there(t, filled[ToolAct](f), sure(func(r ToolAct) *pluginv1.ToolActRequest { return toolActToWire(&r) }),
			sure(func(w *pluginv1.ToolActRequest) ToolAct { return *toolActFromWire(w) }))
	})
	t.Run("tool answer", func(t *testing.T) {
		there(t, filled[ToolAnswer](f), func(a ToolAnswer) (*pluginv1.ToolActResponse, error) {
			out, err := toolAnswerToWire(&a)
			out.Fault = faultToWire(&ToolFault{Code: "c", Text: "t", RetryAfter: time.Second})
			return out, err
		}, toolAnswerFromWire)
	})
	t.Run("fault", func(t *testing.T) {
		there(t, filled[ToolFault](f), sure(func(x ToolFault) *pluginv1.ToolFault { return faultToWire(&x) }),
			sure(func(w *pluginv1.ToolFault) ToolFault { return *faultFromWire(w) }))
	})
	t.Run("tool notice", func(t *testing.T) {
		there(t, filled[ToolNotice](f), sure(func(n ToolNotice) *pluginv1.ToolNotice { return toolNoticeToWire(&n) }), sure(toolNoticeFromWire))
	})
	t.Run("bot notice", func(t *testing.T) {
		there(t, filled[BotNotice](f), sure(func(n BotNotice) *pluginv1.BotNotice { return botNoticeToWire(&n) }), sure(botNoticeFromWire))
	})
	t.Run("config", func(t *testing.T) {
		there(t, filled[Config](f), sure(func(c Config) *pluginv1.ConfigureRequest { return configToWire(&c) }),
			sure(func(c *pluginv1.ConfigureRequest) Config { return *configFromWire(c) }))
	})
	t.Run("problems", func(t *testing.T) {
		there(t, filled[Problems](f),
			sure(func(p Problems) *pluginv1.ConfigureResponse {
				return &pluginv1.ConfigureResponse{Problems: problemsToWire(p), Restart: true, Accounts: traitsToWire(filled[[]AccountTraits](f))}
			}),
			sure(func(r *pluginv1.ConfigureResponse) Problems { return problemsFromWire(r.GetProblems()) }))
	})
	for _, p := range everyPart {
		t.Run(fmt.Sprintf("part %T", p), func(t *testing.T) {
			there(t, f.variant(p).(Part), partToWire, partFromWire)
		})
	}
	for _, b := range everyBody {
		t.Run(fmt.Sprintf("event %T", b), func(t *testing.T) {
			f.body = b
			there(t, filled[Event](f), func(ev Event) (*pluginv1.Event, error) { return eventToWire(&ev) }, eventFromWire)
		})
	}
	f.body = Message{}
	t.Run("send", func(t *testing.T) {
		there(t, filled[SendCommand](f), func(c SendCommand) (*pluginv1.Command, error) { return sendToWire(&c) },
			func(c *pluginv1.Command) (SendCommand, error) {
				out, err := sendFromWire(c, c.GetSend())
				return *out, err
			})
	})
	t.Run("lookup", func(t *testing.T) {
		there(t, filled[LookupCommand](f), sure(func(c LookupCommand) *pluginv1.Command { return lookupToWire(&c) }),
			sure(func(c *pluginv1.Command) LookupCommand { return *lookupFromWire(c, c.GetLookup()) }))
	})
	t.Run("process", func(t *testing.T) {
		there(t, filled[ProcessCommand](f), sure(func(c ProcessCommand) *pluginv1.Command { return processToWire(&c) }),
			sure(func(c *pluginv1.Command) ProcessCommand { return *processFromWire(c, c.GetProcess()) }))
	})
	t.Run("hook", func(t *testing.T) {
		r := filled[HookRequest](f)
		r.Header = map[string][]string{"X-Signature": {"a", "b"}}
		there(t, r, sure(func(r HookRequest) *pluginv1.Hook { return hookToWire(&r) }),
			sure(func(h *pluginv1.Hook) HookRequest { return *hookFromWire(h) }))
	})
	t.Run("hook response", func(t *testing.T) {
		r := filled[HookResponse](f)
		r.Header = map[string][]string{"Content-Type": {"text/xml"}}
		there(t, r, func(r HookResponse) (*pluginv1.HookResult, error) { return hookResultToWire(&pluginv1.Hook{}, &r) }, hookResultFromWire)
	})
	t.Run("signal", func(t *testing.T) {
		there(t, filled[Signal](f), sure(func(s Signal) *pluginv1.Signal { return signalToWire(&s) }), sure(signalFromWire))
	})
	t.Run("status", func(t *testing.T) {
		there(t, filled[AccountStatus](f), sure(statusToWire), sure(statusFromWire))
	})
	t.Run("record", func(t *testing.T) {
		there(t, filled[Record](f), sure(func(r Record) *pluginv1.Record { return recordToWire(&r) }), sure(recordFromWire))
	})
}

func TestUnknownKindsAreErrors(t *testing.T) {
	if _, err := eventToWire(&Event{}); err == nil {
		t.Error("an event without a body went to the wire")
	}
	if _, err := partsToWire([]Part{nil}); err == nil {
		t.Error("a nil part went to the wire")
	}
	for _, body := range []EventBody{
		BotPost{Parts: []Part{nil}}, Message{Parts: []Part{Template{Placed: []TemplateValue{{Value: Answer{}}}}}},
		ToolEvent{Session: ToolSession{Panel: &Panel{Blocks: []Block{nil}}}},
	} {
		if _, err := eventToWire(&Event{Body: body}); err == nil {
			t.Errorf("%+v went to the wire", body)
		}
	}
	if _, err := callToWire(&CallCommand{}); err == nil {
		t.Error("a call command without an action went to the wire")
	}
	if _, err := toolAnswerToWire(&ToolAnswer{Effects: []Effect{nil}}); err == nil {
		t.Error("a nil effect went to the wire")
	}
	for _, ev := range []*pluginv1.Event{
		{}, {Kind: &pluginv1.Event_Call{}}, {Kind: &pluginv1.Event_Call{Call: &pluginv1.CallEvent{}}},
		{Kind: &pluginv1.Event_Bot{Bot: &pluginv1.BotAction{}}}, {Kind: &pluginv1.Event_Action{Action: &pluginv1.CustomerAction{}}},
	} {
		if _, err := eventFromWire(ev); err == nil {
			t.Errorf("%v came from the wire", ev)
		}
	}
	if _, err := callFromWire(&pluginv1.Command{}, &pluginv1.CallCommand{}); err == nil {
		t.Error("a call command of an unknown kind came from the wire")
	}
	if _, err := partFromWire(&pluginv1.Part{}); err == nil {
		t.Error("a part of an unknown kind came from the wire")
	}
}
