package hub

import (
	"sync/atomic"
	"time"

	"vhub/eth"
)

// suppressor tells echoes and copies from frames that are new.
//
//   - Echo: the frame was accepted from another link (or made by the hub) within
//     the link's window. The hub sent it out, or it came by another port of the same
//     wire. No other station sends the same bytes in so short a time; a station
//     that moved sends new ones, and what it repeats is taken after the window.
//     The window begins short, since switches reflect in microseconds, and grows
//     where frames keep coming back later than that (see reflections).
//   - Copy: the frame was accepted from the same link within the copy window. A
//     sender that repeats itself is told from a wire that doubles by its IPv4 ID,
//     and by going on: the fourth arrival is let through, and all after it until
//     it is silent for a second.
//
// TCP is not told by its bytes: what was one large frame may come back in
// pieces. An echo of a flow goes no further than what was accepted. Copies by
// the same link are dropped only where an IPv4 ID proves that they are, because
// a retransmission or a duplicate acknowledgement is the same otherwise (and
// TCP itself throws copies away).
type suppressor struct {
	keys  keyer
	seen  *seen
	flows *flows
	echo  atomic.Uint32 // windows, in units of seen
	copy  atomic.Uint32
	quiet uint32 // after so long a repeating sender is forgotten
}

func newSuppressor(cfg Config) *suppressor {
	s := &suppressor{
		keys:  newKeyer(),
		seen:  newSeen(cfg.SeenFrames),
		flows: newFlows(cfg.SeenFrames),
		quiet: units(time.Second),
	}
	s.configure(cfg)
	return s
}

func (s *suppressor) configure(cfg Config) {
	s.echo.Store(units(cfg.EchoWindow))
	s.copy.Store(units(cfg.CopyWindow))
}

// units turns a duration into the unit of seen and flows.
func units(d time.Duration) uint32 { return uint32(d.Microseconds() >> usPerUnit) }

// doubt is what the suppressor thinks of a frame.
type doubt uint8

const (
	isNew doubt = iota
	isEcho
	isCopy
)

// finding is the result of one look: of a frame that is new, its record, to be
// marked when it is flooded; of another, the link by which the frame came first
// and whether the hub flooded it then.
type finding struct {
	doubt   doubt
	first   uint16
	flooded bool
	other   bool   // the frame came by another link before
	age     uint32 // and that long ago
	rec     *record
	flow    *flow
}

// markFlooded notes that the hub flooded a frame, so that its echo is no proof
// that two ports are on one wire.
func (s *suppressor) markFlooded(found *finding, f *eth.Frame, g *glance, at uint32) {
	switch {
	case g.id.kind == kindUDPs:
		l := eth.Parse(f.Data)
		hdr := s.keys.ethernet(f.Data, &l, g)
		for from := l.Data; from < l.End; from += int(f.SegSize) {
			if r, _, known := s.seen.find(s.keys.datagram(f.Data, &l, hdr, from, min(from+int(f.SegSize), l.End)), at); known {
				r.word.Or(seenFlooded)
			}
		}
	case found.rec != nil:
		found.rec.word.Or(seenFlooded)
	case found.flow != nil:
		found.flow.word.Or(flowFlooded)
	}
}

// look judges a frame that came by a link, and remembers it if it is new. An
// echo is not older than the link's window; with window 0 (the link does not
// suppress) every frame is new.
func (s *suppressor) look(f *eth.Frame, g *glance, link uint16, at, window uint32) finding {
	switch g.id.kind {
	case kindTCP:
		return s.lookTCP(&g.id, link, at, window)
	case kindUDPs:
		l := eth.Parse(f.Data)
		return s.lookUDPs(f, &l, s.keys.ethernet(f.Data, &l, g), link, at, window)
	}
	return s.lookKey(g.id.key, g.id.id, link, at, window)
}

// touch loads the first record in which the frame may be.
func (s *suppressor) touch(id *identity) uint64 {
	if id.kind != kindTCP {
		return s.seen.set(id.key)[0].key.Load()
	}
	return s.flows.set(id.key)[0].key.Load() + s.seen.set(id.copy)[0].key.Load()
}

// lookKey judges a frame by its content. Where another reader changes the
// record meanwhile, it looks again: perhaps it has the same frame.
func (s *suppressor) lookKey(key uint64, id uint8, link uint16, at, window uint32) finding {
	for range seenTries {
		r, w, known := s.seen.find(key, at)
		fresh := makeSeen(key, at, link, id)
		age := w.age(at)
		switch {
		case !known:
			if r.take(w, key, fresh) {
				return finding{rec: r}
			}
		case w.link() == link:
			if found, done := s.lookAgain(r, w, fresh, age, window > 0); done {
				return found
			}
		case window == 0 && age < s.echo.Load():
			return finding{}
		case age >= window:
			if r.swap(w, fresh) {
				return finding{rec: r, other: age < s.echo.Load(), age: age}
			}
		default:
			return finding{doubt: isEcho, first: w.link(), flooded: w&seenFlooded != 0, other: true, age: age}
		}
	}
	return finding{}
}

