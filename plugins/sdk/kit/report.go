package kit

import (
	"encoding/xml"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Status is the result of a check.
type Status string

// Results of a check.
const (
	Passed  Status = "pass"
	Failed  Status = "FAIL"
	Skipped Status = "skip"
)

// Check is the outcome of one check.
type Check struct {
	Group, Name string
	Rule        string // the rule in a sentence
	Status      Status
	Detail      string // why it failed or was skipped
	Log         string // the end of the plugin's standard error, after a failure
	Duration    time.Duration
}

// Report is the outcome of a run of the kit.
type Report struct {
	Plugin  string // its id, or the executable if it named none
	Version string
	Checks  []Check
}

// Count returns how many checks ended with st.
func (r Report) Count(st Status) int {
	n := 0
	for _, c := range r.Checks {
		if c.Status == st {
			n++
		}
	}
	return n
}

// OK reports whether nothing failed and something passed.
func (r Report) OK() bool { return r.Count(Failed) == 0 && r.Count(Passed) > 0 }

func (c Check) line() string {
	s := fmt.Sprintf("%s  %s/%s (%v)", c.Status, c.Group, c.Name, c.Duration.Round(time.Millisecond))
	if c.Detail != "" {
		s += ": " + c.Detail
	}
	return s
}

// WriteText writes a table for people.
func (r Report) WriteText(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%s %s\n\n", r.Plugin, r.Version); err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range r.Checks {
		what := c.Rule
		if c.Detail != "" {
			what += ": " + c.Detail
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", c.Status, c.Group, c.Name, c.Duration.Round(time.Millisecond), what)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d passed, %d failed, %d skipped\n", r.Count(Passed), r.Count(Failed), r.Count(Skipped))
	return err
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string    `xml:"classname,attr"`
	Name    string    `xml:"name,attr"`
	Seconds string    `xml:"time,attr"`
	Failure *junitWhy `xml:"failure"`
	Skipped *junitWhy `xml:"skipped"`
	Err     string    `xml:"system-err,omitempty"`
}

type junitWhy struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report as JUnit XML.
func (r Report) WriteJUnit(w io.Writer) error {
	suite := junitSuite{
		Name: r.Plugin, Tests: len(r.Checks), Failures: r.Count(Failed), Skipped: r.Count(Skipped),
	}
	for _, c := range r.Checks {
		one := junitCase{Class: r.Plugin + "." + c.Group, Name: c.Name, Seconds: fmt.Sprintf("%.3f", c.Duration.Seconds()), Err: c.Log}
		switch c.Status {
		case Failed:
			one.Failure = &junitWhy{Message: c.Detail, Text: c.Rule}
		case Skipped:
			one.Skipped = &junitWhy{Message: c.Detail}
		case Passed: // JUnit has no element for it
		}
		suite.Cases = append(suite.Cases, one)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(suite); err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}
