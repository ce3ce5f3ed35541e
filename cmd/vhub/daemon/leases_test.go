package daemon

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"vhub/dhcp"
)

// newLeases makes the leases of a port with a pool of ten addresses, as a daemon
// does that finds what the one before left in dir.
func newLeases(t *testing.T, dir string) *leases {
	t.Helper()
	l := openLeases(dir, "default", "road", slog.New(slog.DiscardHandler))
	r, err := dhcp.ParseRange("172.16.0.100-172.16.0.109")
	if err != nil {
		t.Fatal(err)
	}
	pool, err := dhcp.NewPool(dhcp.PoolConfig{Ranges: []dhcp.Range{r}, News: l.news})
	if err != nil {
		t.Fatal(err)
	}
	l.usePool(pool)
	return l
}

func (l *leases) assign(t *testing.T, key string) netip.Addr {
	t.Helper()
	g, err := l.pool.Assign(time.Now(), key, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	return g.Addr
}

// What the pool gave is on disk after leasesSoon, for a daemon that is killed then;
// what it gave within that time is written together.
func TestPoolAddressesAreWrittenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := newLeases(t, dir)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = l.run(ctx) }()
		defer func() { stop(); <-ended }()
		for _, keys := range [][2]string{{"alice", "bob"}, {"carol", "dave"}} {
			time.Sleep(time.Second)
			if err := os.Remove(l.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			first := l.assign(t, keys[0])
			time.Sleep(leasesSoon - time.Millisecond)
			second := l.assign(t, keys[1])
			synctest.Wait()
			if _, err := os.Stat(l.file); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the file is written before its time: %v", err)
			}
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			next := newLeases(t, dir) // of the daemon that comes after the kill
			if got := next.assign(t, keys[1]); got != second {
				t.Errorf("%s had %s and gets %s", keys[1], second, got)
			}
			if got := next.assign(t, keys[0]); got != first {
				t.Errorf("%s had %s and gets %s", keys[0], first, got)
			}
		}
	})
}

// A client that comes back and gets what it had is no news.
func TestSameAddressIsNotWrittenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeases(t, t.TempDir())
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = l.run(ctx) }()
		defer func() { stop(); <-ended }()
		was := l.assign(t, "alice")
		time.Sleep(time.Second)
		if err := os.Remove(l.file); err != nil {
			t.Fatal(err)
		}
		if got := l.assign(t, "alice"); got != was {
			t.Errorf("%s, had %s", got, was)
		}
		time.Sleep(2 * leasesEvery)
		synctest.Wait()
		if _, err := os.Stat(l.file); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file is written again: %v", err)
		}
	})
}
