package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Fault says what is wrong, and where.
type Fault struct {
	Where string // file:line, or the environment variable; "" = the configuration as a whole
	Path  string // key, such as listen.public
	Text  string // what is wrong and what to do
}

// Error contains place, key and remedy, and never a secret.
func (f Fault) Error() string {
	parts := slices.DeleteFunc([]string{f.Where, f.Path, f.Text}, func(s string) bool { return s == "" })
	return strings.Join(parts, ": ")
}

// Faults are all faults of a configuration.
type Faults []Fault

// Error lists the faults, a line each.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, x := range f {
		lines[i] = x.Error()
	}
	return strings.Join(lines, "\n")
}

// Load applies the file (path "" = none) and the environment (as os.Environ returns it) to the
// defaults and validates the result. The error is Faults, or says that the file cannot be read.
func Load(path string, environ []string) (Config, error) {
	c := Default()
	l := &loader{c: &c, lines: map[string]string{}}
	if path != "" {
		src, err := os.ReadFile(path)
		if err != nil {
			return c, fmt.Errorf("config: %w", err)
		}
		l.file(path, src)
	}
	l.environment(environ)
	l.faults = append(l.faults, c.validate(l.lines)...)
	if len(l.faults) > 0 {
		return c, l.faults
	}
	return c, nil
}

// loader fills a Config. The YAML library parses the text, and reports positions and repeated keys.
// The loader sets the values itself instead of using the library's strict decoding, for three
// reasons. That stops at the first fault, so that people would have to correct a file fault by
// fault. It converts numbers before it assigns them (a node named 1.50 would be called 1.5, 5.5
// connections would be 5, 010 would be 8), and takes an empty value for the default. And it does
// not tell the position of each key, which `config print` shows.
type loader struct {
	c      *Config
	faults Faults
	lines  map[string]string // key -> where it was set
}

func (l *loader) fault(where, path, format string, args ...any) {
	l.faults = append(l.faults, Fault{Where: where, Path: path, Text: fmt.Sprintf(format, args...)})
}

// parse parses YAML. The library panics for some malformed texts; such a panic becomes an error.
func parse(src []byte) (f *ast.File, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("cannot be read as YAML")
		}
	}()
	return parser.ParseBytes(src, 0)
}

func (l *loader) file(name string, src []byte) {
	f, err := parse(src)
	if err != nil {
		where, text := name, err.Error()
		var e yaml.Error
		if errors.As(err, &e) && e.GetToken() != nil {
			at := e.GetToken().Position
			where, text = fmt.Sprintf("%s:%d", name, at.Line), fmt.Sprintf("[%d:%d] %s", at.Line, at.Column, e.GetMessage())
		}
		l.fault(where, "", "not valid YAML: %s", text)
		return
	}
	if len(f.Docs) > 1 {
		l.fault(name, "", "has %d documents; keep one", len(f.Docs))
		return
	}
	for _, d := range f.Docs {
		if d.Body != nil {
			l.mapping(name, "", d.Body, reflect.ValueOf(l.c).Elem())
		}
	}
}

// entries are the keys of a mapping; the library has a different node type for a mapping with a
// single key.
func entries(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

// mapping sets the struct v, whose key is prefix, to the values of a mapping.
func (l *loader) mapping(file, prefix string, n ast.Node, v reflect.Value) {
	values, ok := entries(n)
	if !ok {
		if n.Type() != ast.NullType {
			l.fault(at(file, n), prefix, "want a mapping of keys")
		}
		return
	}
	for _, e := range values {
		key := e.Key.GetToken().Value
		path := join(prefix, key)
		where := at(file, e.Key)
		f, secretFile, ok := field(v, key)
		if !ok {
			l.fault(where, path, "unknown key%s", suggest(v, key))
			continue
		}
		l.lines[path] = where
		if f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[Secret]() {
			l.mapping(file, path, e.Value, f)
			continue
		}
		l.leaf(where, path, e.Value, f, secretFile)
	}
}

// leaf sets the value of one key of the file.
func (l *loader) leaf(where, path string, n ast.Node, f reflect.Value, secretFile bool) {
	if f.Kind() == reflect.Slice {
		seq, ok := n.(*ast.SequenceNode)
		if !ok {
			l.fault(where, path, "want a list, such as [a, b]")
			return
		}
		list := []string{}
		for _, item := range seq.Values {
			s, ok := scalar(item)
			if !ok {
				l.fault(at(strings.Split(where, ":")[0], item), path, "want a list of plain values")
				return
			}
			list = append(list, s)
		}
		f.Set(reflect.ValueOf(list))
		l.c.origins[path] = where
		return
	}
	s, ok := scalar(n)
	if !ok {
		l.fault(where, path, "want a single value")
		return
	}
	l.set(where, path, f, s, secretFile)
}

// set parses the text of a value, as it is in the file or in an environment variable; fromFile: the
// text is the name of a file that contains the value.
func (l *loader) set(where, path string, f reflect.Value, s string, fromFile bool) {
	if fromFile {
		path = strings.TrimSuffix(path, "_file")
		b, err := os.ReadFile(s)
		if err != nil {
			l.fault(where, path+"_file", "cannot be read: %v", errors.Unwrap(err))
			return
		}
		s = strings.TrimRight(string(b), "\r\n")
	}
	switch f.Interface().(type) {
	case Secret:
		if f.Interface().(Secret).IsSet() && l.c.origins[path] != "" && sameSource(l.c.origins[path], where) {
			l.fault(where, path, "comes inline and from a file; keep one of them")
			return
		}
		f.Set(reflect.ValueOf(NewSecret(s)))
	case Seconds:
		d, err := parseSeconds(s)
		if err != nil {
			l.fault(where, path, "%v, got %q", err, s)
			return
		}
		f.Set(reflect.ValueOf(d))
	case string, Store:
		f.SetString(s)
	case int:
		n, err := strconv.Atoi(s)
		if err != nil {
			l.fault(where, path, "want a whole number, got %q", s)
			return
		}
		f.SetInt(int64(n))
	case []string:
		f.Set(reflect.ValueOf(strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })))
	}
	l.c.origins[path] = where
}

