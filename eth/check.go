package eth

// Fault says what is wrong with a frame; its String is the name of a drop
// counter.
type Fault uint8

// The faults that Check and Split find.
const (
	OK               Fault = iota
	FaultShort             // shorter than an Ethernet header with its tags
	FaultLong              // longer than MaxPlainLen, or MaxLargeLen for a large frame
	FaultGroupSource       // the source is a multicast or broadcast address
	FaultZeroSource        // the source is all zero
	FaultSegSize           // a large frame without a segment size
	FaultCsum              // the place of the checksum is outside of the frame, or not that of the header
	FaultGSOHeader         // a large frame whose headers are not those its kind needs
)

var faultNames = [...]string{"ok", "short-frame", "long-frame", "group-source", "zero-source", "gso-segment-size", "checksum-offset", "gso-header"}

// String returns the reason in the form of a counter's name.
func (f Fault) String() string {
	if int(f) < len(faultNames) {
		return faultNames[f]
	}
	return "unknown"
}

// Check tells whether a frame that came in from the world is whole: its length,
// its source (a station's address), and what its Offload says. Every port's
// reader may trust a frame's Offload only after it.
func (f *Frame) Check() Fault {
	n := len(f.Data)
	if n < HeaderLen {
		return FaultShort
	}
	if n > MaxLargeLen || f.GSO == GSONone && n > MaxPlainLen {
		return FaultLong
	}
	if f.Data[6]&1 != 0 {
		return FaultGroupSource
	}
	if Source(f.Data).IsZero() {
		return FaultZeroSource
	}
	if f.NeedsCsum && (f.CsumStart < HeaderLen || int(f.CsumStart)+int(f.CsumOffset)+2 > n) {
		return FaultCsum
	}
	if f.GSO != GSONone {
		return f.checkLarge()
	}
	if _, off := EtherType(f.Data); off == 0 {
		return FaultShort
	}
	return OK
}

func (f *Frame) checkLarge() Fault {
	if f.SegSize == 0 {
		return FaultSegSize
	}
	if int(f.HdrLen) > len(f.Data) {
		return FaultGSOHeader
	}
	l := Parse(f.Data)
	if !l.fits(f.GSO) {
		return FaultGSOHeader
	}
	if f.NeedsCsum && (int(f.CsumStart) != l.L4 || int(f.CsumOffset) != l.checksumOffset()) {
		return FaultCsum
	}
	return OK
}

// fits tells whether the headers are those of the kind of large frame.
func (l *Layers) fits(g GSO) bool {
	if l.L4 == 0 || l.Frag != FragNone || l.Data > l.End {
		return false
	}
	switch g {
	case GSOTCP4:
		return l.IP == 4 && l.Proto == ProtoTCP
	case GSOTCP6:
		return l.IP == 6 && l.Proto == ProtoTCP
	case GSOUDP:
		return l.Proto == ProtoUDP
	}
	return false
}

// checksumOffset returns where in a TCP or UDP header the checksum is.
func (l *Layers) checksumOffset() int {
	if l.Proto == ProtoTCP {
		return 16
	}
	return 6
}
