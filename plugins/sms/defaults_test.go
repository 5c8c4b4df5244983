package sms

import (
	"encoding/json"
	"reflect"
	"testing"
)

// The schema tells people what holds when an account says nothing; the settings
// are what then holds.
func TestDefaultsOfTheSchema(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal([]byte(accountSchema), &schema); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(defaultSettings())
	if err != nil {
		t.Fatal(err)
	}
	var holds map[string]any
	if err := json.Unmarshal(b, &holds); err != nil {
		t.Fatal(err)
	}
	checked := 0
	var compare func(path string, schema, holds map[string]any)
	compare = func(path string, schema, holds map[string]any) {
		properties, _ := schema["properties"].(map[string]any)
		for name, p := range properties {
			property := p.(map[string]any)
			if inner, ok := holds[name].(map[string]any); ok {
				compare(path+"/"+name, property, inner)
			}
			if said, ok := property["default"]; ok {
				checked++
				if !reflect.DeepEqual(said, holds[name]) {
					t.Errorf("%s/%s: the schema says %v, the settings are %v", path, name, said, holds[name])
				}
			}
		}
	}
	compare("", schema, holds)
	if checked == 0 {
		t.Error("the schema has no defaults")
	}
}
