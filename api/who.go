package api

import (
	"context"
	"fmt"
	"net"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// Who is the process at the other end of the socket, as the kernel tells it
// (SO_PEERCRED, unix(7)). PID is 0 where it is not known.
type Who struct {
	UID, PID int
	// User is the name of UID, or empty.
	User string
}

// String returns the form that revisions and logs carry: "alice (uid 1000, pid 4711)".
func (w Who) String() string {
	if w.PID == 0 {
		return "unknown"
	}
	name := w.User
	if name == "" {
		name = "uid " + strconv.Itoa(w.UID)
	}
	return fmt.Sprintf("%s (uid %d, pid %d)", name, w.UID, w.PID)
}

type whoKey struct{}

// WhoFrom returns who asks for the operation whose context it is given.
func WhoFrom(ctx context.Context) Who {
	w, _ := ctx.Value(whoKey{}).(Who)
	return w
}

// withWho is the ConnContext of the server.
func withWho(ctx context.Context, c net.Conn) context.Context {
	cred, err := peerCred(c)
	if err != nil {
		return ctx
	}
	w := Who{UID: int(cred.Uid), PID: int(cred.Pid)}
	if u, err := user.LookupId(strconv.Itoa(w.UID)); err == nil {
		w.User = u.Username
	}
	return context.WithValue(ctx, whoKey{}, w)
}

func peerCred(c net.Conn) (*unix.Ucred, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("not a UNIX socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, err
	}
	return cred, credErr
}
