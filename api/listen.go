package api

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultSocket is where the daemon listens unless told otherwise.
const DefaultSocket = "/run/vhub/vhub.sock"

// NoGroup leaves the socket to the group of the process.
const NoGroup = -1

// The mode of the socket, and of its folder when Listen makes it.
const (
	socketMode = 0o660
	folderMode = 0o755
)

// maxSocketPath is what fits sockaddr_un (unix(7)) beside the ending of the
// name that the socket has while it is made.
const maxSocketPath = 107 - len(".new")

// Listener is the daemon's end of a socket path that is its own until Close.
type Listener struct {
	*net.UnixListener
	path string
	lock *os.File
}

// Listen takes the socket path: it makes the folder, refuses the path while
// another living process serves it, and takes over what a dead one left. The
// socket has its mode, and its group (a group id, or NoGroup for the process's
// own), before anybody can reach it.
//
// That the path is ours is told by a lock on path+".lock", which the kernel
// lets go with the process however that ends.
func Listen(path string, group int) (*Listener, error) {
	if len(path) > maxSocketPath {
		return nil, Errorf(CodeBadRequest, "socket %s: the path has %d bytes, and the system takes %d at most", path, len(path), maxSocketPath).
			WithHint("choose a shorter one with --socket")
	}
	if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
		return nil, noRights(err, "socket %s: its folder cannot be made: %v", path, err)
	}
	lock, err := takeLock(path)
	if err != nil {
		return nil, err
	}
	l, err := bindSocket(path, group)
	if err != nil {
		_ = os.Remove(lock.Name())
		lock.Close()
		return nil, err
	}
	return &Listener{UnixListener: l, path: path, lock: lock}, nil
}

// Close stops listening and removes the socket.
func (l *Listener) Close() error {
	err := l.UnixListener.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil // closed before: the path may belong to another process by now
	}
	_ = os.Remove(l.path)
	_ = os.Remove(l.lock.Name())
	l.lock.Close()
	return err
}

// takeLock locks path+".lock". The file may be removed by the process that
// ends just now, so what was locked must still be what the name stands for.
func takeLock(path string) (*os.File, error) {
	name := path + ".lock"
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, noRights(err, "socket %s: %v", path, err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			pid, _ := io.ReadAll(io.LimitReader(f, 20))
			f.Close()
			return nil, inUse(path, string(bytes.TrimSpace(pid)))
		}
		have, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		if now, err := os.Stat(name); err != nil || !os.SameFile(have, now) {
			f.Close()
			continue
		}
		if err := f.Truncate(0); err == nil {
			_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
			if err != nil {
				f.Close()
				return nil, err
			}
		}
		return f, nil
	}
}

// bindSocket makes the socket under another name, gives it its mode and then
// its name, in place of a dead one.
func bindSocket(path string, group int) (*net.UnixListener, error) {
	if have, err := os.Lstat(path); err == nil {
		if have.Mode()&os.ModeSocket == 0 {
			return nil, Errorf(CodeConflict, "socket %s: there is a file of that name which is no socket", path).
				WithHint("choose another path with --socket")
		}
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			pid := ""
			if cred, err := peerCred(c); err == nil {
				pid = strconv.Itoa(int(cred.Pid))
			}
			c.Close()
			return nil, inUse(path, pid)
		}
	}
	fresh := path + ".new"
	_ = os.Remove(fresh)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, noRights(err, "socket %s: %v", path, err)
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(fresh, socketMode)
	if err == nil && group != NoGroup {
		err = os.Chown(fresh, -1, group)
	}
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		l.Close()
		_ = os.Remove(fresh)
		return nil, noRights(err, "socket %s: it cannot be put in its place: %v", path, err)
	}
	return l, nil
}

func inUse(path, pid string) error {
	by := "a running vhub"
	if pid != "" {
		by += " (pid " + pid + ")"
	}
	return Errorf(CodeConflict, "socket %s is in use by %s", path, by).
		WithHint("give this one its own with --socket, --state and --config")
}

// noRights makes an Error that has CodeNoRights where err is one of permission.
func noRights(err error, format string, args ...any) error {
	e := Errorf(CodeFailed, format, args...)
	if errors.Is(err, os.ErrPermission) {
		e.Code = CodeNoRights
		return e.WithHint("run it as root, or choose a place of your own with --socket")
	}
	return e
}
