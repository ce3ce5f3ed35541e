package eth

import (
	"bytes"
	"encoding/binary"
)

// Limits of a Joiner.
const (
	maxOpenFlows   = 32 // flows of a batch that are being joined at one time; the oldest is closed for a new one
	maxUDPSegments = 64 // datagrams in one GSOUDP frame: what Linux takes (UDP_MAX_SEGMENTS of older kernels)
	maxIPLen       = 65535
)

// Joiner joins consecutive TCP segments (and, where UDP is set, UDP datagrams)
// of a batch into large frames. It is the opposite of Split. One goroutine uses
// a Joiner; keep it from batch to batch, as it holds the buffers.
//
// Segments are joined where the result, split again, is the same frames: same
// Ethernet header and tags, same IP fields, no IP options or extension headers,
// consecutive IPv4 IDs (with DF also constant ones, which mean nothing: RFC 6864
// section 4.1), next sequence number, same acknowledgement, window and options,
// equal sizes but for the last, a checksum that is right. SYN, RST, URG and CWR are never joined; PSH
// and FIN end a large frame. Checksums are not looked at where CsumValid or
// NeedsCsum tells that the sender is this machine or has checked.
type Joiner struct {
	UDP bool // also join UDP datagrams into GSOUDP frames

	groups []group
	open   []int32 // groups that still take segments
	next   []int32 // frame -> the following frame of its group
	ends   []int32 // frame -> the end of its IP packet
	out    []Frame
	buf    []byte
}

// group is what becomes one frame of the result.
type group struct {
	first, last, count int32
	l                  Layers // of the first frame; the others have the same offsets
	payload            int    // bytes of all
	seg                int    // bytes of all but the last
	seq                uint32 // TCP: what comes next
	id, step           uint16 // IPv4: ID of the last, and what it counts up by (0 or 1)
	checked            bool   // the first frame's checksums were looked at and are right
}

// Join returns the frames of the batch, with those joined that can be. Order
// is kept inside each flow. The result, and the joined frames' bytes, belong
// to the Joiner and are good until the next call of Join; frames that were not
// joined are those of in, which must stay lent as long.
//
// A joined frame has NeedsCsum: its TCP or UDP checksum field holds the
// pseudo-header sum.
func (j *Joiner) Join(in []Frame) []Frame {
	if len(in) < 2 {
		return in
	}
	j.groups, j.open, j.next, j.ends = j.groups[:0], j.open[:0], j.next[:0], j.ends[:0]
	for i := range in {
		j.add(in, int32(i))
	}
	if len(j.groups) == len(in) {
		return in
	}
	return j.emit(in)
}

// add puts frame i into an open group of its flow, or makes a group of it.
func (j *Joiner) add(in []Frame, i int32) {
	f := &in[i]
	l := Parse(f.Data)
	j.next = append(j.next, -1)
	j.ends = append(j.ends, int32(l.End))
	flow := l.IP != 0 && (l.Proto == ProtoTCP || l.Proto == ProtoUDP)
	if flow && l.L4 == 0 || l.Frag != FragNone {
		j.open = j.open[:0] // a fragment: it may belong to any flow, which must not overtake it
	} else if flow {
		if at := j.find(in, f, &l); at >= 0 {
			g := &j.groups[j.open[at]]
			took, done := j.extend(in, g, f, &l)
			if took {
				j.next[g.last], g.last = i, i
			}
			if done {
				j.close(at)
			}
			if took {
				return
			}
		}
	}
	g := group{first: i, last: i, count: 1, l: l}
	if flow && j.begins(f, &l, &g) {
		if len(j.open) == maxOpenFlows {
			j.close(0)
		}
		j.open = append(j.open, int32(len(j.groups)))
	}
	j.groups = append(j.groups, g)
}

func (j *Joiner) close(at int) { j.open = append(j.open[:at], j.open[at+1:]...) }

