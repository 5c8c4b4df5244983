package api

import (
	"encoding"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The OpenAPI description has a property for every field in a type's JSON, and no other. A field
// that is embedded under an unexported name would be sent, but huma does not describe it.
func TestEveryFieldIsDescribed(t *testing.T) {
	mux := http.NewServeMux()
	a := &API{huma: newHuma(mux, "test")}
	a.routes()
	if err := a.serveDescription(mux); err != nil {
		t.Fatal(err)
	}
	registry := a.huma.OpenAPI().Components.Schemas
	compared := 0
	for name, schema := range registry.Map() {
		if schema.Type != "object" {
			continue
		}
		v := reflect.New(registry.TypeFromRef("#/components/schemas/" + name)).Elem()
		fill(v)
		text, err := json.Marshal(v.Interface())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var sent map[string]json.RawMessage
		if err := json.Unmarshal(text, &sent); err != nil {
			t.Errorf("%s: %v in %s", name, err, text)
			continue
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(sent)), slices.Sorted(maps.Keys(schema.Properties))); diff != "" {
			t.Errorf("%s (%s): the description differs from the JSON (- sent, + described):\n%s", name, v.Type(), diff)
		}
		compared++
	}
	if compared < 50 {
		t.Errorf("compared %d types, want all", compared)
	}
}

// fill sets every field of v, so that no omitempty or omitzero leaves one out.
func fill(v reflect.Value) {
	if v.CanSet() {
		switch v.Interface().(type) {
		case json.RawMessage:
			v.SetBytes([]byte(`{}`))
			return
		case json.Marshaler, encoding.TextMarshaler:
			if v.Kind() == reflect.Struct {
				return // such as time.Time, which is not omitted or is a pointer
			}
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() || v.Type().Field(i).Anonymous { // the fields of an embedded struct can be set
				fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	default:
		switch {
		case v.CanInt():
			v.SetInt(1)
		case v.CanUint():
			v.SetUint(1)
		case v.CanFloat():
			v.SetFloat(1)
		}
	}
}
