package eth

// Fragment cuts a plain frame with an IPv4 packet that may be fragmented (DF is
// 0) into frames of at most limit bytes with the Ethernet header (RFC 791
// section 3.2). next is as in Split. It returns the number of pieces, 0 when
// the frame can not be fragmented: not IPv4, DF set, or limit too small.
func Fragment(frame []byte, limit int, next func(n int) []byte) int { return 0 }
