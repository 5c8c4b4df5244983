package sms

import (
	_ "embed"
	"net/http"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// ID is the plugin's id.
const ID = "sms"

// Version is the plugin's own version.
const Version = "0.1.0"

const (
	// maxText is how long one message may be (vendors' limit, error 21617).
	maxText = 1600
	// maxMedia is how many attachments one message may have (error 21623).
	maxMedia = 10
	// hookBudget leaves three of the carrier's fifteen seconds for the way.
	hookBudget = 12 * time.Second
	// hookBody bounds a webhook. A text has some 2 KiB; add-ons bring JSON.
	hookBody = 256 << 10
)

//go:embed account.schema.json
var accountSchema string

func manifest() sdk.Manifest {
	return sdk.Manifest{
		ID:            ID,
		Name:          "SMS",
		Version:       Version,
		AccountSchema: accountSchema,
		Delivery:      sdk.StoreAndForward,
		Capabilities: sdk.Capabilities{
			Text:          true,
			Files:         true,
			Receipts:      true,
			OutboundFirst: true,
			AddressKind:   "phone",
			Counter:       "gsm7",
			MaxLength:     maxText,
			OfferTitle:    "SMS",
			Medium:        "sms",
			Icon:          "device-mobile",
		},
		Hook:        &sdk.HookInfo{Budget: hookBudget, Methods: []string{http.MethodPost, http.MethodGet}, MaxBody: hookBody},
		CanLookup:   true,
		EgressHosts: []string{"api.twilio.com"},
	}
}