// find returns the place in open of the group of the frame's flow (addresses,
// protocol and ports), newest first; -1 when there is none.
func (j *Joiner) find(in []Frame, f *Frame, l *Layers) int {
	ports := binary.BigEndian.Uint32(f.Data[l.L4:])
	addrs := l.addresses(f.Data)
	for at := len(j.open) - 1; at >= 0; at-- {
		g := &j.groups[j.open[at]]
		b := in[g.first].Data
		if g.l.Proto == l.Proto && binary.BigEndian.Uint32(b[g.l.L4:]) == ports && bytes.Equal(g.l.addresses(b), addrs) {
			return at
		}
	}
	return -1
}

// addresses returns the source and destination address, 8 or 32 bytes.
func (l *Layers) addresses(b []byte) []byte {
	if l.IP == 4 {
		return b[l.Net+12 : l.Net+20]
	}
	return b[l.Net+8 : l.Net+40]
}

// begins tells whether further segments can be joined to the frame, and fills g.
func (j *Joiner) begins(f *Frame, l *Layers, g *group) bool {
	if !j.plain(f, l) {
		return false
	}
	g.payload = l.End - l.Data
	g.seg = g.payload
	if l.IP == 4 {
		g.id = binary.BigEndian.Uint16(f.Data[l.Net+4:])
	}
	if l.Proto == ProtoUDP {
		return true
	}
	t := l.TCP(f.Data)
	g.seq = t.Seq() + uint32(g.payload)
	return t.Flags()&^FlagECE == FlagACK
}

// plain tells a frame of the form that can be joined at all: one segment with
// payload, no IP options, nothing between the IP and the upper header.
func (j *Joiner) plain(f *Frame, l *Layers) bool {
	if f.GSO != GSONone || l.Data == 0 || l.Data >= l.End {
		return false
	}
	if f.NeedsCsum && (int(f.CsumStart) != l.L4 || int(f.CsumOffset) != l.checksumOffset()) {
		return false
	}
	if l.Proto == ProtoUDP {
		u := l.UDP(f.Data)
		if !j.UDP || u.Len() != len(u) || u.Checksum() == 0 {
			return false
		}
	}
	if l.IP == 4 {
		return l.L4 == l.Net+20
	}
	return l.L4 == l.Net+40
}

// extend tells whether the frame, of the flow of the open group g, was taken
// into it, and whether the group is complete (also where it was not taken: what
// follows in this flow must not overtake the frame). It updates all of g but last.
func (j *Joiner) extend(in []Frame, g *group, f *Frame, l *Layers) (took, done bool) {
	first := &in[g.first]
	n := l.End - l.Data
	if !j.plain(f, l) || l.Net != g.l.Net || l.Data != g.l.Data || n > g.seg ||
		l.End-l.Net+g.payload > maxIPLen || !sameNet(first.Data, f.Data, l) {
		return false, true
	}
	id, step := uint16(0), uint16(0)
	if l.IP == 4 {
		p := f.Data[l.Net:]
		id = binary.BigEndian.Uint16(p[4:])
		step = id - g.id
		if step > 1 || step == 0 && p[6]&0x40 == 0 || g.count > 1 && step != g.step {
			return false, true
		}
	}
	if l.Proto == ProtoTCP {
		t := l.TCP(f.Data)
		if t.Seq() != g.seq || !sameTCP(g.l.TCP(first.Data), t) {
			return false, true
		}
		done = t.Flags()&(FlagPSH|FlagFIN) != 0
	}
	if !g.checked && !sumsRight(first, &g.l) || !sumsRight(f, l) {
		return false, true
	}
	g.checked = true
	g.id, g.step = id, step
	g.count++
	g.payload += n
	g.seq += uint32(n)
	done = done || n < g.seg || l.Proto == ProtoUDP && g.count == maxUDPSegments
	return true, done
}

