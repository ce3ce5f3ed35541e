package ike

// Wording is how an initiator says what it offers when it plays another system: lab/emulation
// has clients as stock systems are. What it offers must be what the Peer's Suites and ESP say.
type Wording struct {
	VendorIDs [][]byte                // in place of our own, in this order
	SA1       []byte                  // body of the SA payload of phase 1; nil: ours
	SA2       func(spi uint32) []byte // of quick mode; nil: ours
	NonceLen  int                     // bytes; 0: ours
	CountIDs  bool                    // message ids are 1, 2, 3, ... and not random
}

// wording is that of a peer that we dial; never nil.
func (p *Peer) wording() *Wording {
	if p == nil || p.Wording == nil {
		return &Wording{}
	}
	return p.Wording
}

// offerVendors are the ids an initiator sends.
func (p *phase1) offerVendors() [][]byte {
	if ids := p.peer.wording().VendorIDs; ids != nil {
		return ids
	}
	ids := [][]byte{vidRFC3947}
	if !p.e.cfg.FewVendorIDs {
		ids = append(ids, vidDraft03, vidDraft02n)
	}
	ids = append(ids, vidDPD)
	if p.peer.Multipath {
		ids = append(ids, vidMultipath)
	}
	return ids
}
