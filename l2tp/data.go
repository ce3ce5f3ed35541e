package l2tp

import (
	"time"

	"vhub/arp"
	"vhub/eth"
	"vhub/internal/packet"
	"vhub/ppp"
)

// The way of a client's packet into the hub, on the goroutine that opened it:
// 1 the L2TP header, 2 the session, 3 the PPP header, 4 the virtual host finds
// the station it is for, 5 an Ethernet frame, 6 segments of a flow are joined,
// 7 the hub. What is control goes to the loop as a copy.

// receiver is the scratch of one goroutine that receives for a peer.
type receiver struct {
	p      *Peer
	slab   *[slabLen]byte // only while a batch is under way: ten thousand idle peers have none
	used   int
	frames []eth.Frame
	open   *session // whose frames are in the batch
}

// slabLen fits a read of many packets; a batch that is larger goes in parts.
const slabLen = 128 << 10

// NewReceiver makes what takes payloads of UDP port 1701 from the peer; each
// goroutine that reads has one. The payloads are lent, and neither kept nor
// written to.
func (p *Peer) NewReceiver() func(now time.Time, payloads [][]byte) {
	r := &receiver{p: p}
	return r.receive
}

func (r *receiver) receive(now time.Time, payloads [][]byte) {
	s := r.p.s
	sec := now.Unix()
	if len(payloads) > 0 {
		r.p.heard.Store(now.UnixMilli())
	}
	for _, b := range payloads {
		h, body, err := ParseHeader(b)
		switch {
		case err != nil:
			s.Counters.BadHeader.Add(1)
			continue
		case h.Control:
			pkt := append([]byte(nil), b...)
			s.offer(r.p, func(now time.Time) { r.p.control(now, pkt) })
			continue
		}
		x := r.p.session(sessionKey(h.Tunnel, h.Session))
		if x == nil {
			r.early(sessionKey(h.Tunnel, h.Session), body)
			continue
		}
		r.packet(now, sec, x, body)
	}
	r.flush(now)
	r.open = nil
	if r.slab != nil {
		s.slabs.Put(r.slab)
		r.slab = nil
	}
}

// early takes data for a session that is not here. A client begins with LCP
// right behind its ICCN, which the loop may not have come to; what waits behind
// it in the same order finds the session.
func (r *receiver) early(key uint32, body []byte) {
	p := r.p
	proto, _, ok := ppp.Split(body)
	if !ok || proto == ppp.ProtoIPv4 || proto == ppp.ProtoIPv6 {
		p.s.Counters.NoSession.Add(1)
		return
	}
	pkt := append([]byte(nil), body...)
	p.s.offer(p, func(now time.Time) {
		if x := p.session(key); x != nil {
			x.link.Receive(now, pkt, &x.pout)
		} else {
			p.s.Counters.NoSession.Add(1)
		}
	})
}

// packet takes a PPP packet of a session.
func (r *receiver) packet(now time.Time, sec int64, x *session, body []byte) {
	s := r.p.s
	proto, ip, ok := ppp.Split(body)
	if !ok {
		s.Counters.BadPPP.Add(1)
		return
	}
	f := x.flow.Load()
	if proto != ppp.ProtoIPv4 && proto != ppp.ProtoIPv6 {
		pkt := append([]byte(nil), body...)
		s.offer(r.p, func(now time.Time) {
			if !x.over {
				x.link.Receive(now, pkt, &x.pout)
			}
		})
		return
	}
	if f == nil || (proto == ppp.ProtoIPv4 && !f.v4) || (proto == ppp.ProtoIPv6 && !f.v6) {
		s.Counters.NotOpen.Add(1)
		return
	}
	if proto == ppp.ProtoIPv4 && isDHCP(ip) {
		x.count.in(ip)
		pkt := append([]byte(nil), ip...)
		s.offer(r.p, func(now time.Time) { x.fromClient(now, f, pkt) })
		return
	}
	dst, typ, pass, why := f.host.Route(sec, ip)
	switch pass {
	case arp.PassDrop:
		if why == arp.ReasonSource {
			s.Counters.BadSource.Add(1)
		} else {
			s.Counters.BadIP.Add(1)
		}
	case arp.PassControl:
		x.count.in(ip)
		pkt := append([]byte(nil), ip...)
		s.offer(r.p, func(now time.Time) { x.fromClient(now, f, pkt) })
	default:
		x.count.in(ip)
		r.frame(now, x, f, dst, typ, ip)
	}
}

// isDHCP tells a packet to a DHCP server, which may be a DHCPINFORM.
func isDHCP(p []byte) bool {
	return len(p) >= 28 && p[9] == eth.ProtoUDP && p[0] == 0x45 && p[22] == 0 && p[23] == 67
}

