package pluginhost

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"github.com/parley-gateway/parley/plugins/contract"
)

// procFDs: an open file can be executed by its descriptor.
const procFDs = runtime.GOOS == "linux"

// Spec says how a plugin is started. Exactly one of Command, Dir and Attach
// is set.
type Spec struct {
	// ID is what the plugin calls itself; with Dir it is read from the
	// manifest and may be empty.
	ID string
	// Command starts a built-in plugin: a program and its arguments, usually
	// /proc/self/exe plugin serve NAME. It is trusted as the gateway is.
	Command []string
	// Dir is a third-party plugin's folder with plugin.yaml, which must be pinned.
	Dir string
	// Attach is the unix socket of a plugin that somebody else started, a
	// debugger for instance. Its process must belong to the gateway's user;
	// it is never signalled.
	Attach string
	// Env names environment variables of the gateway that the plugin gets.
	Env []string
}

// passedEnv is what every plugin gets of the environment, if set.
var passedEnv = [...]string{"TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "GOCOVERDIR"}

// launchSpec is a Spec with what is needed to start it again and again.
type launchSpec struct {
	spec     Spec
	pins     *Pins
	logLevel string
	// kept is the program of a generation that was ready: to go back to it
	// after an upgrade whatever has become of the folder.
	kept *verified
}

// command prepares an unstarted child. The file, if any, must stay open until
// the child was started.
func (l *launchSpec) command() (*exec.Cmd, *verified, error) {
	if len(l.spec.Command) > 0 {
		cmd := &exec.Cmd{
			Path: l.spec.Command[0],
			Args: append([]string{"parley: " + l.spec.ID}, l.spec.Command[1:]...),
			Env:  l.environment(l.spec.Env),
		}
		return cmd, nil, nil
	}
	v := l.kept
	if v == nil {
		var err error
		if v, err = l.pins.verify(l.spec.Dir); err != nil {
			if v != nil {
				v.close()
			}
			return nil, nil, err
		}
	}
	path, err := v.program()
	if err != nil {
		if v != l.kept {
			v.close()
		}
		return nil, nil, err
	}
	cmd := &exec.Cmd{
		Path: path, Dir: v.dir,
		Args: append([]string{v.manifest.Exec}, v.manifest.Args...),
		Env:  l.environment(append(l.spec.Env, v.manifest.Env...)),
	}
	return cmd, v, nil
}

// processors is how many a plugin written in Go uses at once, unless its
// environment names another number. Its work comes in small pieces from one
// stream: on more processors its threads mostly wake one another, at the cost of
// the gateway beside it.
func processors() int { return max(1, runtime.GOMAXPROCS(0)/4) }

func (l *launchSpec) environment(names []string) []string {
	env := make([]string, 0, len(names)+len(passedEnv)+2)
	env = append(env, "GOMAXPROCS="+strconv.Itoa(processors())) // of two values the later one counts
	for _, list := range [][]string{passedEnv[:], names} {
		for _, name := range list {
			if value, ok := os.LookupEnv(name); ok {
				env = append(env, name+"="+value)
			}
		}
	}
	if l.logLevel != "" {
		env = append(env, contract.LogLevelEnv+"="+l.logLevel)
	}
	return env
}

// foreign reports whether the plugin is a program of its own, not this one started again.
func (s *Spec) foreign() bool { return len(s.Command) == 0 }

func (s *Spec) validate() error {
	n := 0
	for _, set := range []bool{len(s.Command) > 0, s.Dir != "", s.Attach != ""} {
		if set {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("plugin %s: exactly one of Command, Dir and Attach must be set", s.ID)
	}
	if !pluginID.MatchString(s.ID) {
		return fmt.Errorf("plugin id %q: want a lower-case letter, then up to 31 of a-z 0-9 _ -", s.ID)
	}
	return nil
}
