package directory

import (
	"errors"
	"fmt"
	"strings"
)

// ErrSecretPlace: records from a request name a file or an environment variable for a secret.
var ErrSecretPlace = errors.New("a secret must stand in the text: files and variables of the server are not read for a request")

// ParseRecordsText is ParseRecords for text that may not read the server's
// files and environment: the body of a request.
func ParseRecordsText(text []byte, name string) (Records, error) {
	var r Records
	if len(text) > maxRecords {
		return r, fmt.Errorf("%s: larger than 16 MiB", name)
	}
	file, err := decode(text, &r)
	switch {
	case err != nil:
		return Records{}, yamlError(name, err)
	case len(file.Docs) > 1:
		return Records{}, fmt.Errorf("%s: must be one YAML document", name)
	}
	r.source = &source{name: name, file: file}
	var errs []error
	refuse := func(path string, bad bool) {
		if bad {
			errs = append(errs, &RecordError{Where: r.source.at(path), Err: ErrSecretPlace})
		}
	}
	for i, u := range r.Users {
		refuse(fmt.Sprintf("users[%d].password", i), u.Password.elsewhere())
	}
	for i, a := range r.Accounts {
		for key, s := range a.Secrets {
			refuse(fmt.Sprintf("accounts[%d].secrets.%s", i, key), s.elsewhere() || strings.HasSuffix(key, "_file"))
		}
	}
	if len(errs) > 0 {
		return Records{}, errors.Join(errs...)
	}
	return r, nil
}

// elsewhere reports whether the secret must be fetched from a file or variable.
func (s Secret) elsewhere() bool { return s.file != "" || s.env != "" }
