package sandbox

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// overrides are the connection settings for one webhook, from the fragment of its URL (vendors'
// page "Connection overrides", August 2026).
type overrides struct {
	connect, read, total time.Duration
	retries              int
	on                   map[string]bool // on which failures to retry: 4xx, 5xx, ct, rt
}

// parseOverrides splits a URL into the part that is requested and signed, and the overrides. Values
// out of range are errors, Twilio's 11243.
func parseOverrides(rawURL string) (bare string, o overrides, err error) {
	o = overrides{connect: 5 * time.Second, read: 15 * time.Second, total: 15 * time.Second, retries: 1, on: map[string]bool{"ct": true}}
	bare, fragment, has := strings.Cut(rawURL, "#")
	if !has {
		return bare, o, nil
	}
	for pair := range strings.SplitSeq(fragment, "&") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			continue // a fragment without overrides
		}
		switch key {
		case "ct":
			o.connect, err = milliseconds(value, 10000)
		case "rt":
			o.read, err = milliseconds(value, 15000)
		case "tt":
			o.total, err = milliseconds(value, 15000)
		case "rc":
			o.retries, err = strconv.Atoi(value)
			if err == nil && (o.retries < 0 || o.retries > 5) {
				err = fmt.Errorf("must be 0 to 5")
			}
		case "rp":
			o.on, err = retryPolicy(value)
		}
		if err != nil {
			return bare, o, fmt.Errorf("connection override %s: %w", key, err)
		}
	}
	return bare, o, nil
}

func milliseconds(value string, most int) (time.Duration, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 100 || n > most {
		return 0, fmt.Errorf("must be 100 to %d milliseconds", most)
	}
	return time.Duration(n) * time.Millisecond, nil
}

func retryPolicy(value string) (map[string]bool, error) {
	on := map[string]bool{}
	for p := range strings.SplitSeq(value, ",") {
		switch p {
		case "4xx", "5xx", "ct", "rt":
			on[p] = true
		case "all":
			on["4xx"], on["5xx"], on["ct"], on["rt"] = true, true, true, true
		default:
			return nil, fmt.Errorf("must be a list of 4xx, 5xx, ct, rt, all")
		}
	}
	return on, nil
}

// again reports whether the attempt may be repeated.
func (o overrides) again(a Attempt) bool {
	switch {
	case a.Failure == failedConnect:
		return o.on["ct"]
	case a.Failure != "":
		return o.on["rt"]
	case a.Code >= 500:
		return o.on["5xx"]
	case a.Code >= 400:
		return o.on["4xx"]
	}
	return false
}