// lookAgain judges a frame whose record, of that age, is of the same link. It
// is not done where the record has changed meanwhile.
func (s *suppressor) lookAgain(r *record, w, fresh seenWord, age uint32, check bool) (found finding, done bool) {
	found.rec = r
	again := w.again()
	switch {
	case w&seenRepeats != 0 && age < s.quiet:
		if age > s.copy.Load()/4 { // not for every frame of a flood
			r.swap(w, w.at(uint32(fresh>>38)))
		}
		return found, true
	case fresh.id() != w.id() || age >= 2*s.copy.Load() || !check:
		return found, r.swap(w, fresh)
	case again.count() >= 4:
		return found, r.swap(w, again.at(uint32(fresh>>38))|seenRepeats)
	case age >= s.copy.Load():
		return found, r.swap(w, again.at(uint32(fresh>>38))&^seenFlooded)
	}
	return finding{doubt: isCopy, first: fresh.link()}, r.swap(w, again)
}

// lookUDPs judges a large frame of UDP datagrams: it is an echo when each of
// them is. Each is remembered, for it may come back alone.
func (s *suppressor) lookUDPs(f *eth.Frame, l *eth.Layers, hdr uint64, link uint16, at, window uint32) finding {
	size, last := int(f.SegSize), finding{}
	known, copies := window > 0, window > 0
	for from := l.Data; from < l.End && (known || copies); from += size {
		key := s.keys.datagram(f.Data, l, hdr, from, min(from+size, l.End))
		_, w, here := s.seen.find(key, at)
		known = known && here && w.link() != link && w.age(at) < window
		copies = copies && here && w.link() == link && w.age(at) < s.copy.Load() && w&seenRepeats == 0 && w.id() == idOf(f.Data, l)
		if here {
			last = finding{doubt: isEcho, first: w.link(), flooded: w&seenFlooded != 0, other: w.link() != link, age: w.age(at)}
		}
	}
	if l.Data < l.End && known {
		return last
	}
	if l.Data < l.End && copies {
		return finding{doubt: isCopy, first: link}
	}
	for from := l.Data; from < l.End; from += size {
		key := s.keys.datagram(f.Data, l, hdr, from, min(from+size, l.End))
		fresh := makeSeen(key, at, link, idOf(f.Data, l))
		switch r, w, here := s.seen.find(key, at); {
		case !here:
			r.take(w, key, fresh)
		case w.link() == link || w.age(at) >= s.echo.Load() || window > 0:
			r.swap(w, fresh)
		}
	}
	return finding{}
}

// idOf folds the IPv4 ID to eight bits; 0 for IPv6.
func idOf(b []byte, l *eth.Layers) uint8 {
	if l.IP != 4 {
		return 0
	}
	return b[l.Net+4] ^ b[l.Net+5]
}

// lookTCP judges a TCP segment by its flow.
func (s *suppressor) lookTCP(id *identity, link uint16, at, window uint32) finding {
	f, w, far := s.flows.find(id.key)
	if f == nil {
		if f, w = s.flows.oldest(id.key, at); f != nil {
			f.write(w, id.key, id.seg, at, link, 0)
		}
		if window > 0 && id.copy != 0 {
			s.lookKey(id.copy, 0, link, at, window)
		}
		return finding{flow: f}
	}
	age := w.age(at)
	back := w.link() != link && age < s.echo.Load() && !id.seg.beyond(w, far)
	switch {
	case back && window == 0:
		return finding{}
	case back && age < window:
		return finding{doubt: isEcho, first: w.link(), flooded: w&flowFlooded != 0, other: true, age: age}
	}
	if window > 0 && id.copy != 0 {
		if again := s.lookKey(id.copy, 0, link, at, window); again.doubt == isCopy {
			return again
		}
	}
	if w.link() != link {
		f.write(w, id.key, id.seg, at, link, 0)
	} else {
		f.write(w, id.key, id.seg.join(w, far), at, link, uint64(w&flowFlooded))
	}
	return finding{flow: f, other: back, age: age}
}

// remember notes a frame that the hub makes in the name of a station behind a
// link (0: in its own). Only frames that are not TCP are made so.
func (s *suppressor) remember(id *identity, link uint16, at uint32, flooded bool) {
	if id.kind == kindTCP || id.kind == kindUDPs {
		return
	}
	fresh := makeSeen(id.key, at, link, id.id)
	if flooded {
		fresh |= seenFlooded
	}
	for range seenTries {
		r, w, known := s.seen.find(id.key, at)
		if known && r.swap(w, fresh) || !known && r.take(w, id.key, fresh) {
			return
		}
	}
}

// sweep forgets what is long over, so that old times cannot be taken for new
// ones when they wrap. Called once a second, it goes through all in 16 s.
func (s *suppressor) sweep(second int, at uint32) {
	const parts = 16
	s.seen.sweep(second%parts, parts, at, units(time.Minute))
	s.flows.sweep(second%parts, parts, at, units(10*time.Minute))
}
