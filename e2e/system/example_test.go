package system_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// The example records work as they stand, but for the carrier's address: no
// test talks to a carrier. Its site takes visitors and its number takes texts.
func TestExampleRecords(t *testing.T) {
	const token = "0123456789abcdef0123456789abcdef"
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "records.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	local := strings.Replace(string(text), "carrier: twilio\n", "carrier: twilio\n      base_url: http://127.0.0.1:1\n", 1)
	if local == string(text) {
		t.Fatal("the example has no carrier")
	}
	d := startDemoWith(t, "", []string{"EXAMPLE_ANA_PASSWORD=correct horse battery", "EXAMPLE_SMS_TOKEN=" + token})
	d.apply(local)
	eventually(t, "visitor on the example's site", 20*time.Second, func() bool {
		c, err := drive.DialCustomer(bounded(t, 5*time.Second), drive.CustomerOptions{URL: d.chatURL(), Site: "main", Origin: "https://www.example.com"})
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	origin, _, _ := strings.Cut(d.info.CustomerPage, "/p/") // webhooks are signed for the chat's, unless there is one of their own
	c, err := drive.NewCarrier(drive.CarrierOptions{
		WebhookURL: origin + "/hooks/" + d.findAccount("SMS line"), AccountSID: "AC00000000000000000000000000000001", AuthToken: token, Number: "+14155550100",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, "text to the example's number", 20*time.Second, func() bool {
		status, err := c.Text(t.Context(), sid(1), "+12125550001", "hello")
		return err == nil && status == 200
	})
}
