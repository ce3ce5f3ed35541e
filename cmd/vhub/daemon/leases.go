package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"vhub/dhcp"
)

// leases is what one l2tp port remembers of its clients' addresses, so that a
// client has the same address after a restart: leases of the segment's DHCP
// server, and who had which address of the pool. It is a convenience: what is
// lost or damaged costs nobody more than another address.
type leases struct {
	file   string
	log    *slog.Logger
	memory *dhcp.Memory
	news   chan struct{} // the pool gave an address to somebody new

	mu      sync.Mutex
	pool    *dhcp.Pool // nil for none
	last    map[string]netip.Addr
	written uint64 // changes, as they were when the file was written last
}

// leasesKept is how many DHCP leases a port remembers.
const leasesKept = 20_000

// When what changed is written. Who has which address of the pool nobody else knows,
// and is written soon: a session has its address only when the segment was asked
// twice for another owner, which takes longer, so that a kill forgets none that is
// in use. Writing takes a twentieth of the time at most: with ten thousand clients, of whom
// the file takes some 30 ms, a kill may forget what was given in the last 0.7 s. Leases of
// the segment's DHCP server, which that knows too, can wait.
const (
	leasesSoon  = 100 * time.Millisecond
	leasesShare = 20
	leasesEvery = 5 * time.Second
)

// leasesFile is what stands on disk.
type leasesFile struct {
	DHCP map[string]*dhcp.Lease `json:"dhcp"`
	Pool map[string]netip.Addr  `json:"pool"`
}

// openLeases reads what the port knew before.
func openLeases(dir, hubName, port string, log *slog.Logger) *leases {
	l := &leases{file: filepath.Join(dir, "leases-"+hubName+"-"+port+".json"), log: log, memory: dhcp.NewMemory(leasesKept), news: make(chan struct{}, 1)}
	raw, err := os.ReadFile(l.file)
	if errors.Is(err, fs.ErrNotExist) {
		return l
	}
	var f leasesFile
	if err == nil {
		err = json.Unmarshal(raw, &f)
	}
	if err != nil {
		log.Warn("the addresses that clients had are not known; they may get others", "error", oneLine(err))
		return l
	}
	for key, lease := range f.DHCP {
		if lease != nil && lease.Prefix.IsValid() {
			l.memory.Keep(key, lease)
		}
	}
	l.last = f.Pool
	return l
}

// usePool has the pool know who had which address.
func (l *leases) usePool(pool *dhcp.Pool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pool != nil {
		l.last = l.pool.Remembered()
	}
	for key, a := range l.last {
		pool.Remember(key, a)
	}
	l.pool, l.written = pool, 0
}

// reserve keeps addresses from being given by the pool.
func (l *leases) reserve(addrs []netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pool != nil {
		l.pool.SetReserved(addrs)
	}
}

func (l *leases) poolUse() (total, held int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pool == nil {
		return 0, 0
	}
	return l.pool.Use()
}

// run writes what changed, until ctx ends, and then once more.
func (l *leases) run(ctx context.Context) error {
	tick := time.NewTicker(leasesEvery)
	defer tick.Stop()
	for soon := leasesSoon; ; {
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-l.news: // and what comes meanwhile
			select {
			case <-ctx.Done():
			case <-time.After(soon):
			}
		}
		begin := time.Now()
		l.write()
		soon = max(leasesSoon, leasesShare*time.Since(begin))
		if ctx.Err() != nil {
			return nil
		}
	}
}

// changes grows with what is to be written. Called with mu held.
func (l *leases) changes() uint64 {
	n := l.memory.Changes()
	if l.pool != nil {
		n += l.pool.Changes()
	}
	return n
}

// write replaces the file when there is something new: with ten thousand clients that do
// nothing, making it only to see that it is the same would cost more than they do. It need not survive a
// crash of the machine: an older file, or none, does no harm.
func (l *leases) write() {
	f, changed := l.snapshot()
	if !changed {
		return
	}
	raw, err := json.Marshal(f)
	if err != nil {
		return
	}
	temporary := l.file + ".new"
	if err = os.WriteFile(temporary, raw, 0o600); err == nil {
		err = os.Rename(temporary, l.file)
	}
	if err != nil {
		l.log.Warn("the addresses of clients are not remembered", "error", oneLine(err))
	}
}

// snapshot is what is to be written, and whether it is something new. It is not
// tried again before something changes.
func (l *leases) snapshot() (f leasesFile, changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.changes()
	if n == l.written {
		return f, false
	}
	l.written = n
	f.DHCP = l.memory.All()
	if l.pool != nil {
		f.Pool = l.pool.Remembered()
	}
	return f, true
}
