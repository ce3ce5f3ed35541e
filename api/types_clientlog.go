package api

// ClientLogRequest names the address of a client or peer.
type ClientLogRequest struct {
	// Address is where its packets come from: an IP address without a port.
	Address string `query:"address" json:"-"`
	// Last, above 0, is how many lines at most.
	Last int `query:"last" json:"-"`
}

// ClientLog is what the daemon logged about one client or peer lately. The
// daemon remembers a number of lines for each of the addresses it logged about last.
type ClientLog struct {
	// Address is the address that was asked for.
	Address string `json:"address"`
	// Lines are the last lines, oldest first.
	Lines []Event `json:"lines"`
}
