package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"vhub/api"
	"vhub/internal/testenv"
)

// The scripts in testdata run the real program, each as a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vhub": main, "l2tpclient": l2tpClient})
}

// scriptsThatNeedRoot make devices, in a network namespace of their own.
const needsRoot = "root_"

func TestScripts(t *testing.T) {
	runScripts(t, func(name string) bool { return !strings.HasPrefix(name, needsRoot) }, nil)
}

func TestScriptsWithDevices(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedTool(t, "ip", "setpriv")
	testenv.NeedFile(t, "/dev/net/tun")
	runScripts(t, func(name string) bool { return strings.HasPrefix(name, needsRoot) }, func(env *testscript.Env) error {
		ns := fmt.Sprintf("cl-%d-%d", os.Getpid(), time.Now().UnixNano()%1e6)
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			return fmt.Errorf("ip netns add: %v: %s", err, out)
		}
		env.Defer(func() { exec.Command("ip", "netns", "delete", ns).Run() })
		env.Setenv("NS", ns)
		return exec.Command("ip", "-n", ns, "link", "set", "lo", "up").Run()
	})
}

func runScripts(t *testing.T, pick func(name string) bool, setup func(*testscript.Env) error) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".txtar") && pick(e.Name()) {
			files = append(files, "testdata/"+e.Name())
		}
	}
	testscript.Run(t, testscript.Params{
		Files: files,
		Setup: func(env *testscript.Env) error {
			env.Setenv("VHUB_SOCKET", env.WorkDir+"/s")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command of a -race build takes a second more
			env.Setenv("PATH", env.Getenv("PATH")+":/usr/sbin:/sbin")
			if setup != nil {
				return setup(env)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"up": up, "until": until, "fails": fails, "hup": hup, "field": field, "same": same,
		},
	})
}

// scriptPatience is how long a script waits for what must happen.
const scriptPatience = 15 * time.Second

// up waits until the daemon behind VHUB_SOCKET, or the socket named, answers.
func up(ts *testscript.TestScript, neg bool, args []string) {
	_, err := statusOf(ts, args, scriptPatience)
	ts.Check(err)
}

func statusOf(ts *testscript.TestScript, args []string, patience time.Duration) (api.Status, error) {
	path := ts.Getenv("VHUB_SOCKET")
	if len(args) > 0 {
		path = ts.MkAbs(args[0])
	}
	c := api.NewClient(path)
	defer c.Close()
	deadline := time.Now().Add(patience)
	for {
		s, err := api.Call(context.Background(), c, api.GetStatus, api.None{})
		if err == nil || time.Now().After(deadline) {
			return s, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// until runs a command until its output matches: until REGEXP COMMAND ARGS...
func until(ts *testscript.TestScript, neg bool, args []string) {
	want := regexp.MustCompile("(?m)" + args[0])
	deadline := time.Now().Add(scriptPatience)
	for {
		err := ts.Exec(args[1], args[2:]...)
		out := ts.ReadFile("stdout")
		if err == nil && want.MatchString(out) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%q was not seen (unwanted: %v); at last (%v):\n%s%s", args[0], neg, err, out, ts.ReadFile("stderr"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// fails runs a command that must end with an exit status: fails STATUS COMMAND ARGS...
// It must say why in one line.
func fails(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != want {
		ts.Fatalf("ended with %v, want exit status %d", err, want)
	}
	if lines := strings.Count(ts.ReadFile("stderr"), "\n"); lines != 1 {
		ts.Fatalf("the error has %d lines, want 1", lines)
	}
}

// hup sends SIGHUP to the daemon, and waits until it is done with that.
func hup(ts *testscript.TestScript, neg bool, args []string) {
	s, err := statusOf(ts, args, time.Second)
	ts.Check(err)
	c := api.NewClient(s.Socket)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	var last uint64
	ts.Check(api.Follow(ctx, c, api.WatchEvents, api.EventsRequest{Last: 1}, func(e api.Event) error { last = e.Seq; return nil }))
	ts.Check(syscall.Kill(s.PID, syscall.SIGHUP))
	err = api.Follow(ctx, c, api.WatchEvents, api.EventsRequest{AfterSeq: last, Follow: true}, func(e api.Event) error {
		if strings.Contains(e.Message, "reloaded") {
			return errDone
		}
		return nil
	})
	if err != errDone {
		ts.Fatalf("no word of a reload: %v", err)
	}
}

var errDone = errors.New("done")

// field puts a field of the JSON that the last command wrote into a variable:
// field NAME hubs.0.ports.1.state
func field(ts *testscript.TestScript, neg bool, args []string) {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	for step := range strings.SplitSeq(args[1], ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(x) {
				ts.Fatalf("%s: no item %s among %d", args[1], step, len(x))
			}
			v = x[i]
		default:
			ts.Fatalf("%s: nothing below %v", args[1], v)
		}
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// same compares two texts.
func same(ts *testscript.TestScript, neg bool, args []string) {
	if (args[0] == args[1]) == neg {
		ts.Fatalf("%q and %q: same is %v", args[0], args[1], args[0] == args[1])
	}
}
