// Package house_test holds the rules of the house that no tool knows: which
// package may import which, and what a pure package must not touch.
package house_test

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

type pkg struct {
	ImportPath, Doc string
	Imports         []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Doc,Imports", "vhub/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// rules names, for each package, the packages of vhub that it may import.
// A package that is not here may import none but internal/packet.
var rules = map[string]struct {
	may    []string
	reason string
}{
	"vhub/eth":               {nil, "everything stands on eth"},
	"vhub/internal/packet":   {nil, "the send buffer knows no protocol"},
	"vhub/internal/doorbell": {nil, "waiting for a descriptor knows no protocol"},
	"vhub/internal/uring":    {nil, "a list of system calls knows no protocol"},
	"vhub/arp":               {[]string{"vhub/eth"}, "the hub calls arp, not the other way round"},
	"vhub/hub":               {[]string{"vhub/eth", "vhub/arp"}, "the switch knows no kind of port"},
	"vhub/bridge":            {[]string{"vhub/eth", "vhub/hub", "vhub/internal/doorbell", "vhub/internal/uring"}, "no port package imports another"},
	"vhub/etherip":           {[]string{"vhub/eth", "vhub/hub", "vhub/internal/packet", "vhub/internal/doorbell"}, "etherip is given a Sender; it knows no IPsec"},
	"vhub/ppp":               {nil, "one PPP link is pure"},
	"vhub/dhcp":              {[]string{"vhub/eth"}, "address assignment is pure"},
	"vhub/l2tp":              {[]string{"vhub/eth", "vhub/hub", "vhub/arp", "vhub/ppp", "vhub/dhcp", "vhub/internal/packet"}, "l2tp is given a Sender; it knows no IPsec"},
	"vhub/ipsec/esp":         {[]string{"vhub/internal/packet"}, "ESP is pure"},
	"vhub/ipsec/ike":         {[]string{"vhub/ipsec/esp"}, "IKE is pure; it knows of ESP only the suites"},
	"vhub/ipsec":             {[]string{"vhub/ipsec/esp", "vhub/ipsec/ike", "vhub/internal/packet", "vhub/internal/doorbell"}, "the engine knows no port"},
	"vhub/config":            {[]string{"vhub/eth"}, "the file knows no running thing"},
	"vhub/radius":            {nil, "the RADIUS client knows no port: the daemon asks it for what a port wants to know"},
	"vhub/users":             {[]string{"vhub/eth", "vhub/ppp"}, "the database knows no protocol"},
	"vhub/guide":             {nil, "a guide is made of values; it knows no running thing"},
	"vhub/api":               {[]string{"vhub/eth"}, "what goes over the socket is api's own"},
}

func TestWhoMayImportWhom(t *testing.T) {
	for _, p := range packages(t) {
		path := p.ImportPath
		if strings.HasPrefix(path, "vhub/cmd/") || strings.HasPrefix(path, "vhub/lab") ||
			strings.HasPrefix(path, "vhub/internal/netlab") || path == "vhub/internal/testenv" || path == "vhub/internal/house" || path == "vhub/internal/interop" {
			continue
		}
		r, known := rules[path]
		if !known {
			t.Errorf("%s is not in the import rules: add it to internal/house with the reason", path)
		}
		for _, i := range p.Imports {
			if strings.HasPrefix(i, "vhub/") && !slices.Contains(r.may, i) {
				t.Errorf("%s imports %s, but %s", path, i, r.reason)
			}
		}
	}
}

func TestPurePackagesTouchNoWorld(t *testing.T) {
	pure := []string{"vhub/eth", "vhub/arp", "vhub/hub", "vhub/ppp", "vhub/dhcp", "vhub/ipsec/ike", "vhub/ipsec/esp"}
	world := []string{"os", "os/exec", "syscall", "net/http", "golang.org/x/sys/unix", "github.com/vishvananda/netlink"}
	for _, p := range packages(t) {
		if !slices.Contains(pure, p.ImportPath) {
			continue
		}
		for _, i := range p.Imports {
			if slices.Contains(world, i) {
				t.Errorf("%s is pure, so that its tests need no root and no waiting; it imports %s", p.ImportPath, i)
			}
		}
	}
}

func TestEachPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && p.ImportPath != "vhub/internal/house" && !strings.HasPrefix(p.ImportPath, "vhub/lab") {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// architecture is docs/ARCHITECTURE.md, by the folders that have a heading there.
func architecture(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for part := range strings.SplitSeq(string(text), "\n#") {
		if head, body, _ := strings.Cut(part, "\n"); strings.HasPrefix(head, "## ") {
			sections[strings.TrimPrefix(head, "## ")] = body
		}
	}
	return sections
}

func TestArchitectureNamesEveryFile(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .GoFiles " "}} {{join .IgnoredGoFiles " "}} {{join .SFiles " "}}`, "vhub/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	sections := architecture(t)
	source := regexp.MustCompile(`\b\w+\.(go|s)\b`)
	for line := range strings.Lines(string(out)) {
		files := strings.Fields(line)
		folder := strings.TrimPrefix(files[0], "vhub/")
		files = slices.DeleteFunc(files[1:], func(f string) bool { return strings.HasSuffix(f, "_test.go") })
		text, there := sections[folder]
		if !there {
			t.Errorf("docs/ARCHITECTURE.md has no heading ### %s", folder)
			continue
		}
		named := source.FindAllString(text, -1)
		for _, f := range files {
			if !slices.Contains(named, f) {
				t.Errorf("docs/ARCHITECTURE.md does not name %s/%s", folder, f)
			}
		}
		for _, f := range named {
			if !slices.Contains(files, f) {
				t.Errorf("docs/ARCHITECTURE.md names %s/%s, which is not there", folder, f)
			}
		}
	}
}
