package sms

import (
	"testing"

	"github.com/parley-gateway/parley/plugins/sdk/sdktest"
)

func TestDefaultsOfTheSchema(t *testing.T) { sdktest.Defaults(t, accountSchema, defaultSettings()) }
