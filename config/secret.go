package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxSecret is the largest secret file in bytes.
const maxSecret = 4096

// Secret is what a secret file holds. It never shows in logs, JSON or errors.
type Secret []byte

// String, GoString, Format and MarshalText print a secret as "(secret)".
func (Secret) String() string { return "(secret)" }

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// Format prints "(secret)" for every verb.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText is String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ReadSecret reads a secret from its file: the bytes without the line end that
// editors leave. A file that others than its owner can read or write, or that
// belongs to somebody else than root or this process's user, is refused, and so
// are an empty file and one of more than a line.
func ReadSecret(path string) (Secret, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO must not hold us up
	if err != nil {
		return nil, secretError(path, err)
	}
	defer f.Close()
	st, err := f.Stat() // of the open file: it cannot be exchanged after the look
	if err != nil {
		return nil, secretError(path, err)
	}
	if err := checkSecretFile(path, st); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, secretError(path, err)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	switch {
	case len(b) == 0:
		return nil, fmt.Errorf("%s: the file is empty; put the secret in its first line", path)
	case len(b) > maxSecret:
		return nil, fmt.Errorf("%s: the secret has more than %d bytes", path, maxSecret)
	case bytes.IndexByte(b, '\n') >= 0:
		return nil, fmt.Errorf("%s: the file has more than one line; a secret is one line", path)
	}
	return b, nil
}

func secretError(path string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("%s: cannot read the secret: %v", path, err)
}

func checkSecretFile(path string, st fs.FileInfo) error {
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file", path)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s: others can read this secret (mode %04o); run: chmod 600 %s", path, st.Mode().Perm(), path)
	}
	if s, ok := st.Sys().(*syscall.Stat_t); ok && s.Uid != 0 && int(s.Uid) != os.Geteuid() {
		return fmt.Errorf("%s: this secret belongs to user %d; run: chown root %s && chmod 600 %s", path, s.Uid, path, path)
	}
	return nil
}

// CheckSecrets reads every secret file that a configuration names; the error is
// Errors, each at the port or radius block that names the file.
func CheckSecrets(c *Config) error {
	var errs Errors
	for _, q := range c.Radius {
		if _, err := ReadSecret(c.Path(q.SecretFile)); err != nil {
			errs = append(errs, &Error{Pos: c.radiusAt[q.Name], Message: fmt.Sprintf("radius %q: %v", q.Name, err)})
		}
	}
	for i := range c.Hubs {
		for j := range c.Hubs[i].Ports {
			p := &c.Hubs[i].Ports[j]
			for _, name := range p.secretFiles() {
				if _, err := ReadSecret(c.Path(name)); err != nil {
					errs = append(errs, &Error{Pos: p.Pos, Message: fmt.Sprintf("port %q: %v", p.Name, err)})
				}
			}
		}
	}
	if errs == nil {
		return nil
	}
	return errs
}

func (p *Port) secretFiles() []string {
	if p.EtherIP != nil && p.EtherIP.IPsec != nil {
		return []string{p.EtherIP.IPsec.KeyFile}
	}
	var l []string
	if p.L2TP != nil {
		if p.L2TP.IPsec != nil {
			l = append(l, p.L2TP.IPsec.KeyFile)
		}
		if p.L2TP.TunnelSecretFile != "" {
			l = append(l, p.L2TP.TunnelSecretFile)
		}
	}
	return l
}
