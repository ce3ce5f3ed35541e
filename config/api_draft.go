package config

import (
	"errors"
	"time"
)

var errDraft = errors.New("not built yet")

// Attribute is one key of the schema.
type Attribute struct {
	Name    string // as in the file: max_macs
	Type    string // what it takes, for help texts: string, bool, number, duration, size, address, ...
	Default string // as it would stand in the file; "" none
	Range   string // "1..1048576", "relay|assist|proxy"; "" anything of the type
	List    bool   // a list in the file, comma-separated in Values
	Bool    bool   // a flag without a value
	Need    bool   // must be given
	Doc     string // one line
}

// Flag returns the attribute's name as a command flag: max-macs.
func (a *Attribute) Flag() string { return "" }

// Kinds returns the kinds of port in the order of the reference.
func Kinds() []string { return nil }

// PortAttributes returns what a port of a kind may say (the kind's own first,
// then what all ports have), nil for an unknown kind.
func PortAttributes(kind string) []*Attribute { return nil }

// HubAttributes returns what a hub may say beside its ports.
func HubAttributes() []*Attribute { return nil }

// Blocks returns the names of the settings blocks at the top ("log", "ipsec").
func Blocks() []string { return nil }

// BlockAttributes returns what a settings block may say.
func BlockAttributes(block string) []*Attribute { return nil }

// Values are attributes by name in text form; lists are comma-separated.
type Values map[string]string

// PortValues returns a port's attributes as text: all of them, or only those that differ from the default.
func PortValues(p *Port, all bool) Values { return nil }

// HubValues is PortValues for a hub.
func HubValues(h *Hub, all bool) Values { return nil }

// Parse reads and checks a configuration. The error is Errors.
func Parse(file string, src []byte) (*Config, error) { return nil, errDraft }

// Default is the configuration of a daemon that has no file.
func Default() (src []byte, c *Config) { return nil, nil }

// Edit changes the bytes of a file.
type Edit func(file string, src []byte) ([]byte, error)

// AddPort, SetPort, ... make edits; Apply does them and checks the outcome.
func AddPort(hub, kind, name string, set Values) Edit           { return nil }
func SetPort(hub, name string, set Values, unset []string) Edit { return nil }
func RemovePort(hub, name string) Edit                          { return nil }
func AddHub(name string, set Values) Edit                       { return nil }
func SetHub(name string, set Values, unset []string) Edit       { return nil }
func RemoveHub(name string) Edit                                { return nil }
func SetBlock(block string, set Values, unset []string) Edit    { return nil }
func Apply(file string, src []byte, edits ...Edit) ([]byte, *Config, error) {
	return nil, nil, errDraft
}

// Secret is what a secret file held; it prints as "(secret)".
type Secret []byte

// ReadSecret reads a secret file; CheckSecrets reads all that a configuration names.
func ReadSecret(path string) (Secret, error) { return nil, errDraft }
func CheckSecrets(c *Config) error           { return errDraft }

// Change is one difference between two configurations.
type Change struct {
	What       string // "log", "ipsec", "hub" or "port"
	Hub, Port  string
	Op         string   // "added", "removed" or "changed"
	Attributes []string // what changed, by name
}

// Diff says what turns old into new.
func Diff(old, new *Config) []Change { return nil }

// Store is the file on disk with its revisions.
type Store struct{}

// Meta says who changed the configuration, and by what.
type Meta struct{ Who, What string }

// Revision is one kept version.
type Revision struct {
	Number    int
	Time      time.Time
	Who, What string
	Bytes     int
}

// Proposal is a checked change that nothing was done about yet.
type Proposal struct {
	Old, New *Config
	Source   []byte
	Changes  []Change
}

// OpenStore opens the configuration file and the state folder.
func OpenStore(now time.Time, file, state string) (*Store, error) { return nil, errDraft }

func (s *Store) Current() *Config                              { return nil }
func (s *Store) Source() []byte                                { return nil }
func (s *Store) Propose(edits ...Edit) (*Proposal, error)      { return nil, errDraft } // by commands
func (s *Store) ProposeSource(src []byte) (*Proposal, error)   { return nil, errDraft } // config apply FILE
func (s *Store) ProposeReload() (*Proposal, error)             { return nil, errDraft } // SIGHUP
func (s *Store) ProposeRollback(number int) (*Proposal, error) { return nil, errDraft } // config rollback N
func (s *Store) Commit(now time.Time, p *Proposal, m Meta) (Revision, error) {
	return Revision{}, errDraft
}
func (s *Store) CommitUnlessConfirmed(now time.Time, p *Proposal, m Meta, within time.Duration) (Revision, error) {
	return Revision{}, errDraft
}
func (s *Store) Confirm(now time.Time) error              { return errDraft }
func (s *Store) Deadline() time.Time                      { return time.Time{} }   // of the confirmation awaited; zero when none
func (s *Store) Advance(now time.Time) (*Proposal, error) { return nil, errDraft } // not nil: it went back; apply it
func (s *Store) History() ([]Revision, error)             { return nil, errDraft }
func (s *Store) Revision(number int) ([]byte, error)      { return nil, errDraft }
