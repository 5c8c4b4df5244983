package directory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/parley-gateway/parley/core/conversation"
)

// maxRecords bounds the size of a records file, in bytes.
const maxRecords = 16 << 20

// source finds the line of a path in a parsed file.
type source struct {
	name string
	file *ast.File
}

// at returns file and line of a path such as "users[2].role", or of the longest part of the path
// that the file has.
func (s *source) at(path string) string {
	if s == nil {
		return path
	}
	for p := path; p != ""; p = parent(p) {
		yp, err := yaml.PathString("$." + p)
		if err != nil {
			continue
		}
		n, err := yp.FilterFile(s.file)
		if err == nil && n != nil && n.GetToken() != nil {
			return fmt.Sprintf("%s:%d: %s", s.name, n.GetToken().Position.Line, path)
		}
	}
	return s.name + ": " + path
}

func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// RecordError says what is wrong in a set of records, and where.
type RecordError struct {
	Where string // "records.yaml:12: users[0].role", or the path alone
	Err   error
}

func (e *RecordError) Error() string { return e.Where + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *RecordError) Unwrap() error { return e.Err }

// ParseRecords reads records.yaml strictly: unknown keys, repeated keys and
// wrong types are errors that name file and line. Secrets are fetched from
// the files (relative to the file's own folder) and environment variables
// that it names: give it only text that may do that, never a request's body.
// name is the file's path, for messages.
func ParseRecords(text []byte, name string) (Records, error) {
	return ParseRecordsEnv(text, name, os.LookupEnv)
}

// ParseRecordsEnv is ParseRecords with lookup in place of the process's environment.
func ParseRecordsEnv(text []byte, name string, lookup func(string) (string, bool)) (Records, error) {
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
	if err := r.resolve(filepath.Dir(name), lookup); err != nil {
		return Records{}, err
	}
	return r, nil
}

// decode reads YAML into r. Some text that is hardly YAML (a binary tag on a
// list) makes the library panic; that is an error of the text.
func decode(text []byte, r *Records) (file *ast.File, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("cannot be read as YAML")
		}
	}()
	if file, err = parser.ParseBytes(text, 0); err != nil {
		return nil, err
	}
	err = yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(r)
	if errors.Is(err, io.EOF) {
		err = nil // an empty file has no records, which is no error
	}
	return file, err
}

// yamlError adds file and line to what the parser says, and leaves out the lines of source, which
// may hold secrets.
func yamlError(name string, err error) error {
	var ye yaml.Error
	if errors.As(err, &ye) && ye.GetToken() != nil {
		return fmt.Errorf("%s:%d: %s", name, ye.GetToken().Position.Line, ye.GetMessage())
	}
	return fmt.Errorf("%s: %s", name, yaml.FormatError(err, false, false))
}

// resolve fetches all secrets, and removes _file from the names of those that were read from files.
func (r *Records) resolve(dir string, lookup func(string) (string, bool)) error {
	var errs []error
	get := func(path string, s Secret) Secret {
		out, err := s.resolve(dir, lookup)
		if err != nil {
			errs = append(errs, &RecordError{Where: r.source.at(path), Err: err})
		}
		return out
	}
	for i := range r.Users {
		r.Users[i].Password = get(fmt.Sprintf("users[%d].password", i), r.Users[i].Password)
	}
	for i := range r.Accounts {
		a := &r.Accounts[i]
		if a.Secrets == nil {
			continue
		}
		out := make(map[string]Secret, len(a.Secrets))
		for name, s := range a.Secrets {
			path := fmt.Sprintf("accounts[%d].secrets.%s", i, name)
			if base, ok := strings.CutSuffix(name, "_file"); ok && s.value != "" {
				name, s = base, Secret{file: s.value}
			}
			if _, twice := out[name]; twice {
				errs = append(errs, &RecordError{Where: r.source.at(path), Err: errors.New("given both in place and as a file")})
			}
			out[name] = get(path, s)
		}
		a.Secrets = out
	}
	return errors.Join(errs...)
}

func parseDuration(s string) (conversation.Millis, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("must be a duration such as 30s, 2m or 1h30m")
	case d < 0 || d%time.Millisecond != 0:
		return 0, fmt.Errorf("a duration must be positive and in whole milliseconds")
	}
	return conversation.Millis(d.Milliseconds()), nil
}
