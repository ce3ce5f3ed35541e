package ipsec

import "vhub/ipsec/ike"

// Sessions tells about IKE: every session with its phase 1 SAs, negotiations that
// have not come to a known peer yet among them. Peer.Name is the port's. The
// statuses hold keys: show those only to who asked for exactly that.
func (e *Engine) Sessions() []ike.SessionStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ike.Sessions()
}
