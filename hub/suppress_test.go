package hub

import (
	"testing"
	"time"

	"pgregory.net/rapid"
	"vhub/eth"
)

// memory is duplicate suppression as one would write it without a hurry, for
// frames told by their content: when and where each was accepted.
type memory map[string]struct {
	link uint16
	at   time.Duration
	id   uint8
	n    int
	rep  bool
}

// judge is what the suppressor should think.
func (m memory) judge(content string, id uint8, link uint16, now time.Duration, check bool) doubt {
	const unit = 64 * time.Microsecond
	now = now.Truncate(unit)
	echo, twice := DefaultEchoWindow.Truncate(unit), DefaultCopyWindow.Truncate(unit)
	e, known := m[content]
	age := now - e.at
	fresh := e
	fresh.link, fresh.at, fresh.id, fresh.n, fresh.rep = link, now, id, 1, false
	switch {
	case !known:
	case e.link != link && age < echo:
		if check {
			return isEcho
		}
		return isNew // and the record stays
	case e.link != link:
	case e.rep && age < time.Second.Truncate(unit):
		fresh = e
		if age > twice/4 {
			fresh.at = now
		}
	case id != e.id || age >= 2*twice || !check:
	case e.n+1 >= 4:
		fresh = e
		fresh.n, fresh.at, fresh.rep = e.n+1, now, true
	case age >= twice:
		fresh = e
		fresh.n, fresh.at = e.n+1, now
	default:
		e.n++
		m[content] = e
		return isCopy
	}
	m[content] = fresh
	return isNew
}

// Any order of frames, links and pauses: the table thinks what the model does.
func TestSuppressionAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSuppressor(Config{SeenFrames: 4096}.withDefaults())
		m, now := memory{}, time.Hour
		for range rapid.IntRange(1, 200).Draw(t, "frames") {
			now += time.Duration(rapid.OneOf(rapid.Just(0), rapid.IntRange(0, 8000), rapid.IntRange(0, 1_200_000)).Draw(t, "us")) * time.Microsecond
			content, id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "content"), rapid.Uint16Range(0, 2).Draw(t, "id")
			link, check := rapid.Uint16Range(1, 3).Draw(t, "link"), rapid.Bool().Draw(t, "check")
			f := udp(mac(1), mac(2), id, []byte(content))
			var g glance
			g.read(&f, &s.keys)
			window := uint32(0)
			if check {
				window = s.echo.Load()
			}
			got := s.look(&f, &g, link, uint32(now.Microseconds()>>usPerUnit), window)
			if want := m.judge(content, uint8(id), link, now, check); got.doubt != want {
				t.Fatalf("at %v %q (ID %d) by %d, check %v: %d, want %d", now, content, id, link, check, got.doubt, want)
			}
		}
	})
}

// Whatever a wire may do to a frame on its way back, the key stays the same;
// and any other change makes another key.
func TestKeySurvivesTheWire(t *testing.T) {
	keys := newKeyer()
	key := func(f eth.Frame) identity {
		var g glance
		g.read(&f, &keys)
		return g.id
	}
	rapid.Check(t, func(t *rapid.T) {
		payload := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "payload")
		f := []eth.Frame{udp(mac(1), mac(2), 5, payload), udp6(mac(1), mac(2), payload), tcp(mac(1), mac(2), 5, 7, 9, eth.FlagACK, len(payload)),
			ping(mac(1), mac(2), 5), arpRequest(1, 2)}[rapid.IntRange(0, 4).Draw(t, "kind")]
		want := key(f)
		l := eth.Parse(f.Data)
		back := padded(f, max(60, len(f.Data)))
		back = edit(back, func(b []byte) []byte {
			if l.IP == 4 {
				b[24], b[25] = 1, 2 // header checksum
			}
			switch l.Proto {
			case eth.ProtoUDP:
				b[l.L4+6], b[l.L4+7] = 3, 4
			case eth.ProtoTCP:
				b[l.L4+16], b[l.L4+17] = 3, 4
			case eth.ProtoICMP:
				b[l.L4+2], b[l.L4+3] = 3, 4
			}
			return b
		})
		if got := key(back); got != want {
			t.Fatalf("% x: %+v, comes back as % x: %+v", f.Data, want, back.Data, got)
		}
		if want.kind == kindTCP {
			return // by sequence number, not by content
		}
		at := rapid.IntRange(0, l.End-1).Draw(t, "at")
		if l.IP == 4 && (at >= 24 && at < 26 || at == l.Net || at == 18 || at == 19 || at >= 16 && at < 18) ||
			l.L4 > 0 && l.Proto == eth.ProtoUDP && at >= l.L4+4 && at < l.L4+8 || l.Proto == eth.ProtoICMP && at >= l.L4+2 && at < l.L4+4 || at == 12 || at == 13 ||
			l.IP == 4 && (at == 20 || at == 21) || l.IP == 6 && at >= 18 && at < 21 || l.IP == 6 && at == 14 {
			return // left out of the key on purpose, or says where the rest is
		}
		other := edit(f, func(b []byte) []byte { b[at] ^= 0x10; return b })
		if got := key(other); got.key == want.key {
			t.Fatalf("% x and, changed at %d, % x have one key", f.Data, at, other.Data)
		}
	})
}
