package kit

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

var idPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

func descriptorChecks() []check {
	return []check{
		{
			group: "descriptor", name: "complete", run: checkDescriptor,
			rule: "Describe answers within 5 s with id, name, version and delivery",
		},
		{
			group: "descriptor", name: "stable", run: checkStable,
			rule: "Describe has no side effects: before and after Configure the same answer",
		},
		{
			group: "descriptor", name: "schemas", run: checkSchemas,
			rule: "the schemas are JSON Schema 2020-12",
		},
		{
			group: "descriptor", name: "routes", run: checkRoutes, needs: needsRoutes,
			rule: "routes are unique prefixes without a leading slash, each with its access",
		},
	}
}

func needsRoutes(s *subject) string {
	if len(s.desc.GetRoutes()) == 0 {
		return "declares no HTTP routes"
	}
	return ""
}

func checkDescriptor(ctx context.Context, s *subject) error {
	p, err := s.start(ctx)
	if err != nil {
		return err
	}
	d, err := p.describe(ctx)
	if err != nil {
		return err
	}
	switch {
	case !idPattern.MatchString(d.GetId()):
		return fmt.Errorf("id %q does not match %s", d.GetId(), idPattern)
	case d.GetName() == "":
		return errors.New("no name")
	case d.GetVersion() == "":
		return errors.New("no version")
	case d.GetDelivery() == pluginv1.Delivery_DELIVERY_UNSPECIFIED:
		return errors.New("no delivery")
	case d.GetCapabilities() == nil:
		return errors.New("no capabilities")
	}
	return nil
}

func checkStable(ctx context.Context, s *subject) error {
	p, err := s.start(ctx)
	if err != nil {
		return err
	}
	first, err := p.describe(ctx)
	if err != nil {
		return err
	}
	if err := s.accept(ctx, p); err != nil {
		return err
	}
	second, err := p.describe(ctx)
	if err != nil {
		return err
	}
	if !proto.Equal(first, second) {
		return errors.New("the answer of Describe changed after Configure")
	}
	return nil
}

func checkSchemas(_ context.Context, s *subject) error {
	for name, text := range map[string]string{"settings": s.desc.GetSettingsSchema(), "account": s.desc.GetAccountSchema()} {
		if text == "" {
			continue
		}
		if _, err := compile(name, text); err != nil {
			return err
		}
	}
	if s.desc.GetId() == "" {
		return errors.New("there is no descriptor")
	}
	return nil
}

func compile(name, text string) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s schema is not JSON: %w", name, err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	url := "plugin:/" + name
	if err := c.AddResource(url, doc); err != nil {
		return nil, fmt.Errorf("%s schema: %w", name, err)
	}
	schema, err := c.Compile(url)
	if err != nil {
		return nil, fmt.Errorf("%s schema: %w", name, err)
	}
	return schema, nil
}

func checkRoutes(_ context.Context, s *subject) error {
	seen := map[string]bool{}
	for _, r := range s.desc.GetRoutes() {
		switch {
		case strings.HasPrefix(r.GetPath(), "/"):
			return fmt.Errorf("route %q has a leading slash", r.GetPath())
		case seen[r.GetPath()]:
			return fmt.Errorf("route %q is declared twice", r.GetPath())
		case r.GetAccess() == pluginv1.Access_ACCESS_UNSPECIFIED:
			return fmt.Errorf("route %q does not say who may use it", r.GetPath())
		}
		seen[r.GetPath()] = true
	}
	return nil
}
