package bridge

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// space is the network namespace that a port's device lives in.
type space struct {
	name string
	ns   netns.NsHandle // netns.None() for vhub's own
	nl   *netlink.Handle
}

// openSpace opens the namespace of that name (under /run/netns) or path; ""
// is vhub's own.
func openSpace(name string) (*space, error) {
	s := &space{name: name, ns: netns.None()}
	var err error
	switch {
	case name == "":
	case strings.Contains(name, "/"):
		s.ns, err = netns.GetFromPath(name)
	default:
		s.ns, err = netns.GetFromName(name)
	}
	if err != nil {
		return nil, fmt.Errorf("network namespace %s: %w", name, err)
	}
	if s.nl, err = netlink.NewHandleAt(s.ns, unix.NETLINK_ROUTE); err != nil {
		s.close()
		return nil, rights(fmt.Errorf("netlink: %w", err))
	}
	return s, nil
}

func (s *space) close() {
	if s.nl != nil {
		s.nl.Close()
	}
	if s.ns.IsOpen() {
		s.ns.Close()
	}
}

// do calls f on a thread that is in the namespace: for sockets and devices,
// which belong to the namespace that they were opened in.
func (s *space) do(f func() error) error {
	if !s.ns.IsOpen() {
		return f()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // a thread that could not go back ends with its goroutine
		home, err := netns.Get()
		if err != nil {
			done <- err
			return
		}
		defer home.Close()
		if err := netns.Set(s.ns); err != nil {
			done <- rights(fmt.Errorf("entering network namespace %s: %w", s.name, err))
			return
		}
		err = f()
		if netns.Set(home) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// rights turns the kernel's EPERM and EACCES into ErrRights.
func rights(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w (%v)", ErrRights, err)
	}
	return err
}

func notFound(err error) bool {
	return errors.As(err, new(netlink.LinkNotFoundError)) || errors.Is(err, unix.ENODEV)
}
