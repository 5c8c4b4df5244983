package system_test

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// Texts, numbers and tokens of both channels pass in every way there is, the
// wrong ones included. None shows up in logs of any process, metrics or error
// texts, and none lies readable in the data folder or in PostgreSQL's.
func TestCanary(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { canary(t, nil) })
	t.Run("postgres", func(t *testing.T) {
		c := postgres(t)
		d, bearer := canary(t, []string{"PARLEY_STORE=" + c.DSN(c.Database(t))})
		c.Exec(t, "postgres", "CHECKPOINT") // to the tables, too
		d.unreadable(filepath.Dir(c.Data()), bearer)
	})
}

const (
	canaryNumber = "+12125558642"
	canaryMark   = "canary7f3a" // in every text
)

// canary runs the exchanges and looks everywhere but in PostgreSQL's files. The
// demo has ended when it returns; bearer is a token that was given out.
func canary(t *testing.T, env []string) (d *demo, bearer string) {
	t.Helper()
	d = startDemoWith(t, "", append(env, "PARLEY_LOG__LEVEL=debug"))
	said := d.canaryTexts() + d.canaryChat()
	bearer = d.token("adam")
	metrics := d.metrics()
	if log := string(d.parley("log")); strings.Count(log, canaryMark) < 5 {
		t.Fatalf("the texts are not in the event log: the checks prove nothing")
	}
	d.unreadable(d.data, bearer)
	d.stop()
	d.unreadable(d.data, bearer)
	for _, secret := range []string{canaryMark, canaryNumber[1:], d.textLine().AuthToken, bearer} {
		for place, text := range map[string]string{"the processes' log": d.log.String(), "metrics": metrics, "errors": said} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %s", secret, place)
			}
		}
	}
	return d, bearer
}

// canaryTexts exchanges texts and returns what the gateway said of the bad ones.
func (d *demo) canaryTexts() (said string) {
	t, c, k := d.t, d.carrier(), d.desk("ana")
	if err := k.agent.Do(bounded(t, 10*time.Second), "ready", nil, nil); err != nil {
		t.Fatal(err)
	}
	// The carrier's own words hold what was sent.
	for i, fault := range []object{
		{"kind": "latency", "delay_ms": 1},
		{"kind": "status", "status": 400, "body": `{"code":21211,"message":"Invalid 'To' Phone Number: ` + canaryNumber + `, ` + canaryMark + ` out","status":400}`},
		{"kind": "status", "status": 500, "body": canaryMark + " " + canaryNumber},
		{"kind": "reset", "after": true},
	} {
		to := canaryNumber[:len(canaryNumber)-1] + string(rune('2'+i)) // the first is the one that writes below
		fault["to"], fault["count"] = to, 1
		d.sandbox(http.MethodPost, "/_sandbox/faults", fault, nil)
		b := k.begin(to, canaryMark+" out "+string(rune('a'+i)))
		eventually(t, "outcome of the text", 15*time.Second, func() bool { return k.last(b.Message) != fate{} })
	}
	for i, fields := range [][]drive.CarrierField{
		c.TextFields(sid(1), canaryNumber, canaryMark+" in"),
		append(c.TextFields(sid(2), canaryNumber, "STOP "+canaryMark), drive.CarrierField{Name: "OptOutType", Value: "STOP"}),
		append(c.TextFields(sid(3), canaryNumber, canaryMark+" in, from the city"), drive.CarrierField{Name: "X" + canaryMark, Value: canaryMark}),
	} {
		if status, err := c.Deliver(t.Context(), fields...); err != nil || status != 200 {
			t.Errorf("text %d: %d, %v", i, status, err)
		}
	}
	l := d.textLine()
	hookStatus(t, http.MethodPost, l.WebhookURL, "Body="+canaryMark+"&From=%2B"+canaryNumber[1:]+"&MessageSid=SM1", "wrong "+canaryMark)
	hookStatus(t, http.MethodPost, l.WebhookURL+"/"+canaryMark+"?From="+canaryNumber[1:], "%zz"+canaryMark, canaryMark)
	for _, o := range []drive.TextOptions{
		{Account: l.Account, To: canaryNumber, Text: canaryMark + " again", ClientID: "again"}, // is open
		{Account: l.Account, To: canaryMark + canaryNumber, Text: canaryMark, ClientID: "bad"},
		{Account: canaryMark, To: canaryNumber, Text: canaryMark, ClientID: "nobody"},
	} {
		_, err := k.agent.Text(bounded(t, 10*time.Second), o)
		if err == nil {
			t.Errorf("text of %s was taken", o.ClientID)
			continue
		}
		said += err.Error() + "\n"
	}
	return said
}

// canaryChat writes in the web chat.
func (d *demo) canaryChat() (said string) {
	t := d.t
	c, err := drive.DialCustomer(bounded(t, 10*time.Second), drive.CustomerOptions{URL: d.chatURL(), Site: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := bounded(t, 10*time.Second)
	if _, err := c.Start(ctx, "canary", map[string]string{"first_name": canaryMark, "message": canaryMark + " form"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Say(ctx, "canary-2", canaryMark+" chat"); err != nil {
		t.Fatal(err)
	}
	_, err = c.Say(ctx, "canary-3", strings.Repeat(canaryMark, 10_000))
	if err == nil {
		t.Error("an oversized text was taken")
		return ""
	}
	return err.Error()
}

// unreadable looks for what must not be readable in a folder's files. The
// sandbox's own, and demo.json, are the carrier's and the tester's.
func (d *demo) unreadable(folder, bearer string) {
	t := d.t
	t.Helper()
	l := d.textLine()
	secrets := [][]byte{[]byte(canaryMark), []byte(canaryNumber[1:]), []byte(l.AuthToken), []byte(bearer)}
	own := []string{filepath.Join(d.data, "sandbox"), filepath.Join(d.data, "demo.json")}
	files, control := 0, 0
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil //nolint:nilerr // gone meanwhile, as run files and segments go
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		files++
		for _, s := range secrets {
			switch {
			case !bytes.Contains(text, s):
			case slices.ContainsFunc(own, func(o string) bool { return path == o || strings.HasPrefix(path, o+string(filepath.Separator)) }):
				control++
			default:
				t.Errorf("%q is readable in %s", s, path)
			}
		}
		return nil
	})
	if err != nil || files == 0 || folder == d.data && control < len(secrets)-1 {
		t.Errorf("%s: %d files, %d times what is there on purpose, %v: the search proves nothing", folder, files, control, err)
	}
}
