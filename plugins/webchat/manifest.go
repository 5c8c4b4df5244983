package webchat

import (
	_ "embed"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// ID is the plugin's id; its pages are served below /p/webchat/.
const ID = "webchat"

// Version is the plugin's own version.
const Version = "0.1.0"

// maxText is the greatest length of one message in UTF-16 units, as browsers count.
const maxText = 4000

// uploadRouteLimit is the most that the gateway lets through for one upload, in bytes; a site's own
// limit (max_file_mb) is at most the same.
const uploadRouteLimit = 64 << 20

//go:embed account.schema.json
var accountSchema string

func manifest() sdk.Manifest {
	return sdk.Manifest{
		ID:            ID,
		Name:          "Web chat",
		Version:       Version,
		AccountSchema: accountSchema,
		Delivery:      sdk.Connected,
		Capabilities: sdk.Capabilities{
			Text:       true,
			RichText:   true,
			Files:      true,
			Choices:    true,
			Typing:     true,
			Read:       true,
			Receipts:   true,
			Links:      true,
			Page:       true,
			Panels:     true,
			MaxLength:  maxText,
			OfferTitle: "Web Chat", // the title that SPEC A2 demands
			Medium:     "chat",
			Icon:       "message-circle",
		},
		Routes: []sdk.Route{
			{Path: "ws", Access: sdk.Public, Upgrade: true},
			{Path: "upload", Access: sdk.GrantOnly, MaxBody: uploadRouteLimit},
			{Path: "", Access: sdk.Public},
		},
	}
}
