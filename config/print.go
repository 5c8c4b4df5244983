package config

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"

	"github.com/invopop/jsonschema"
)

// Print writes every key with its value and where the value came from. Secrets are masked.
func (c *Config) Print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	leaves(reflect.ValueOf(c).Elem(), "", func(path string, f reflect.Value) {
		from := c.origins[path]
		if from == "" {
			from = "default"
		}
		value := fmt.Sprint(f.Interface())
		if list, ok := f.Interface().([]string); ok {
			value = strings.Join(list, ",")
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t# %s\n", path, value, from) // Flush returns the error
	})
	return tw.Flush()
}

// Schema is the JSON Schema (2020-12) of the file, for editors.
func Schema() ([]byte, error) {
	r := jsonschema.Reflector{
		FieldNameTag: "yaml", DoNotReference: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			switch t {
			case reflect.TypeFor[Secret](), reflect.TypeFor[Store]():
				return &jsonschema.Schema{Type: "string"}
			case reflect.TypeFor[Seconds]():
				return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string"}, {Type: "number"}}}
			}
			return nil
		},
	}
	s := r.Reflect(&Config{})
	s.Title = "parley.yaml"
	s.Properties.Set("store_password_file", &jsonschema.Schema{Type: "string", Description: "File with the password, instead of store_password."})
	if vault, ok := s.Properties.Get("vault"); ok {
		vault.Properties.Set("master_key_file", &jsonschema.Schema{Type: "string", Description: "File with the master key, instead of master_key."})
		vault.Properties.Set("master_key_previous_file", &jsonschema.Schema{Type: "string", Description: "File with the master key before, instead of master_key_previous."})
		vault.Properties.Set("store_password_file", &jsonschema.Schema{Type: "string", Description: "File with the password, instead of store_password."})
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("config: schema: %w", err)
	}
	return append(b, '\n'), nil
}