// sameNet compares Ethernet headers with tags, and those IP fields that all
// pieces of a large frame share. The addresses are known to be the same.
func sameNet(a, b []byte, l *Layers) bool {
	if !bytes.Equal(a[:l.Net], b[:l.Net]) {
		return false
	}
	p, q := a[l.Net:], b[l.Net:]
	if l.IP == 4 { // version and length, TOS; flags and offset, TTL, protocol
		return binary.BigEndian.Uint16(p) == binary.BigEndian.Uint16(q) &&
			binary.BigEndian.Uint32(p[6:]) == binary.BigEndian.Uint32(q[6:])
	}
	// version, class, flow label; next header and hop limit
	return binary.BigEndian.Uint32(p) == binary.BigEndian.Uint32(q) &&
		binary.BigEndian.Uint16(p[6:]) == binary.BigEndian.Uint16(q[6:])
}

// sameTCP compares what two segments of one large frame share: acknowledgement,
// header length, flags but for FIN and PSH, window, urgent pointer, options.
func sameTCP(a, b TCP) bool {
	return binary.BigEndian.Uint32(a[8:]) == binary.BigEndian.Uint32(b[8:]) &&
		a[12] == b[12] && a[13] == b[13]&^(FlagFIN|FlagPSH) &&
		binary.BigEndian.Uint16(a[14:]) == binary.BigEndian.Uint16(b[14:]) &&
		binary.BigEndian.Uint16(a[18:]) == binary.BigEndian.Uint16(b[18:]) &&
		bytes.Equal(a.Options(), b.Options())
}

// sumsRight tells whether the checksums of a frame are right or need no look.
func sumsRight(f *Frame, l *Layers) bool {
	if l.IP == 4 && sum20(f.Data[l.Net:]) != 0xffff {
		return false
	}
	return f.CsumValid || f.NeedsCsum || l.ChecksumValid(f.Data)
}

// emit builds the result from the groups.
func (j *Joiner) emit(in []Frame) []Frame {
	need := 0
	for i := range j.groups {
		if g := &j.groups[i]; g.count > 1 {
			need += g.l.Data + g.payload
		}
	}
	if cap(j.buf) < need {
		j.buf = make([]byte, need+need/4)
	}
	buf := j.buf[:cap(j.buf)]
	j.out = j.out[:0]
	for i := range j.groups {
		g := &j.groups[i]
		if g.count == 1 {
			j.out = append(j.out, in[g.first])
			continue
		}
		n := g.l.Data + g.payload
		j.out = append(j.out, j.build(in, g, buf[:n:n]))
		buf = buf[n:]
	}
	return j.out
}

// build copies the frames of a group into b and writes the header of the whole.
func (j *Joiner) build(in []Frame, g *group, b []byte) Frame {
	l := &g.l
	at := copy(b, in[g.first].Data[:l.Data])
	for i := g.first; i >= 0; i = j.next[i] {
		at += copy(b[at:], in[i].Data[l.Data:j.ends[i]])
	}
	p, t := b[l.Net:], b[l.L4:]
	f := Frame{Data: b, Offload: Offload{
		NeedsCsum:  true,
		HdrLen:     uint16(l.Data),
		SegSize:    uint16(g.seg),
		CsumStart:  uint16(l.L4),
		CsumOffset: uint16(l.checksumOffset()),
	}}
	if l.IP == 4 {
		f.GSO = GSOTCP4
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		p[10], p[11] = 0, 0
		binary.BigEndian.PutUint16(p[10:], ^sum20(p))
	} else {
		f.GSO = GSOTCP6
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)-40))
	}
	if l.Proto == ProtoUDP {
		f.GSO = GSOUDP
		binary.BigEndian.PutUint16(t[4:], uint16(len(t)))
	} else {
		t[13] |= in[g.last].Data[l.L4+13] & (FlagFIN | FlagPSH)
	}
	binary.BigEndian.PutUint16(t[f.CsumOffset:], l.pseudo(b, len(t)))
	return f
}
