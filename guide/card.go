package guide

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// System is a system whose built-in L2TP/IPsec client a card is for.
type System string

// The systems, by the names of "vhub client card --for".
const (
	Windows  System = "windows"
	MacOS    System = "macos"
	IOS      System = "ios"
	Android  System = "android"
	Linux    System = "linux"
	ChromeOS System = "chromeos"
)

// Systems lists all of them, in the order to show them.
func Systems() []System { return []System{Windows, MacOS, IOS, Android, Linux, ChromeOS} }

// Title is the system's name as its maker writes it.
func (s System) Title() string {
	return map[System]string{Windows: "Windows", MacOS: "macOS", IOS: "iOS and iPadOS", Android: "Android", Linux: "Linux", ChromeOS: "ChromeOS"}[s]
}

// Values are what a card says: one user at one server. They are checked by
// Check; the generators take what Check accepts.
type Values struct {
	// Name is what the connection is called in the client's lists.
	Name string
	// Server is the address or name that the client dials. It can be the outer
	// address of a NAT with the server behind it.
	Server string
	// User is the login: user, user@hub or hub\user.
	User string
	// KeyFile is where the pre-shared key stands on the server.
	KeyFile string
	// Key is the pre-shared key. Only a file that the user asked for with the key
	// has it; cards never do.
	Key string
	// Routes are the networks to reach through the tunnel. Without any, all
	// traffic of the client goes through it.
	Routes []netip.Prefix
	// BehindNAT says that Server is not an address of the server's own: a NAT (a
	// cloud's floating address) stands in front.
	BehindNAT bool
	// Legacy says that the port takes MODP 1024, the only group of Android up to 11.
	Legacy bool
}

// The longest values that are taken, in bytes. A DNS name has at most 253.
const (
	maxName   = 64
	maxServer = 253
	maxUser   = 128
	maxKey    = 256
)

// Check says what is wrong with the values: what is missing, too long, or has
// characters that no client can be given.
func (v Values) Check() error {
	for _, f := range []struct {
		what, value string
		max         int
		needed      bool
	}{{"name of the connection", v.Name, maxName, true}, {"server", v.Server, maxServer, true}, {"user", v.User, maxUser, true},
		{"key file", v.KeyFile, 4096, false}, {"pre-shared key", v.Key, maxKey, false}} {
		if err := printable(f.value, f.max); err != nil {
			return fmt.Errorf("%s: %w", f.what, err)
		}
		if f.needed && f.value == "" {
			return fmt.Errorf("%s: nothing is given", f.what)
		}
	}
	if _, err := netip.ParseAddr(v.Server); err != nil && !isHostName(v.Server) {
		return fmt.Errorf("server: %q is neither an address nor a DNS name", v.Server)
	}
	for _, r := range v.Routes {
		if !r.IsValid() || r != r.Masked() {
			return fmt.Errorf("route: %v is not a network; write it with its own address first, such as %v", r, r.Masked())
		}
	}
	return nil
}

var errControl = errors.New("it has characters that cannot be typed (line ends, control characters or bytes that are not UTF-8)")

// printable checks that s can be typed: UTF-8 of printing characters and
// spaces, at most max bytes. It never repeats s, which may be a secret.
func printable(s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("it has %d bytes; %d are allowed", len(s), limit)
	}
	if !utf8.ValidString(s) {
		return errControl
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return errControl
		}
	}
	return nil
}

// isHostName tells DNS names of letters, digits, hyphens and underscores.
func isHostName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" {
		return false
	}
	digits := true
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '_'
			if !letter && (c < '0' || c > '9') {
				return false
			}
			digits = digits && !letter
		}
	}
	return !digits // "192.0.2" is a mistyped address, not a name
}

// Card is the instructions for a person in front of the system: numbered
// steps with the real values. The pre-shared key is named by its file only.
func Card(s System, v Values) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: L2TP/IPsec to %s as %s\n", s.Title(), v.Server, v.User)
	c := map[System]func(Values) card{Windows: windowsCard, MacOS: macCard, IOS: iosCard, Android: androidCard, Linux: linuxCard, ChromeOS: chromeCard}[s](v)
	fmt.Fprintf(&b, "\nYou need: the password of %s, and the pre-shared key", v.User)
	if v.KeyFile != "" {
		fmt.Fprintf(&b, " (on the server in %s; hand it over by a safe way)", v.KeyFile)
	}
	b.WriteString(".\n\n")
	for i, step := range c.steps {
		fmt.Fprintf(&b, "%2d. %s\n", i+1, strings.ReplaceAll(step, "\n", "\n    "))
	}
	if len(c.notes) > 0 {
		b.WriteString("\nGood to know:\n")
		for _, n := range c.notes {
			fmt.Fprintf(&b, "  - %s\n", strings.ReplaceAll(n, "\n", "\n    "))
		}
	}
	fmt.Fprintf(&b, "\nWhen it fails, on the server: vhub explain 'WHAT IT SAYS' --client ADDRESS\n")
	return b.String()
}

// card is what differs between the systems.
type card struct{ steps, notes []string }

// splitText says what goes through the tunnel.
func (v Values) splitText() string {
	if len(v.Routes) == 0 {
		return ""
	}
	var list []string
	for _, r := range v.Routes {
		list = append(list, r.String())
	}
	return strings.Join(list, ", ")
}
