package l2tp

import (
	"net/netip"
	"strings"
	"time"
)

// Lock-out of guessers: after a few failures of one user from one source each
// further one doubles the wait. Neither is enough alone: a user must not be
// locked out by a stranger elsewhere, nor a family behind one NAT by one of it.
const (
	freeFailures = 4
	firstLock    = 5 * time.Second
	longestLock  = 10 * time.Minute
	forgive      = 30 * time.Minute
	maxLocked    = 8192
)

type lockKey struct {
	user   string
	source netip.Addr
}

type lockEntry struct {
	failures int
	last     time.Time
	until    time.Time
}

type lockout map[lockKey]*lockEntry

func newLockout() lockout { return lockout{} }

func keyOf(user string, source netip.Addr) lockKey {
	return lockKey{strings.ToLower(user), source.Unmap()}
}

// locked is how long a user still has to wait, 0 for not at all.
func (l lockout) locked(now time.Time, user string, source netip.Addr) time.Duration {
	e := l[keyOf(user, source)]
	if e == nil || !now.Before(e.until) {
		return 0
	}
	return e.until.Sub(now)
}

func (l lockout) failed(now time.Time, user string, source netip.Addr) {
	k := keyOf(user, source)
	e := l[k]
	if e == nil || now.Sub(e.last) > forgive {
		if len(l) >= maxLocked {
			l.makeRoom(now)
		}
		e = &lockEntry{}
		l[k] = e
	}
	e.failures++
	e.last = now
	if over := e.failures - freeFailures; over > 0 {
		e.until = now.Add(min(longestLock, firstLock<<min(over-1, 16)))
	}
}

// makeRoom drops what was forgiven, or else the oldest.
func (l lockout) makeRoom(now time.Time) {
	var oldest lockKey
	var at time.Time
	for k, e := range l {
		if now.Sub(e.last) > forgive {
			delete(l, k)
		} else if at.IsZero() || e.last.Before(at) {
			oldest, at = k, e.last
		}
	}
	if len(l) >= maxLocked {
		delete(l, oldest)
	}
}

func (l lockout) succeeded(user string, source netip.Addr) { delete(l, keyOf(user, source)) }
