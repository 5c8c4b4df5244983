package sms

import (
	"net/url"
	"slices"
	"strings"
)

// maxParams bounds the parameters of a webhook. A text has some 25; an MMS
// with add-ons has fewer than 100.
const maxParams = 1000

// param is one decoded parameter.
type param struct{ name, value string }

// parseForm appends the parameters of an application/x-www-form-urlencoded text to list, in the
// text's order. False: a broken escape, or too many parameters.
func parseForm(list []param, text string) ([]param, bool) {
	for text != "" {
		var pair string
		pair, text, _ = strings.Cut(text, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		var err1, err2 error
		name, err1 = url.QueryUnescape(name)
		value, err2 = url.QueryUnescape(value)
		if err1 != nil || err2 != nil || len(list) == maxParams {
			return list, false
		}
		list = append(list, param{name, value})
	}
	return list, true
}

// sortParams sorts by name in byte order, as signatures need it. Values of a repeated name keep
// their order.
func sortParams(list []param) {
	slices.SortStableFunc(list, func(a, b param) int { return strings.Compare(a.name, b.name) })
}

// get returns the first value under name in a sorted list.
func get(list []param, name string) string {
	i, ok := slices.BinarySearchFunc(list, name, func(p param, name string) int { return strings.Compare(p.name, name) })
	if !ok {
		return ""
	}
	return list[i].value
}

// queryOf returns a URL's query, still encoded.
func queryOf(address string) string {
	address, _, _ = strings.Cut(address, "#")
	_, query, _ := strings.Cut(address, "?")
	return query
}
