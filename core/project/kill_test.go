package project_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/core/database"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/project"
)

// When the test binary is started again with childEnv=DSN it follows the log there. It writes a line when
// a transaction has been applied and is about to be committed, and one when all is applied.
const childEnv = "PARLEY_PROJECT_TEST_CHILD"

func runChild(dsn string) {
	dialect := database.SQLite
	if strings.HasPrefix(dsn, "postgres:") {
		dialect = database.Postgres
	}
	fail := func(err error) {
		fmt.Println("error", err)
		os.Exit(1)
	}
	ctx := context.Background()
	s, err := openStore(ctx, dsn, dialect)
	if err != nil {
		fail(err)
	}
	head, err := s.log.Position(ctx)
	if err != nil {
		fail(err)
	}
	f, err := project.New(project.Options{Node: "child", Log: s.log, Database: s.db, Projections: []project.Projection{
		seen(func(recs []eventlog.Record) error {
			fmt.Println("applied", recs[len(recs)-1].Pos)
			return nil
		}),
	}})
	if err != nil {
		fail(err)
	}
	run, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); f.Run(run) }()
	for {
		all, err := f.Status(ctx)
		if err != nil {
			fail(err)
		}
		if all[0].Position == head {
			break
		}
	}
	cancel()
	<-done
	if err := s.close(); err != nil {
		fail(err)
	}
	fmt.Println("done")
}

// A follower that is killed at any moment, also between applying and committing, skips nothing and
// repeats nothing.
func TestKilled(t *testing.T) {
	dsn := engines.DSN(t)
	s, err := openStore(t.Context(), dsn, engines.Dialect())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s.log, 4, 400)
	if err := s.close(); err != nil { // a child needs the file for itself
		t.Fatal(err)
	}
	kills := 0
	for ended := false; !ended; {
		if kills > 100 {
			t.Fatal("the child never gets to the end")
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dsn)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		// The first is killed in its first transaction, the next in its second, and so on in turn: some
		// positions are committed between two kills.
		for left := kills%3 + 1; lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "error") {
				t.Fatal(lines.Text())
			}
			if ended = lines.Text() == "done"; ended {
				break
			}
			if left--; left == 0 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				kills++
				break
			}
		}
		_ = cmd.Wait() // killed, or ended
	}
	if kills < 3 {
		t.Errorf("only %d kills", kills)
	}
	if s, err = openStore(t.Context(), dsn, engines.Dialect()); err != nil {
		t.Fatal(err)
	}
	wantAll(t, s)
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