// frame adds a frame to the batch.
func (r *receiver) frame(now time.Time, x *session, f *flow, dst eth.Addr, typ uint16, ip []byte) {
	s := r.p.s
	n := eth.HeaderLen + len(ip)
	if r.open != x || slabLen-r.used < n {
		r.flush(now)
		r.open = x
		if r.slab == nil {
			r.slab = s.slabs.Get().(*[slabLen]byte)
		}
		if n > slabLen {
			return
		}
	}
	b := r.slab[r.used : r.used+n : r.used+n]
	r.used += n
	copy(b, dst[:])
	m := f.host.MAC()
	copy(b[6:], m[:])
	b[12], b[13] = byte(typ>>8), byte(typ)
	copy(b[eth.HeaderLen:], ip)
	fr := eth.Frame{Data: b}
	eth.ClampMSS(&fr, f.mss4In, f.mss6In)
	r.frames = append(r.frames, fr)
}

// flush hands the batch to the hub.
func (r *receiver) flush(now time.Time) {
	switch len(r.frames) {
	case 0:
	case 1:
		r.open.input(now, r.frames)
	default: // the buffers of a Joiner are large, and there may be thousands of receivers
		j := r.p.s.joiners.Get().(*eth.Joiner)
		r.open.input(now, j.Join(r.frames))
		r.p.s.joiners.Put(j)
	}
	r.frames, r.used = r.frames[:0], 0
}

// input hands frames of the client to the hub; readers of one session take
// turns, which they hardly ever have to.
func (x *session) input(now time.Time, frames []eth.Frame) {
	x.inMu.Lock()
	defer x.inMu.Unlock()
	if x.in != nil {
		x.in.Input(now, frames)
	}
}

// fromClient takes, on the loop, a packet that the data path could not place.
func (x *session) fromClient(now time.Time, f *flow, ip []byte) {
	if x.over {
		return
	}
	if f.responder != nil && isDHCP(ip) {
		if reply, ok := f.responder.Receive(ip, x.host.Addr4()); ok {
			x.sendIP(reply)
			return
		}
	}
	if dst, typ, pass, _ := x.host.Route(now.Unix(), ip); pass == arp.PassData {
		fr := eth.AppendHeader(make([]byte, 0, eth.HeaderLen+len(ip)), 0, dst, x.mac, typ)
		x.toSegment(now, [][]byte{append(fr, ip...)})
		return
	}
	x.host.FromClient(now, ip, &x.hout)
}

// toSegment hands frames of the session's machines to the hub.
func (x *session) toSegment(now time.Time, frames [][]byte) {
	if len(frames) == 0 {
		return
	}
	list := make([]eth.Frame, len(frames))
	for i, b := range frames {
		list[i].Data = b
	}
	x.input(now, list)
}

// The way of a frame to a client: 1 the virtual host says whether it is for
// the client, 2 one copy without its Ethernet header, cut and completed where
// it is large, 3 the PPP and L2TP headers, 4 the carrier seals and sends.

// writer is the scratch of one call of WriteFrames.
type writer struct {
	arena *packet.Arena
	x     *session
	f     *flow
	room  int
	next  func(n int) []byte
	proto uint16
	done  int // packets of the arena that have their headers
	hdr   [4]byte
}

func newWriter() *writer {
	w := &writer{arena: packet.NewArena(192 << 10)}
	w.next = w.room4
	return w
}

// WriteFrames is hub.Port's.
func (x *session) WriteFrames(frames []eth.Frame) int {
	f := x.flow.Load()
	if f == nil {
		return len(frames)
	}
	s := x.p.s
	var w *writer
	for i := range frames {
		if f.deaf(&frames[i]) {
			s.Counters.NotOurs.Add(1)
			continue
		}
		if w == nil {
			w = s.pool.Get().(*writer)
			w.x, w.f, w.room = x, f, x.room(f.params)
		}
		w.frame(&frames[i])
	}
	if w != nil {
		w.flush()
		w.x, w.f = nil, nil
		s.pool.Put(w)
	}
	return len(frames)
}

// deaf tells of a flooded frame that the client has no use for: with many
// sessions that is nearly every one, so it is found out before anything else.
func (f *flow) deaf(fr *eth.Frame) bool {
	if fr.Data[0]&1 == 0 {
		return false
	}
	_, pass, why := f.host.Accept(fr.Data)
	return pass == arp.PassDrop && why == arp.ReasonNotOurs && !(f.dhcp && dhcpFor(fr, f.host.MAC()))
}

