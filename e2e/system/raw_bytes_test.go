package system_test

import (
	"bufio"
	"context"
	bin "encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// PR19, FT22-FT24: raw bytes on every port (webhooks, both sockets, REST,
// uploads, the proxy and the plugins' pages, metrics, the control socket) kill
// no process, and leave goroutines and memory where they were. The bytes are
// requests and frames that are right, changed at random. 10 s, or ten minutes
// under PARLEY_SOAK; PARLEY_RAW_SEED repeats a run's choices.
func TestRawBytes(t *testing.T) {
	long := 10 * time.Second
	if os.Getenv("PARLEY_SOAK") != "" {
		long = 10 * time.Minute
	}
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("PARLEY_RAW_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("seed %d", seed)
	d := startDemo(t, "")
	targets := d.rawTargets()
	processes := d.processes()
	if len(processes) < 3 {
		t.Fatalf("processes of the demo: got %v, want the gateway and two plugins", processes)
	}
	d.chatWorks("before")
	rawAttack(t, targets, seed, long/10) // pools, caches and limiters fill: what is there afterwards is the base
	base := d.weigh(processes)
	tries, answers := rawAttack(t, targets, seed+1, long)
	t.Logf("%d connections, answers by target and status: %v", tries, answers)
	// A plugin whose pings come late on a busy machine is replaced (PR11); what ends
	// by itself was ended by the bytes.
	for _, line := range strings.Split(d.log.String(), "\n") {
		if strings.Contains(line, "plugin crashed") && !strings.Contains(line, "unresponsive") {
			t.Errorf("a plugin has died: %s", line)
		}
	}
	if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(d.gateway(processes)))); err != nil {
		t.Error("the gateway has died")
	}
	for _, target := range targets {
		if len(answers[target.name]) == 0 {
			t.Errorf("%s never answered: its bytes reached nothing", target.name)
		}
	}
	if strings.Contains(d.log.String(), "panic") {
		t.Errorf("a panic is in the log:\n%s", linesWith(d.log.String(), "panic"))
	}
	d.chatWorks("after")
	processes = d.processes() // a plugin may have been replaced
	var last weight
	for end := time.Now().Add(90 * time.Second); ; { // timeouts of what hangs are up to 75 s
		last = d.weigh(processes)
		if last.goroutines <= base.goroutines+40 && last.memory <= base.memory+(96<<20) {
			break
		}
		if time.Now().After(end) {
			t.Errorf("goroutines of the gateway: %d before, %d after; memory of all processes: %d MiB before, %d MiB after",
				base.goroutines, last.goroutines, base.memory>>20, last.memory>>20)
			break
		}
		<-time.After(time.Second)
	}
	t.Logf("goroutines of the gateway: %d before, %d after; memory of all processes: %d MiB before, %d MiB after",
		base.goroutines, last.goroutines, base.memory>>20, last.memory>>20)
}

// rawTarget is a port with what is said on it when all is well.
type rawTarget struct {
	name          string
	network, addr string
	// seeds are whole requests. A socket's begin with the request to upgrade, and
	// go on with frames once that was answered.
	seeds  [][]byte
	frames [][]byte
}

