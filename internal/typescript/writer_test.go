package typescript_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/internal/typescript"
)

type header struct {
	T string `json:"t"`
}

type colour string

type leaf struct {
	Colour colour `json:"colour"`
}

type sample struct {
	header
	*leaf
	ID     string            `json:"id" doc:"In lower case"`
	Size   uint64            `json:"size,omitempty"`
	At     time.Time         `json:"at,omitzero"`
	Leaf   *leaf             `json:"of"`
	Leaves []leaf            `json:"leaves,omitempty"`
	Names  map[string]string `json:"names"`
	Mode   string            `json:"mode" enum:"on,off"`
	Modes  []string          `json:"modes" enum:"on,off"`
	Raw    json.RawMessage   `json:"raw"`
	Known  json.RawMessage   `json:"known"`
	Inner  struct {
		A []struct {
			B bool `json:"b"`
		} `json:"a"`
	} `json:"inner"`
	Hidden string `json:"-"`
	own    string
}

const want = `
export type Colour =
  | 'red'
  | 'blue';

export interface Leaf {
  colour: Colour;
}

export interface Sample {
  colour?: Colour;
  /** In lower case */
  id: string;
  size?: number;
  at?: string;
  of: Leaf | null;
  leaves?: Leaf[];
  names: Record<string, string> | null;
  mode: 'on' | 'off';
  modes: ('on' | 'off')[] | null;
  raw: unknown;
  known: Leaf;
  inner: {
    a: {
      b: boolean;
    }[] | null;
  };
}
`

func TestWriter(t *testing.T) {
	enums := map[reflect.Type][]string{}
	typescript.AddEnum(enums, colour("red"), colour("blue"))
	w := &typescript.Writer{
		Enums: enums, Skip: []reflect.Type{reflect.TypeFor[header]()},
		Raw: map[string]reflect.Type{"known": reflect.TypeFor[leaf]()},
	}
	if got := w.Whole(reflect.TypeOf(sample{own: ""})); got != "Sample" {
		t.Errorf("whole = %s, want Sample", got)
	}
	if got := w.Whole(reflect.TypeFor[header]()); got != "Record<string, never>" {
		t.Errorf("whole of a header = %s, want an empty record", got)
	}
	if got := w.Declarations(); got != want {
		t.Errorf("declarations:%s\nwant:%s", got, want)
	}
}

// TestOneNameOneType: a second type with the name of another one must not silently get that one's
// fields.
func TestOneNameOneType(t *testing.T) {
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, "both called Leaf") {
			t.Errorf("panic %q, want both called Leaf", text)
		}
	}()
	w := &typescript.Writer{Names: map[reflect.Type]string{reflect.TypeFor[sample](): "Leaf"}}
	w.Whole(reflect.TypeFor[leaf]())
	w.Whole(reflect.TypeFor[sample]())
}

func TestKeep(t *testing.T) {
	file := filepath.Join(t.TempDir(), "types.ts")
	if err := typescript.Keep(file, "a", false); !os.IsNotExist(err) {
		t.Errorf("without a file: %v, want that there is none", err)
	}
	if err := typescript.Keep(file, "a", true); err != nil {
		t.Fatal(err)
	}
	if err := typescript.Keep(file, "a", false); err != nil {
		t.Errorf("the same text: %v", err)
	}
	if err := typescript.Keep(file, "b", false); err == nil {
		t.Error("another text: no error")
	}
}
