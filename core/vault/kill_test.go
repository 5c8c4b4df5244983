package vault_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/core/vault"
)

// childEnv makes the test binary assign keys until it is killed.
const childEnv = "PARLEY_VAULT_TEST_CHILD" // path or connection string

func runChild() {
	o := vault.Options{Path: os.Getenv(childEnv), Master: master, BlockSize: 8}
	if strings.HasPrefix(o.Path, "postgres") {
		o.Path, o.DSN = "", o.Path
	}
	v, err := vault.Open(context.Background(), o)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for {
		id, err := v.Assign()
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		sealed, err := v.Seal(id, nil, []byte("used"))
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Printf("%d %x\n", id, sealed)
	}
}

// A key that was assigned must be readable after kill -9, and must never be assigned again. The
// process is killed at many moments, also between writing a block and using it.
func TestKillWhileAssigning(t *testing.T) {
	o := options(t)
	rounds := 5
	if os.Getenv("PARLEY_SOAK") != "" {
		rounds = 100
	}
	used := map[int64][]byte{}
	for round := range rounds {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+o.Path+o.DSN)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == 3+round*5 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			id, sealed, ok := parseLine(lines.Text())
			if !ok {
				if strings.HasPrefix(lines.Text(), "error") {
					t.Fatalf("round %d: child: %s", round, lines.Text())
				}
				continue // the line was cut off by the kill
			}
			if _, twice := used[id]; twice {
				t.Fatalf("round %d: key %d handed out twice", round, id)
			}
			used[id] = sealed
		}
		_ = cmd.Wait() // killed
	}
	v := openVault(t, o)
	for id, sealed := range used {
		if got, err := v.Open(id, nil, sealed); err != nil || string(got) != "used" {
			t.Errorf("key %d: got %q, %v", id, got, err)
		}
	}
	if id := assign(t, v); used[id] != nil {
		t.Errorf("key %d handed out again", id)
	}
}

func parseLine(s string) (int64, []byte, bool) {
	idText, hexText, ok := strings.Cut(s, " ")
	id, err := strconv.ParseInt(idText, 10, 64)
	var sealed []byte
	if _, err2 := fmt.Sscanf(hexText, "%x", &sealed); !ok || err != nil || err2 != nil || len(sealed) != len("used")+vault.Overhead {
		return 0, nil, false
	}
	return id, sealed, true
}
