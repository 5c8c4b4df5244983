package typescript

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Writer collects the declarations of the types that it is asked for. It only reads the maps; nil =
// empty. Not safe for concurrent use.
type Writer struct {
	// Names are the TypeScript names of Go types; a type that is not listed keeps its own name,
	// with a capital letter.
	Names map[reflect.Type]string
	// Texts are the TypeScript of types that the caller writes; the caller also declares the names
	// in them.
	Texts map[reflect.Type]string
	// Raw are the types of json.RawMessage fields by the field's JSON name; a field that is not
	// listed is unknown in TypeScript.
	Raw map[string]reflect.Type
	// Enums are the values of string types; a type that is not listed is a plain string.
	Enums map[reflect.Type][]string
	// Skip are embedded types whose fields are left out.
	Skip []reflect.Type

	done map[string]declaration
}

type declaration struct {
	of   reflect.Type
	text string
}

// AddEnum adds the values of a string type to enums.
func AddEnum[T ~string](enums map[reflect.Type][]string, values ...T) {
	for _, v := range values {
		enums[reflect.TypeFor[T]()] = append(enums[reflect.TypeFor[T]()], string(v))
	}
}

// Whole returns the TypeScript of a whole frame, head, body or answer: the name of a struct with
// fields, which is declared, or Record<string, never>.
func (w *Writer) Whole(t reflect.Type) string {
	if t.Kind() == reflect.Struct && w.Fields(t) == "" {
		return "Record<string, never>"
	}
	return w.Type(t, "")
}

// Fields returns the lines of an interface with a struct's exported fields, without the field t,
// which tells frames apart.
func (w *Writer) Fields(t reflect.Type) string { return w.fields(t, false) }

// Declarations returns the declarations of all types that were named so far, ordered by name.
func (w *Writer) Declarations() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(w.done)) {
		b.WriteString("\n" + w.done[name].text)
	}
	return b.String()
}

// Type returns the TypeScript of a Go type, and declares the type if it has a name. allowed lists
// the values of a string, or of the strings in a slice, with commas between them; "" = any.
func (w *Writer) Type(t reflect.Type, allowed string) string {
	if text := w.Texts[t]; text != "" {
		return text
	}
	switch {
	case allowed != "" && t.Kind() != reflect.Slice:
		return "'" + strings.ReplaceAll(allowed, ",", "' | '") + "'"
	case t == reflect.TypeFor[time.Time]():
		return "string"
	case t == reflect.TypeFor[json.RawMessage]():
		return "unknown"
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return "string"
	}
	if values := w.Enums[t]; values != nil {
		name := w.name(t)
		w.declare(name, t, func() string {
			return fmt.Sprintf("export type %s =\n  | '%s';\n", name, strings.Join(values, "'\n  | '"))
		})
		return name
	}
	switch t.Kind() {
	case reflect.Pointer:
		return w.Type(t.Elem(), "")
	case reflect.Slice:
		if allowed != "" {
			return "(" + w.Type(t.Elem(), allowed) + ")[]"
		}
		return w.Type(t.Elem(), "") + "[]"
	case reflect.Map:
		return "Record<string, " + w.Type(t.Elem(), "") + ">"
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Interface:
		return "unknown"
	case reflect.Struct:
		return w.object(t)
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint32, reflect.Uint64, reflect.Float64:
		return "number"
	default:
		panic(fmt.Sprintf("no TypeScript for %v", t))
	}
}

func (w *Writer) name(t reflect.Type) string {
	if name := w.Names[t]; name != "" {
		return name
	}
	name, _, _ := strings.Cut(t.Name(), "[")
	return strings.ToUpper(name[:1]) + name[1:]
}

// object returns the name of a struct, or the fields of one without a name.
func (w *Writer) object(t reflect.Type) string {
	if t.Name() == "" && w.Names[t] == "" {
		return "{\n" + w.Fields(t) + "}"
	}
	name := w.name(t)
	w.declare(name, t, func() string { return fmt.Sprintf("export interface %s {\n%s}\n", name, w.Fields(t)) })
	return name
}

// declare writes a type's declaration once. Two types with the same name need a line in Names.
func (w *Writer) declare(name string, t reflect.Type, text func() string) {
	if d, ok := w.done[name]; ok {
		if d.of != t {
			panic(fmt.Sprintf("%v and %v are both called %s", d.of, t, name))
		}
		return
	}
	if w.done == nil {
		w.done = map[string]declaration{}
	}
	w.done[name] = declaration{of: t} // set before text is called, since the type may contain itself
	w.done[name] = declaration{t, text()}
}

// fields returns the lines of an interface. missing marks every field as optional, as those of an
// embedded pointer are.
func (w *Writer) fields(t reflect.Type, missing bool) string {
	var b strings.Builder
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			inner, pointer := f.Type, f.Type.Kind() == reflect.Pointer
			if pointer {
				inner = inner.Elem()
			}
			if !slices.Contains(w.Skip, inner) {
				b.WriteString(w.fields(inner, missing || pointer))
			}
			continue
		case name == "-" || name == "t" || !f.IsExported():
			continue
		}
		b.WriteString(w.field(f, name, options, missing))
	}
	return b.String()
}

func (w *Writer) field(f reflect.StructField, name, options string, missing bool) string {
	raw := f.Type == reflect.TypeFor[json.RawMessage]()
	typ, doc, mark := Indent(w.Type(f.Type, f.Tag.Get("enum"))), "", ""
	if of := w.Raw[name]; raw && of != nil {
		typ = w.Type(of, "")
	}
	nullable := f.Type.Kind() == reflect.Pointer || f.Type.Kind() == reflect.Map || f.Type.Kind() == reflect.Slice && !raw
	optional := strings.Contains(options, "omit")
	if nullable && !optional {
		typ += " | null"
	}
	if optional || missing {
		mark = "?"
	}
	if text := f.Tag.Get("doc"); text != "" {
		doc = "  /** " + text + " */\n"
	}
	return fmt.Sprintf("%s  %s%s: %s;\n", doc, name, mark, typ)
}

// Indent indents all lines of a type but the first, to be placed inside another type.
func Indent(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }

// Keep compares a committed file with the text made from the Go types; with update it writes the
// file instead.
func Keep(file, text string, update bool) error {
	if update {
		return os.WriteFile(file, []byte(text), 0o600)
	}
	have, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if string(have) != text {
		return fmt.Errorf("%s is not what the Go types give", file)
	}
	return nil
}
