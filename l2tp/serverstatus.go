package l2tp

import (
	"maps"
	"slices"
	"time"

	"vhub/arp"
)

// ServerStatus is a server at one look, for "port show".
type ServerStatus struct {
	Sessions   int    `json:"sessions"`   // up
	Connecting int    `json:"connecting"` // not up yet
	Peers      int    `json:"peers"`      // clients with an IPsec session, or at a UDP port where IPsec is not asked for
	Logins     uint64 `json:"logins"`     // that were good
	Failures   uint64 `json:"login_failures"`
	Locked     uint64 `json:"login_locked"` // refused unseen, after too many failures
	Full       uint64 `json:"refused_full"` // calls beyond the limit of sessions
	Ended      uint64 `json:"ended"`        // sessions that are over
	InPackets  uint64 `json:"in_packets"`   // IP packets from clients, of all sessions that were
	InBytes    uint64 `json:"in_bytes"`
	OutPackets uint64 `json:"out_packets"`
	OutBytes   uint64 `json:"out_bytes"`
	// Drops are packets that went no further, by reason.
	Drops map[string]uint64 `json:"drops"`
}

// tally is what the loop counts.
type tally struct {
	logins, failures, locked, full, ended uint64
	traffic                               traffic      // of sessions that are over
	drops                                 machineDrops // of sessions and peers that are over
}

// traffic is a sum of session counters.
type traffic struct{ inPackets, inBytes, outPackets, outBytes uint64 }

func (t *traffic) add(c *sessionCounters) {
	t.inPackets += c.inPackets.Load()
	t.inBytes += c.inBytes.Load()
	t.outPackets += c.outPackets.Load()
	t.outBytes += c.outBytes.Load()
}

// Status is the server now, or as it ended.
func (s *Server) Status() ServerStatus {
	var st ServerStatus
	s.wait(func(time.Time) { st = s.status() })
	if last := s.last.Load(); last != nil {
		st = *last
	}
	drops := s.Counters.reasons()
	maps.Copy(drops, st.Drops)
	maps.DeleteFunc(drops, func(_ string, n uint64) bool { return n == 0 })
	st.Drops = drops
	return st
}

// status is Status on the loop, without the drops that the data path counts.
func (s *Server) status() (st ServerStatus) {
	sum := s.tally.traffic
	drops := s.tally.drops
	for p := range s.peers {
		drops.control.add(p.ep.Counters)
	}
	for _, x := range s.sessions {
		sum.add(&x.count)
		if x.host != nil {
			drops.hosts.Add(x.host.Counters)
		}
		if x.upAt.IsZero() {
			st.Connecting++
		} else {
			st.Sessions++
		}
	}
	st.Peers, st.Drops = len(s.peers), drops.reasons()
	st.Logins, st.Failures, st.Locked, st.Full, st.Ended = s.tally.logins, s.tally.failures, s.tally.locked, s.tally.full, s.tally.ended
	st.InPackets, st.InBytes, st.OutPackets, st.OutBytes = sum.inPackets, sum.inBytes, sum.outPackets, sum.outBytes
	return st
}

// DropReasons are the names of all of ServerStatus.Drops.
func DropReasons() []string {
	return slices.Concat(slices.Collect(maps.Keys(new(ServerCounters).reasons())), slices.Collect(maps.Keys(machineDrops{}.reasons())))
}

func (c *ServerCounters) reasons() map[string]uint64 {
	return map[string]uint64{
		"l2tp-header": c.BadHeader.Load(), "l2tp-session": c.NoSession.Load(), "ppp-header": c.BadPPP.Load(), "ppp-closed": c.NotOpen.Load(),
		"client-source": c.BadSource.Load(), "client-packet": c.BadIP.Load(), "not-for-client": c.NotOurs.Load(), "client-mtu": c.TooBig.Load(),
		"carrier-full": c.Refused.Load(), "control-full": c.Overloaded.Load(),
	}
}

// machineDrops are what the loop's machines count: of each client's L2TP, and of
// each session's virtual host.
type machineDrops struct {
	control Counters
	hosts   arp.HostCounters
}

func (d machineDrops) reasons() map[string]uint64 {
	return map[string]uint64{
		"control-tunnel": d.control.UnknownTunnel, "control-session": d.control.UnknownSession,
		"control-malformed": d.control.Malformed, "control-double": d.control.Duplicates, "control-refused": d.control.Refused,
		"next-hop-silent": d.hosts.Unreachable, "next-hop-queue": d.hosts.HeldTooMany,
	}
}
