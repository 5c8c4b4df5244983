package sdktest_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/parley-gateway/parley/plugins/sdk/sdktest"
)

// listening keeps the complaints of a check for itself.
type listening struct {
	testing.TB
	heard []string
}

func (l *listening) Errorf(format string, args ...any) {
	l.heard = append(l.heard, fmt.Sprintf(format, args...))
}
func (l *listening) Error(args ...any) { l.heard = append(l.heard, fmt.Sprint(args...)) }

func TestDefaults(t *testing.T) {
	type inner struct {
		Limit int `json:"limit"`
	}
	type settings struct {
		Name string `json:"name"`
		Deep inner  `json:"deep"`
	}
	holds := settings{Name: "x", Deep: inner{Limit: 3}}
	for name, tc := range map[string]struct {
		schema string
		want   []string
	}{
		"the same":        {`{"properties":{"name":{"default":"x"},"deep":{"properties":{"limit":{"default":3}}}}}`, nil},
		"another, inside": {`{"properties":{"deep":{"properties":{"limit":{"default":4}}}}}`, []string{"/deep/limit: the schema says 4, the settings are 3"}},
		"no such setting": {`{"properties":{"title":{"default":"y"}}}`, []string{"/title: the schema says y, the settings are <nil>"}},
		"no defaults":     {`{"properties":{"name":{}}}`, []string{"the schema has no defaults"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := &listening{TB: t}
			sdktest.Defaults(l, tc.schema, holds)
			if !slices.Equal(l.heard, tc.want) {
				t.Errorf("got %q, want %q", l.heard, tc.want)
			}
		})
	}
}
