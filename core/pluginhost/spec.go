package pluginhost

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"github.com/parley-gateway/parley/plugins/contract"
)

// procFDs: on this system an open file can be executed through its descriptor.
const procFDs = runtime.GOOS == "linux"

// Spec says how a plugin is started. Exactly one of Command, Dir and Attach
// is set.
type Spec struct {
	// ID is the id that the plugin gives itself; with Dir it is read from the manifest and may be
	// empty.
	ID string
	// Command starts a built-in plugin: a program and its arguments, usually /proc/self/exe plugin
	// serve NAME. It is trusted as much as the gateway.
	Command []string
	// Dir is a third-party plugin's folder with plugin.yaml, which must be pinned.
	Dir string
	// Attach is the unix socket of a plugin that was started by somebody else, for instance by a
	// debugger. Its process must belong to the gateway's user; the host never sends signals to it.
	Attach string
	// Env names environment variables of the gateway that are passed to the plugin.
	Env []string
}

// passedEnv are the environment variables that are passed to every plugin, if set.
var passedEnv = [...]string{"TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "GOCOVERDIR"}

// launchSpec is a Spec with everything needed to start the plugin again and again.
type launchSpec struct {
	spec     Spec
	pins     *Pins
	logLevel string
	// kept is the program of a generation that was ready. It is used to go back after an upgrade,
	// whatever has happened to the folder.
	kept *verified
}

// command prepares a child that is not started. The file, if any, must stay open until the child is
// started.
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

// processors is how many processors a plugin written in Go uses at once, unless its environment
// sets another number. A plugin's work comes in small pieces from one stream: on more processors
// its threads would mostly wake each other, and take time from the gateway.
func processors() int { return max(1, runtime.GOMAXPROCS(0)/4) }

func (l *launchSpec) environment(names []string) []string {
	env := make([]string, 0, len(names)+len(passedEnv)+2)
	env = append(env, "GOMAXPROCS="+strconv.Itoa(processors())) // if a variable is set twice the later value is used
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

// foreign reports whether the plugin is a program of its own, not the gateway's program started
// again.
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
