package bridge

import (
	"errors"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"vhub/eth"
)

// fakeFDB is a bridge's table in memory.
type fakeFDB struct {
	pins, fixed map[pin]struct{}
	host        map[eth.Addr]struct{}
	fail        bool
}

func newFakeFDB() *fakeFDB {
	return &fakeFDB{pins: map[pin]struct{}{}, fixed: map[pin]struct{}{}, host: map[eth.Addr]struct{}{}}
}

func (f *fakeFDB) add(p pin) error {
	if f.fail {
		return errors.New("no")
	}
	f.pins[p] = struct{}{}
	return nil
}

func (f *fakeFDB) del(p pin) error {
	if f.fail {
		return errors.New("no")
	}
	delete(f.pins, p)
	return nil
}

func (f *fakeFDB) list() (fdbState, error) {
	return fdbState{maps.Clone(f.pins), maps.Clone(f.fixed), maps.Clone(f.host)}, nil
}

func mac(n byte) eth.Addr { return eth.Addr{2, 0, 0, 0, 0, n} }

func TestPinsFollowStations(t *testing.T) {
	is := func(t *testing.T, f *fakeFDB, want ...pin) {
		t.Helper()
		set := map[pin]struct{}{}
		for _, p := range want {
			set[p] = struct{}{}
		}
		if !maps.Equal(f.pins, set) {
			t.Fatalf("the bridge holds %v, want %v", f.pins, want)
		}
	}
	t.Run("a bridge without VLANs holds one entry for a station in two VLANs", func(t *testing.T) {
		f := newFakeFDB()
		p := newPinner(f, bridgeView{})
		p.set(station{0, mac(1)}, true)
		p.set(station{10, mac(1)}, true)
		is(t, f, pin{0, mac(1)})
		p.set(station{0, mac(1)}, false)
		is(t, f, pin{0, mac(1)})
		p.set(station{10, mac(1)}, false)
		is(t, f)
	})
	t.Run("a filtering bridge gets the tag, or the port's own VLAN", func(t *testing.T) {
		f := newFakeFDB()
		p := newPinner(f, bridgeView{filtering: true, pvid: 5})
		p.set(station{0, mac(1)}, true)
		p.set(station{10, mac(1)}, true)
		is(t, f, pin{5, mac(1)}, pin{10, mac(1)})
		p.set(station{0, mac(1)}, false)
		is(t, f, pin{10, mac(1)})
	})
	t.Run("untagged frames that the port does not take are not pinned", func(t *testing.T) {
		f := newFakeFDB()
		p := newPinner(f, bridgeView{filtering: true})
		p.set(station{0, mac(1)}, true)
		is(t, f)
		p.set(station{0, mac(1)}, false)
		is(t, f)
	})
	t.Run("the host's own addresses and what others fixed are never pinned", func(t *testing.T) {
		f := newFakeFDB()
		f.host[mac(9)] = struct{}{}
		f.fixed[pin{0, mac(8)}] = struct{}{}
		p := newPinner(f, bridgeView{})
		if err := p.resync([]station{{0, mac(9)}, {0, mac(8)}, {0, mac(1)}}); err != nil {
			t.Fatal(err)
		}
		is(t, f, pin{0, mac(1)})
		p.set(station{7, mac(9)}, true)
		is(t, f, pin{0, mac(1)})
	})
	t.Run("a resync mends what others did", func(t *testing.T) {
		f := newFakeFDB()
		p := newPinner(f, bridgeView{})
		p.set(station{0, mac(1)}, true)
		p.set(station{0, mac(2)}, true)
		delete(f.pins, pin{0, mac(1)})
		f.pins[pin{0, mac(7)}] = struct{}{}
		if err := p.resync([]station{{0, mac(1)}, {0, mac(2)}}); err != nil {
			t.Fatal(err)
		}
		is(t, f, pin{0, mac(1)}, pin{0, mac(2)})
	})
	t.Run("a refused pin is counted and tried again by the next resync", func(t *testing.T) {
		f := newFakeFDB()
		p := newPinner(f, bridgeView{})
		f.fail = true
		p.set(station{0, mac(1)}, true)
		if p.errs != 1 || p.lastErr == nil {
			t.Fatalf("%d errors, last %v", p.errs, p.lastErr)
		}
		f.fail = false
		p.resync([]station{{0, mac(1)}})
		is(t, f, pin{0, mac(1)})
	})
}

func TestPinsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFakeFDB()
		v := bridgeView{filtering: rapid.Bool().Draw(t, "filtering"), pvid: uint16(rapid.IntRange(0, 2).Draw(t, "pvid"))}
		p := newPinner(f, v)
		model := map[station]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			st := station{uint16(rapid.IntRange(0, 3).Draw(t, "vlan")), mac(byte(rapid.IntRange(1, 4).Draw(t, "mac")))}
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				p.set(st, true)
				model[st] = true
			case 2:
				p.set(st, false)
				delete(model, st)
			case 3:
				delete(f.pins, pin{uint16(rapid.IntRange(0, 3).Draw(t, "lost vid")), st.mac})
				var all []station
				for st := range model {
					all = append(all, st)
				}
				p.resync(all)
			}
			want := map[pin]struct{}{}
			for st := range model {
				if k, ok := v.pinFor(st); ok {
					want[k] = struct{}{}
				}
			}
			if !maps.Equal(f.pins, want) {
				t.Fatalf("the bridge holds %v, want %v", f.pins, want)
			}
		}
	})
}
