package eth

// Split writes a frame as plain frames with complete checksums, each in a
// buffer of its own that next gives: next(n) is called once for each piece, in
// order, and returns n writable bytes (contents undefined), or nil to stop. A
// plain frame is one piece, copied as it is and completed where it has
// NeedsCsum.
//
// limit, where it is > 0, is the longest piece wanted in bytes with the Ethernet
// header: a large TCP frame whose segments would be longer is cut smaller.
// Plain frames and UDP datagrams are never cut by it.
//
// It returns how many pieces were written, and a fault where the frame is not
// what its Offload says (0 pieces). Bytes are copied once; nothing is allocated.
func Split(f *Frame, limit int, next func(n int) []byte) (pieces int, fault Fault) { return 0, OK }
