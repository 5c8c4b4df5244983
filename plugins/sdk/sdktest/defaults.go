package sdktest

import (
	"encoding/json"
	"reflect"
	"testing"
)

// Defaults compares what an account's schema says holds when an account says
// nothing with what then holds: settings is the plugin's struct of settings with
// its defaults filled in. Properties without a "default" are not looked at; a
// schema that has none at all fails the test.
func Defaults(tb testing.TB, schema string, settings any) {
	tb.Helper()
	var said map[string]any
	if err := json.Unmarshal([]byte(schema), &said); err != nil {
		tb.Fatalf("sdktest: schema: %v", err)
	}
	b, err := json.Marshal(settings)
	if err != nil {
		tb.Fatalf("sdktest: settings: %v", err)
	}
	var holds map[string]any
	if err := json.Unmarshal(b, &holds); err != nil {
		tb.Fatalf("sdktest: settings: %v", err)
	}
	if compareDefaults(tb, "", said, holds) == 0 {
		tb.Error("the schema has no defaults")
	}
}

// compareDefaults returns how many defaults it found.
func compareDefaults(tb testing.TB, path string, schema, holds map[string]any) (checked int) {
	tb.Helper()
	properties, _ := schema["properties"].(map[string]any)
	for name, p := range properties {
		property, _ := p.(map[string]any)
		if inner, ok := holds[name].(map[string]any); ok {
			checked += compareDefaults(tb, path+"/"+name, property, inner)
		}
		if said, ok := property["default"]; ok {
			checked++
			if !reflect.DeepEqual(said, holds[name]) {
				tb.Errorf("%s/%s: the schema says %v, the settings are %v", path, name, said, holds[name])
			}
		}
	}
	return checked
}