func (w *writer) frame(fr *eth.Frame) {
	x, s := w.x, w.x.p.s
	if w.f.dhcp && dhcpFor(fr, w.f.host.MAC()) {
		b := append([]byte(nil), fr.Data...)
		s.offer(x.p, func(now time.Time) { x.fromDHCP(now, b) })
		return
	}
	ip, pass, why := w.f.host.Accept(fr.Data)
	switch {
	case pass == arp.PassControl:
		b := append([]byte(nil), fr.Data...)
		s.offer(x.p, func(now time.Time) {
			if !x.over && x.host != nil {
				x.host.FromSegment(now, b, &x.hout)
			}
		})
		return
	case pass == arp.PassDrop:
		if why == arp.ReasonNotOurs || why == arp.ReasonProtocol {
			s.Counters.NotOurs.Add(1)
		} else {
			s.Counters.NotOpen.Add(1)
		}
		return
	}
	w.proto = ppp.ProtoIPv4
	if ip[0]>>4 == 6 {
		w.proto = ppp.ProtoIPv6
	}
	if (w.proto == ppp.ProtoIPv4 && !w.f.v4) || (w.proto == ppp.ProtoIPv6 && !w.f.v6) {
		s.Counters.NotOpen.Add(1)
		return
	}
	if fr.GSO == eth.GSONone && len(ip) > w.f.params.MTU {
		w.tooLong(fr)
		return
	}
	_, fault := eth.Split(fr, w.room+eth.HeaderLen, w.next)
	if fault != eth.OK {
		s.Counters.BadIP.Add(1)
	}
	w.headers()
}

// room4 gives the next piece its buffer.
func (w *writer) room4(n int) []byte {
	p, ok := w.arena.Next(n)
	if !ok {
		w.headers()
		w.send()
		if p, ok = w.arena.Next(n); !ok {
			return nil
		}
	}
	return p.Payload()
}

// tooLong cuts an IPv4 packet that is longer than the client takes, or tells
// its sender.
func (w *writer) tooLong(fr *eth.Frame) {
	x := w.x
	frame := fr.Data
	if fr.NeedsCsum {
		frame = append([]byte(nil), fr.Data...)
		if !eth.CompleteChecksum(frame, &fr.Offload) {
			x.p.s.Counters.BadIP.Add(1)
			return
		}
	}
	if eth.Fragment(frame, w.f.params.MTU+eth.HeaderLen, w.next) > 0 {
		w.headers()
		return
	}
	x.p.s.Counters.TooBig.Add(1)
	answer, ok := eth.AppendTooBig(nil, frame, w.f.params.MTU)
	if ok { // the hub must not be called from here
		x.p.s.offer(x.p, func(now time.Time) { x.toSegment(now, [][]byte{answer}) })
	}
}

// headers takes the Ethernet header off the new pieces, which are whole frames
// with one buffer each, and puts PPP's and L2TP's before them.
func (w *writer) headers() {
	pkts := w.arena.Packets()
	x := w.x
	bytes := 0
	for i := w.done; i < len(pkts); i++ {
		p := &pkts[i]
		if w.f.mss4In > 0 {
			fr := eth.Frame{Data: p.Payload()}
			eth.ClampMSS(&fr, w.room-40, w.room-60)
		}
		if n := eth.CanonicalLen(p.Payload()); n < p.End-p.Off {
			p.End = p.Off + n // padding
		}
		p.Off += eth.HeaderLen
		bytes += p.End - p.Off
		hdr := w.f.params.AppendHeader(w.hdr[:0], w.proto)
		copy(p.Prepend(len(hdr)), hdr)
		x.header(p)
	}
	x.count.outPackets.Add(uint64(len(pkts) - w.done))
	x.count.outBytes.Add(uint64(bytes))
	w.done = len(pkts)
}

// header puts the L2TP header of a data message before a PPP packet.
func (x *session) header(p *packet.Packet) {
	n := p.End - p.Off
	if x.ev.Sequencing {
		PutSequencedHeader(p.Prepend(SequencedHeaderLen), x.ev.PeerTunnel, x.ev.PeerSess, uint16(x.ns.Add(1)-1), 0, n)
		return
	}
	PutDataHeader(p.Prepend(DataHeaderLen), x.ev.PeerTunnel, x.ev.PeerSess, n)
}

func (w *writer) send() {
	pkts := w.arena.Packets()
	if len(pkts) > 0 {
		if n := w.x.p.c.Send(pkts); n < len(pkts) {
			w.x.p.s.Counters.Refused.Add(uint64(len(pkts) - n))
		}
	}
	w.arena.Reset()
	w.done = 0
}

func (w *writer) flush() { w.send() }

// sendPPP sends a packet of the PPP machine.
func (x *session) sendPPP(pkt []byte) {
	w := x.p.s.pool.Get().(*writer)
	w.x = x
	if p, ok := w.arena.Next(len(pkt)); ok {
		copy(p.Payload(), pkt)
		x.header(p)
	}
	w.send()
	w.x = nil
	x.p.s.pool.Put(w)
}

// sendIP sends an IP packet of the session's own machines to the client.
func (x *session) sendIP(ip []byte) {
	f := x.flow.Load()
	if f == nil || len(ip) == 0 {
		return
	}
	proto := uint16(ppp.ProtoIPv4)
	if ip[0]>>4 == 6 {
		proto = ppp.ProtoIPv6
	}
	x.count.outPackets.Add(1)
	x.count.outBytes.Add(uint64(len(ip)))
	x.sendPPP(append(f.params.AppendHeader(make([]byte, 0, 4+len(ip)), proto), ip...))
}
