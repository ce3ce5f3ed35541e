package etherip

import (
	"vhub/eth"
)

// exceeds tells whether any plain frame that f stands for is longer than the
// path takes. Large TCP frames are cut to fit.
func (o *outgoing) exceeds(f *eth.Frame) bool {
	switch f.GSO {
	case eth.GSONone:
		return len(f.Data) > o.lim.frame
	case eth.GSOUDP:
		l := eth.Parse(f.Data)
		return min(l.Data+int(f.SegSize), len(f.Data)) > o.lim.frame
	}
	return false
}

// addTooLong writes a frame that is longer than the path under DF or
// PreFragment. Its plain frames are made aside, with complete checksums, and
// looked at one by one.
func (o *outgoing) addTooLong(f *eth.Frame) {
	o.aside, o.parts = o.aside[:0], o.parts[:0]
	if _, fault := eth.Split(f, 0, o.keep); fault != eth.OK {
		o.port.count.drop(BadFrame, 1)
		return
	}
	rest := o.aside
	for _, n := range o.parts {
		o.addPlain(rest[:n])
		rest = rest[n:]
		if o.full {
			return
		}
	}
}

// copyAside is Split's next for the pieces of addTooLong.
func (o *outgoing) copyAside(n int) []byte {
	at := len(o.aside)
	if cap(o.aside) < at+n {
		grown := make([]byte, at, 2*(at+n)) // once; then it stays
		copy(grown, o.aside)
		o.aside = grown
	}
	o.aside = o.aside[:at+n]
	o.parts = append(o.parts, n)
	return o.aside[at:]
}

// addPlain writes one plain frame with a complete checksum: whole where it
// fits, in inner fragments where it may be cut, else it is answered (DF) or
// left to outer fragments.
func (o *outgoing) addPlain(b []byte) {
	if len(b) > o.lim.frame {
		if eth.Fragment(b, o.lim.frame, o.place) > 0 {
			o.cut++
			return
		}
		if o.full {
			return
		}
		if o.port.cfg.DF {
			o.port.count.drop(TooBig, 1)
			o.port.answers.tooBig(o.port, b, o.lim.frame)
			return
		}
	}
	if to := o.next(len(b)); to != nil {
		copy(to, b)
		o.clamp()
	}
}
