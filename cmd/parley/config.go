package main

import (
	"fmt"

	"github.com/parley-gateway/parley/config"
)

type configCmd struct {
	Check  configCheckCmd  `cmd:"" help:"Report every fault, with line and fix."`
	Print  configPrintCmd  `cmd:"" help:"Print every value and where it came from; secrets are masked."`
	Schema configSchemaCmd `cmd:"" help:"Print the JSON Schema of parley.yaml, for editors."`
}

type configCheckCmd struct{ configFlags }

func (c *configCheckCmd) Run(a *app) error {
	if _, err := c.load(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.stdout, "ok")
	return err
}

type configPrintCmd struct{ configFlags }

func (c *configPrintCmd) Run(a *app) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	return cfg.Print(a.stdout)
}

type configSchemaCmd struct{}

func (c *configSchemaCmd) Run(a *app) error {
	b, err := config.Schema()
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(b)
	return err
}