// sameSource reports whether both places are in the file, or both in the environment.
func sameSource(a, b string) bool {
	return strings.HasPrefix(a, "PARLEY_") == strings.HasPrefix(b, "PARLEY_")
}

const envPrefix = "PARLEY_"

func (l *loader) environment(environ []string) {
	known := map[string]reflect.Value{}
	leaves(reflect.ValueOf(l.c).Elem(), "", func(path string, f reflect.Value) {
		known[EnvName(path)] = f
	})
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(notConfig, name) {
			continue
		}
		if f, ok := known[name]; ok {
			l.set(name, pathOf(name), f, value, false)
			l.lines[pathOf(name)] = name
			continue
		}
		base, isFile := strings.CutSuffix(name, "_FILE")
		if f, ok := known[base]; isFile && ok && f.Type() == reflect.TypeFor[Secret]() {
			l.set(name, pathOf(base)+"_file", f, value, true)
			continue
		}
		l.fault(name, "", "unknown variable; `parley config schema` lists the keys")
	}
}

// notConfig are environment variables that are not settings: those of tests, of the command itself,
// and of the handshake with plugins.
var notConfig = []string{"PARLEY_SOAK", "PARLEY_SOAK_KILLS", "PARLEY_CONFIG", "PARLEY_PLUGIN"}

// EnvName is the environment variable of a key: listen.public is PARLEY_LISTEN__PUBLIC.
func EnvName(path string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "__"))
}

func pathOf(env string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(env, envPrefix), "__", "."))
}

// leaves calls visit for every key that has a value and no keys below it.
func leaves(v reflect.Value, prefix string, visit func(path string, f reflect.Value)) {
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("yaml")
		if tag == "" {
			continue
		}
		f := v.Field(i)
		if f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[Secret]() {
			leaves(f, join(prefix, tag), visit)
			continue
		}
		visit(join(prefix, tag), f)
	}
}

// field returns the field of a key; secretFile: the key names a file that contains the value of
// that field, which is a Secret.
func field(v reflect.Value, key string) (f reflect.Value, secretFile, ok bool) {
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("yaml")
		if tag != "" && tag == key {
			return v.Field(i), false, true
		}
		if tag != "" && tag+"_file" == key && v.Field(i).Type() == reflect.TypeFor[Secret]() {
			return v.Field(i), true, true
		}
	}
	return reflect.Value{}, false, false
}

// suggest names known keys that are similar to an unknown one.
func suggest(v reflect.Value, key string) string {
	var known []string
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "" {
			if strings.HasPrefix(tag, key[:min(2, len(key))]) {
				return fmt.Sprintf("; did you mean %s?", tag)
			}
			known = append(known, tag)
		}
	}
	return "; known here: " + strings.Join(known, ", ")
}

// scalar is the text of a single value, as it is written; false: n is not a single value.
func scalar(n ast.Node) (string, bool) {
	switch s := n.(type) {
	case *ast.StringNode:
		return s.Value, true
	case *ast.LiteralNode:
		return s.Value.Value, true
	case *ast.NullNode:
		return "", true
	case ast.ScalarNode:
		return s.GetToken().Value, true
	}
	return "", false
}

func at(file string, n ast.Node) string {
	return fmt.Sprintf("%s:%d", file, n.GetToken().Position.Line)
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}
