package netlab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// VHub is a running vhub daemon in a namespace.
type VHub struct {
	*Proc
	NS     *NS
	Name   string
	Socket string
	Config string
	State  string
	bin    string
	args   []string
}

var (
	buildOnce sync.Once
	buildPath string
	buildErr  error
)

// Build compiles cmd/vhub once a process and returns the program's path.
// VHUB_BIN names a program to use instead.
func Build() (string, error) {
	buildOnce.Do(func() {
		if b := os.Getenv("VHUB_BIN"); b != "" {
			buildPath = b
			return
		}
		dir, err := os.MkdirTemp("", "vhub-bin-")
		if err != nil {
			buildErr = err
			return
		}
		buildPath = filepath.Join(dir, "vhub")
		out, err := exec.Command("go", "build", "-o", buildPath, "vhub/cmd/vhub").CombinedOutput()
		if err != nil {
			buildErr = fmt.Errorf("go build vhub/cmd/vhub: %w: %s", err, out)
		}
	})
	return buildPath, buildErr
}

// VHub starts a daemon called name in the namespace with this configuration
// (HCL; empty: no file, so embedded defaults) and waits until it answers.
func (n *NS) VHub(name, hcl string, args ...string) *VHub {
	n.lab.tb.Helper()
	bin, err := Build()
	if err != nil {
		n.lab.tb.Fatalf("netlab: %v", err)
	}
	dir := filepath.Join(n.lab.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		n.lab.tb.Fatalf("netlab: %v", err)
	}
	v := &VHub{NS: n, Name: name, bin: bin, args: args,
		Socket: filepath.Join(dir, "sock"), Config: filepath.Join(dir, "vhub.hcl"), State: filepath.Join(dir, "state")}
	if hcl != "" {
		if err := os.WriteFile(v.Config, []byte(hcl), 0o600); err != nil {
			n.lab.tb.Fatalf("netlab: %v", err)
		}
	}
	v.Start()
	return v
}

// Start starts the daemon (again, after Kill or Stop) and waits until it answers.
func (v *VHub) Start() time.Duration {
	l := v.NS.lab
	l.tb.Helper()
	start := time.Now()
	v.StartNoWait()
	l.WaitFor("answer of vhub "+v.Name, 10*time.Second, func() (bool, string) {
		select {
		case <-v.Done():
			return true, ""
		default:
		}
		out, err := v.CLI("status")
		return err == nil, out
	})
	select {
	case <-v.Done():
		l.tb.Fatalf("netlab: vhub %s ended at once: %s", v.Name, v.Output())
	default:
	}
	return time.Since(start)
}

// StartNoWait starts the daemon and returns at once.
func (v *VHub) StartNoWait() {
	args := append([]string{v.bin, "serve", "--config", v.Config, "--state", v.State, "--socket", v.Socket}, v.args...)
	v.Proc = v.NS.StartCmd(v.Name, v.NS.Cmd(context.Background(), args...))
}

// CLI runs a vhub command against the daemon and returns what it printed.
func (v *VHub) CLI(args ...string) (string, error) {
	c := exec.Command(v.bin, append([]string{"--socket", v.Socket}, args...)...)
	out, err := c.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("vhub %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// Must is CLI; a failure ends the test.
func (v *VHub) Must(args ...string) string {
	v.NS.lab.tb.Helper()
	out, err := v.CLI(args...)
	if err != nil {
		v.NS.lab.tb.Fatalf("netlab: %v", err)
	}
	return out
}

// JSON runs a read command with -o json and decodes what it printed.
func (v *VHub) JSON(into any, args ...string) {
	v.NS.lab.tb.Helper()
	out := v.Must(append([]string{"-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		v.NS.lab.tb.Fatalf("netlab: vhub %s: %v: %s", strings.Join(args, " "), err, out)
	}
}
