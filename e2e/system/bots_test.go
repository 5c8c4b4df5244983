package system_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// addExample adds one of the SDK's examples to the demo.
func (d *demo) addExample(name string) {
	d.t.Helper()
	d.parley("plugin", "add", install(d.t, d.data, name))
}

// examples are the SDK's examples that were built, by name.
var examples = struct {
	sync.Mutex
	dir   string // TestMain's
	built map[string][]byte
}{built: map[string][]byte{}}

// install puts one of the SDK's examples, which is built once, into the plugin folder of a data folder, and returns
// the plugin's own folder.
func install(t *testing.T, data, name string) (dir string) {
	t.Helper()
	examples.Lock()
	defer examples.Unlock()
	source := filepath.Join("..", "..", "plugins", "sdk", "examples", name)
	if examples.built[name] == nil {
		file := filepath.Join(examples.dir, name)
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", file, "./"+source).CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
		program, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		examples.built[name] = program
	}
	manifest, err := os.ReadFile(filepath.Join(source, "plugin.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(data, "plugins", name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), examples.built[name], 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "plugin.yaml"), manifest, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

const parrotSite = `
services:
  - {name: Parrots, teams: [Front Office], bot: Polly}
accounts:
  - {name: Polly, plugin: parrot, inbound: none}
  - {name: parrots, plugin: webchat, service: Parrots, settings: {site: parrots}}
`

// talker is a visitor who comes back whenever the socket is lost, and says again what was not
// accepted.
type talker struct {
	d     *demo
	token string
	c     *drive.Customer
}

func (k *talker) say(ctx context.Context, clientID, text string) error {
	for ctx.Err() == nil {
		if k.c == nil {
			c, err := drive.DialCustomer(ctx, drive.CustomerOptions{URL: k.d.chatURL(), Site: "parrots", Token: k.token})
			if err != nil {
				<-time.After(50 * time.Millisecond)
				continue
			}
			k.c = c
		}
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		var err error
		if k.token == "" {
			_, err = k.c.Start(once, clientID, map[string]string{"first_name": "Cora", "message": text})
			k.token = k.c.Token
		} else {
			_, err = k.c.Say(once, clientID, text)
		}
		cancel()
		if err == nil {
			return nil
		}
		k.c.Close()
		k.c = nil
	}
	return ctx.Err()
}

// A17, PR1, PR3, PR4, FT1, FT5: a bot in a process of its own answers each text of each customer
// once, in order, while it and the gateway are killed; on a word, people take over.
func TestBotThroughKills(t *testing.T) {
	d := startDemo(t, "")
	d.addExample("parrot")
	d.apply(parrotSite)
	ctx := bounded(t, 3*time.Minute)
	first := talker{d: d}
	eventually(t, "a bot that answers", 30*time.Second, func() bool { // the plugin and the site come up
		k := talker{d: d}
		if err := k.say(ctx, "s", "are you there?"); err != nil {
			t.Fatal(err)
		}
		k.c.Close()
		return len(d.answers()) > 0
	})
	const visitors, texts = 5, 12
	var all sync.WaitGroup
	for v := range visitors {
		all.Go(func() {
			k := talker{d: d}
			for n := range texts {
				if err := k.say(ctx, id("c", n), fmt.Sprintf("visitor %d text %d", v, n)); err != nil {
					t.Errorf("visitor %d: %v", v, err)
					return
				}
			}
			if v == 0 {
				first = k
			} else if k.c != nil {
				k.c.Close()
			}
		})
	}
	for _, what := range []string{"parrot", "parrot", "serve", "parrot"} {
		before := len(d.answers())
		eventually(t, "an answer before the next kill", 30*time.Second, func() bool { return len(d.answers()) > before || len(d.answers()) >= visitors*texts })
		d.killer(what).do()
	}
	all.Wait()
	if t.Failed() {
		return
	}
	want := visitors * texts
	eventually(t, "answer to every text", 60*time.Second, func() bool {
		n := 0
		for _, text := range d.answers() {
			if strings.Contains(text, "visitor ") {
				n++
			}
		}
		return n >= want
	})
	byStream := map[string][]string{}
	for _, e := range d.events() {
		if text, ok := said(e); ok {
			byStream[e.Stream] = append(byStream[e.Stream], text)
		}
	}
	total := 0
	for stream, lines := range byStream {
		var asked, answered []string
		for _, l := range lines {
			if text, ok := strings.CutPrefix(l, "You said: "); ok {
				answered = append(answered, text)
			} else {
				asked = append(asked, l)
			}
		}
		if !strings.HasPrefix(asked[0], "visitor ") {
			continue // from before the plugin was there
		}
		total += len(answered)
		if !slices.Equal(asked, answered) {
			t.Errorf("conversation %s: %d texts, %d answers\nasked    %q\nanswered %q", stream, len(asked), len(answered), asked, answered)
		}
	}
	if total != want {
		t.Errorf("%d answers, want %d", total, want)
	}

	if err := first.say(ctx, "people", "agent"); err != nil {
		t.Fatal(err)
	}
	defer first.c.Close()
	eventually(t, "queue after the hand-over", 30*time.Second, func() bool {
		kinds := map[string]int{}
		for _, e := range d.events() {
			kinds[e.Type]++
		}
		return kinds["note/1"] == 1 && kinds["routing.requested/1"] >= 1
	})
}

// said is the text of a message event.
func said(e logged) (string, bool) {
	if e.Type != "message/1" {
		return "", false
	}
	var body struct {
		Parts []struct{ Text string }
	}
	if json.Unmarshal(e.Body, &body) != nil || len(body.Parts) != 1 {
		return "", false
	}
	return body.Parts[0].Text, true
}

// answers are the bot's messages in the log.
func (d *demo) answers() (out []string) {
	for _, e := range d.events() {
		if text, ok := said(e); ok && strings.HasPrefix(text, "You said: ") {
			out = append(out, text)
		}
	}
	return out
}