// rawTargets lists every port of a running demo.
func (d *demo) rawTargets() []rawTarget {
	d.t.Helper()
	public := hostPort(d.t, d.info.PublicURL)
	desk, chat := hostOf(d.t, d.info.PublicURL), hostOf(d.t, d.info.CustomerPage)
	bearer := "Authorization: Bearer " + d.token("ana") + "\r\n"
	admin := "Authorization: Bearer " + d.token("adam") + "\r\n"
	line := d.textLine()
	hook, err := url.Parse(line.WebhookURL)
	if err != nil {
		d.t.Fatal(err)
	}
	form := "From=%2B12125550001&To=" + url.QueryEscape(line.Number) + "&Body=hello&MessageSid=" + sid(77) + "&NumMedia=0"
	signed := func(name, value string) drive.CarrierField { return drive.CarrierField{Name: name, Value: value} }
	strange := []drive.CarrierField{signed("From", "+1212555\xff0001"), signed("To", line.Number), signed("Body", "\xc3\x28"), signed("MessageSid", "SM\xff"), signed("ErrorCode", "\xfe")}
	multipart := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n\x1a\n....\r\n--b--\r\n"
	upgrade := "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	post := func(path, host, headers, body string) []byte {
		return []byte("POST " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + headers + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
	}
	get := func(path, host, headers string) []byte {
		return []byte("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + headers + "\r\n")
	}
	const isForm, isJSON = "Content-Type: application/x-www-form-urlencoded\r\n", "Content-Type: application/json\r\n"
	return []rawTarget{
		{name: "webhooks", network: "tcp", addr: public, seeds: [][]byte{
			post(hook.Path, hook.Host, isForm+"X-Twilio-Signature: "+drive.Signature(line.AuthToken, line.WebhookURL, fieldsOf(form))+"\r\n", form),
			post(hook.Path, hook.Host, isForm+"X-Twilio-Signature: "+drive.Signature(line.AuthToken, line.WebhookURL, strange)+"\r\n", encodeFields(strange)),
			post(hook.Path, hook.Host, isForm+"X-Twilio-Signature: AAAA\r\nUser-Agent: caf\xe9\r\n", form),
			get(hook.Path+"?"+form, hook.Host, "X-Twilio-Signature: AAAA\r\n"),
			[]byte("POST " + hook.Path + " HTTP/1.1\r\nHost: " + hook.Host + "\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
		}},
		{name: "rest", network: "tcp", addr: public, seeds: [][]byte{
			get("/api/v1/me", desk, bearer), get("/api/v1/conversations?limit=5", desk, admin), get("/api/v1/accounts", desk, admin),
			post("/api/v1/login", desk, isJSON, `{"login":"nobody","password":"wrong"}`),
			post("/api/v1/contacts", desk, bearer+isJSON+"X-Parley: 1\r\n", `{"first_name":"Raw","addresses":["+12125550009"]}`),
			get("/", desk, "Accept-Encoding: gzip\r\n"), get("/api/v1/openapi.json", desk, ""),
		}},
		{name: "uploads", network: "tcp", addr: public, seeds: [][]byte{
			post("/api/v1/conversations/01890a5d-ac96-774b-bcce-b302099a8057/files", desk, bearer+"Content-Type: multipart/form-data; boundary=b\r\n", multipart),
			post("/p/webchat/upload", chat, "Parley-Grant: AAAA\r\nParley-File-Name: a.png\r\nContent-Type: image/png\r\n", "\x89PNG\r\n\x1a\n...."),
			get("/files/01890a5d-ac96-774b-bcce-b302099a8057?key=A", hostOf(d.t, strings.Replace(d.info.PublicURL, "desk.", "files.", 1)), ""),
		}},
		{name: "pages", network: "tcp", addr: public, seeds: [][]byte{
			get("/p/webchat/widget.js", chat, ""), get("/p/webchat/site/demo", chat, ""), get("/p/webchat/demo/demo", chat, ""),
			get("/p/webchat/../../api/v1/me", chat, ""), get("/p/%2e%2e/ops", chat, ""), get("/p/sms/x", chat, ""), get("/p/none/x", chat, ""),
		}},
		{name: "customers' socket", network: "tcp", addr: public, seeds: [][]byte{get("/p/webchat/ws", chat, upgrade)}, frames: [][]byte{
			textFrame(`{"t":"hello","v":1,"site":"demo","locale":"en"}`), textFrame(`{"t":"register"}`),
			textFrame(`{"t":"start","client_id":"raw","form":{"first_name":"R","message":"m"}}`), textFrame(`{"t":"ping","id":"1"}`), textFrame(`{"t":"grant","id":"1"}`),
		}},
		{name: "agents' socket", network: "tcp", addr: public, seeds: [][]byte{get("/api/v1/stream", desk, upgrade+bearer)}, frames: [][]byte{
			textFrame(`{"t":"hello","cursors":{}}`), textFrame(`{"t":"cmd","id":"1","cmd":"not_ready","reason":"x"}`),
			textFrame(`{"t":"watch","conversation":"01890a5d-ac96-774b-bcce-b302099a8057","after":0}`), textFrame(`{"t":"ping","id":"1"}`),
		}},
		{name: "ops", network: "tcp", addr: hostPort(d.t, d.info.OpsURL), seeds: [][]byte{
			get("/metrics", hostPort(d.t, d.info.OpsURL), "Accept-Encoding: gzip\r\n"), get("/readyz", hostPort(d.t, d.info.OpsURL), ""), get("/healthz", hostPort(d.t, d.info.OpsURL), ""),
		}},
		{name: "control socket", network: "unix", addr: d.controlSocket(), seeds: [][]byte{
			get("/plugins", "control", ""), get("/webhooks", "control", ""), post("/user", "control", isJSON, `{"login":""}`),
			post("/apply", "control", isJSON, `{"records":"accounts: ["}`), post("/plugins/load", "control", isJSON, `"/nowhere"`),
		}},
	}
}

// rawAttack says changed bytes on all targets from many addresses at once, for
// a while, and counts what was answered: per target, by status or "closed".
func rawAttack(t *testing.T, targets []rawTarget, seed uint64, long time.Duration) (tries int, answers map[string]map[string]int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	answers = map[string]map[string]int{}
	var mu sync.Mutex
	var n atomic.Int64
	var wg sync.WaitGroup
	for w := range 2 * len(targets) {
		target, rng := targets[w%len(targets)], rand.New(rand.NewPCG(seed, uint64(w)))
		wg.Go(func() {
			for ctx.Err() == nil {
				status := target.say(ctx, rng)
				n.Add(1)
				if status == "" {
					continue
				}
				mu.Lock()
				if answers[target.name] == nil {
					answers[target.name] = map[string]int{}
				}
				answers[target.name][status]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return int(n.Load()), answers
}

var statusLine = regexp.MustCompile(`^HTTP/1\.[01] (\d{3})`)

// say speaks once with a target; the answer is a status, or "" for none.
func (r rawTarget) say(ctx context.Context, rng *rand.Rand) string {
	var dialer net.Dialer
	if r.network == "tcp" { // each from another address: limits by address must not be what protects
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 9, byte(rng.IntN(256)), byte(1+rng.IntN(254)))}
	}
	c, err := dialer.DialContext(ctx, r.network, r.addr)
	if err != nil {
		<-time.After(10 * time.Millisecond)
		return ""
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	request := r.seeds[rng.IntN(len(r.seeds))]
	if len(r.frames) == 0 || rng.IntN(8) == 0 {
		request = mutated(rng, request, r.seeds)
	}
	if _, err := c.Write(request); err != nil {
		return "closed"
	}
	in := bufio.NewReader(c)
	_ = c.SetReadDeadline(time.Now().Add(time.Duration(20+rng.IntN(200)) * time.Millisecond))
	head, err := in.ReadString('\n')
	m := statusLine.FindStringSubmatch(head)
	if m == nil {
		if err != nil && rng.IntN(2) == 0 {
			return "" // broken off in the middle
		}
		return "closed"
	}
	if m[1] != "101" {
		_, _ = io.CopyN(io.Discard, in, int64(rng.IntN(64<<10)))
		return m[1]
	}
	for range 1 + rng.IntN(12) {
		frame := r.frames[rng.IntN(len(r.frames))]
		if rng.IntN(3) > 0 {
			frame = mutated(rng, frame, r.frames)
		}
		if rng.IntN(4) == 0 {
			frame = oddFrame(rng)
		}
		if _, err := c.Write(frame); err != nil {
			break
		}
	}
	_, _ = io.CopyN(io.Discard, in, 16<<10)
	return m[1]
}

// mutated changes bytes in one to eight places.
func mutated(rng *rand.Rand, b []byte, others [][]byte) []byte {
	b = append([]byte(nil), b...)
	for range 1 + rng.IntN(8) {
		if len(b) == 0 {
			return b
		}
		at := rng.IntN(len(b))
		switch rng.IntN(9) {
		case 0: // flip a bit
			b[at] ^= 1 << rng.IntN(8)
		case 1: // any byte
			b[at] = byte(rng.IntN(256))
		case 2: // more bytes
			b = append(b[:at:at], append(randomBytes(rng, 1+rng.IntN(32)), b[at:]...)...)
		case 3: // fewer
			b = append(b[:at:at], b[min(len(b), at+1+rng.IntN(16)):]...)
		case 4: // cut
			b = b[:at]
		case 5: // twice
			b = append(b, b[at:]...)
		case 6: // the rest of another
			o := others[rng.IntN(len(others))]
			b = append(b[:at:at], o[rng.IntN(len(o)):]...)
		case 7: // a number that is too large, somewhere
			b = append(b[:at:at], append([]byte([]string{"99999999999999999999", "-1", "0x7fffffffffffffff", "18446744073709551615"}[rng.IntN(4)]), b[at:]...)...)
		case 8: // bytes that no text has
			b = append(b[:at:at], append([]byte{0xff, 0x00, '\r', '\n', 0xc0, 0x80}[rng.IntN(6):], b[at:]...)...)
		}
		if len(b) > 256<<10 {
			b = b[:256<<10]
		}
	}
	return b
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.IntN(256))
	}
	return b
}

// oddFrame is a WebSocket frame that RFC 6455 5.2 forbids or that no sane
// client sends: lengths with the top bit set, lengths that never come, long or
// broken-up control frames, continuations of nothing, empty fragments.
func oddFrame(rng *rand.Rand) []byte {
	first := byte(rng.IntN(256))
	if rng.IntN(2) == 0 {
		first = []byte{0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8a}[rng.IntN(9)]
	}
	mask := byte(0x80)
	if rng.IntN(8) == 0 {
		mask = 0
	}
	switch rng.IntN(4) {
	case 0: // 64-bit length
		length := []uint64{1 << 63, 1<<64 - 1, 1<<63 - 1, 1 << 32, 1 << 31, 125, 0, rng.Uint64()}[rng.IntN(8)]
		return append(bin.BigEndian.AppendUint64([]byte{first, mask | 127}, length), randomBytes(rng, 4+rng.IntN(16))...)
	case 1: // 16-bit length
		return append(bin.BigEndian.AppendUint16([]byte{first, mask | 126}, uint16(rng.IntN(1<<16))), randomBytes(rng, 4+rng.IntN(300))...)
	case 2: // many empty fragments
		var b []byte
		for range 1 + rng.IntN(500) {
			b = append(b, first&^0x80&0x0f, mask, 1, 2, 3, 4)
		}
		return b
	default:
		n := rng.IntN(126)
		return append([]byte{first, mask | byte(n)}, randomBytes(rng, 4+n)...)
	}
}

// textFrame is a client's text frame, masked with zeros so that changed bytes
// stay readable to the server.
func textFrame(text string) []byte {
	head := []byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}
	if len(text) > 125 {
		head = append(bin.BigEndian.AppendUint16([]byte{0x81, 0x80 | 126}, uint16(len(text))), 0, 0, 0, 0)
	}
	return append(head, text...)
}

// weight is what the processes hold.
type weight struct {
	goroutines int
	memory     int64 // resident, bytes, of all processes
}

func (d *demo) weigh(processes map[int]string) weight {
	d.t.Helper()
	var w weight
	m := regexp.MustCompile(`(?m)^go_goroutines (\d+)`).FindStringSubmatch(d.metrics())
	if m == nil {
		d.t.Fatal("no go_goroutines in the metrics")
	}
	w.goroutines, _ = strconv.Atoi(m[1])
	for pid := range processes {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
		if err != nil {
			continue // said by who looks whether it lives
		}
		if f := strings.Fields(string(b)); len(f) > 1 {
			pages, _ := strconv.ParseInt(f[1], 10, 64)
			w.memory += pages * int64(os.Getpagesize())
		}
	}
	return w
}

// processes are the gateway's and its plugins' names by pid.
func (d *demo) processes() map[int]string {
	found := map[int]string{}
	for _, name := range []string{"serve", "webchat", "sms"} {
		if pid := d.child(name); pid != 0 {
			found[pid] = name
		}
	}
	return found
}

// gateway is the pid of the gateway among processes.
func (d *demo) gateway(processes map[int]string) int {
	for pid, name := range processes {
		if name == "serve" {
			return pid
		}
	}
	d.t.Fatalf("no gateway among %v", processes)
	return 0
}

// chatWorks has a customer start a chat and write.
func (d *demo) chatWorks(when string) {
	d.t.Helper()
	eventually(d.t, "chat "+when, 60*time.Second, func() bool {
		ctx, cancel := context.WithTimeout(d.t.Context(), 10*time.Second)
		defer cancel()
		c, err := drive.DialCustomer(ctx, drive.CustomerOptions{URL: d.chatURL(), Site: "demo"})
		if err != nil {
			return false
		}
		defer c.Close()
		_, err = c.Start(ctx, "works-"+when, map[string]string{"first_name": "W", "message": when})
		return err == nil
	})
}

// controlSocket is the path of the running gateway's control socket.
func (d *demo) controlSocket() string {
	d.t.Helper()
	var found string
	eventually(d.t, "control socket", 10*time.Second, func() bool {
		_ = filepath.WalkDir(d.data, func(path string, e os.DirEntry, err error) error {
			if err == nil && e.Name() == "control.sock" {
				found = path
			}
			return nil
		})
		return found != ""
	})
	return found
}

func hostOf(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// hostPort is where a URL is dialled: names below localhost are 127.0.0.1.
func hostPort(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", u.Port())
}

func fieldsOf(form string) (out []drive.CarrierField) {
	for _, pair := range strings.Split(form, "&") {
		name, value, _ := strings.Cut(pair, "=")
		value, _ = url.QueryUnescape(value)
		out = append(out, drive.CarrierField{Name: name, Value: value})
	}
	return out
}

func encodeFields(fields []drive.CarrierField) string {
	pairs := make([]string, len(fields))
	for i, f := range fields {
		pairs[i] = f.Name + "=" + url.QueryEscape(f.Value)
	}
	return strings.Join(pairs, "&")
}

func linesWith(text, word string) string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		if strings.Contains(line, word) && len(out) < 10 {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}
