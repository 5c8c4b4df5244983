package main

import (
	"encoding/json"
	"fmt"

	"github.com/parley-gateway/parley/internal/doctor"
)

type doctorCmd struct {
	configFlags
	JSON bool `help:"As JSON."`
}

func (c *doctorCmd) Run(a *app) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	findings := doctor.Examine(a.ctx, cfg, webhookFragment)
	failed := 0
	for _, f := range findings {
		if f.Status == "fail" {
			failed++
		}
		if c.JSON {
			continue
		}
		line := fmt.Sprintf("%-5s %-14s %s", f.Status, f.Name, f.Detail)
		if f.Fix != "" {
			line += "\n      " + f.Fix
		}
		if _, err := fmt.Fprintln(a.stdout, line); err != nil {
			return err
		}
	}
	if c.JSON {
		if err := json.NewEncoder(a.stdout).Encode(findings); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d check(s) failed", failed)
	}
	return nil
}
