package l2tp

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"
)

// call acts on the messages of a session (sections 7.4 and 7.5).
func (t *tunnel) call(now time.Time, sess uint16, m *message, out *Out) {
	if t.state != established {
		t.fail(now, 2, 0, fmt.Sprintf("%v before the tunnel is up", m.Type), out)
		return
	}
	s := t.session(sess)
	switch m.Type {
	case ICRQ:
		t.incoming(now, m, out)
	case ICRP:
		if t.e.lac && s != nil && !s.up {
			t.accepted(s, m, out)
		}
	case ICCN:
		if s == nil {
			t.e.Counters.UnknownSession++
		} else if !s.up {
			_, s.sequencing = m.values[avpSequencing]
			t.sessionUp(s, out)
		}
	case CDN:
		if s == nil { // before it knew our id, it names its own
			if peer, ok := m.uint16(avpAssignedSession); ok {
				for _, x := range t.sessions {
					if x.peer == peer {
						s = x
					}
				}
			}
		}
		if s != nil {
			code, errorCode, text := m.result()
			t.endSession(s, cdnText(code, errorCode, text), true, out)
		}
	case OCRQ:
		// An LNS that takes incoming calls only: refuse by CDN, keep the tunnel.
		peer, _ := m.uint16(avpAssignedSession)
		t.ch.send(peer, newMessage(CDN).result(4, 0, "no outgoing calls").uint16(avpAssignedSession, 0))
	case WEN, SLI, OCRP, OCCN:
		// WEN and SLI tell of a physical line; there is none (sections 6.11, 6.12).
	}
}

// incoming answers an ICRQ.
func (t *tunnel) incoming(now time.Time, m *message, out *Out) {
	peer, ok := m.uint16(avpAssignedSession)
	if !ok || peer == 0 {
		t.fail(now, 2, 2, "ICRQ without an Assigned Session ID", out)
		return
	}
	for _, s := range t.ordered() { // the client lost the call and places it again
		if s.peer == peer {
			t.endSession(s, "replaced: the client placed the call again", true, out)
		}
	}
	if t.e.lac || len(t.sessions) >= t.e.cfg.MaxSessions {
		t.e.Counters.Refused++
		t.ch.send(peer, newMessage(CDN).result(4, 0, "no more sessions").uint16(avpAssignedSession, 0))
		return
	}
	s, err := t.newSession(now)
	if err != nil {
		t.fail(now, 2, 4, err.Error(), out)
		return
	}
	s.peer, s.calling = peer, m.text(avpCallingNumber)
	t.ch.send(peer, newMessage(ICRP).uint16(avpAssignedSession, s.id))
}

// placeCall is the LAC's side of a call.
func (t *tunnel) placeCall(now time.Time) {
	s, err := t.newSession(now)
	if err != nil {
		return
	}
	t.ch.send(0, newMessage(ICRQ).uint16(avpAssignedSession, s.id).uint32(avpCallSerial, uint32(s.id)))
}

func (t *tunnel) accepted(s *ctlSession, m *message, out *Out) {
	peer, ok := m.uint16(avpAssignedSession)
	if !ok || peer == 0 {
		t.endSession(s, "ICRP without an Assigned Session ID", false, out)
		return
	}
	s.peer = peer
	t.ch.send(peer, newMessage(ICCN).uint32(avpTxSpeed, 1e9).uint32(avpFramingType, 1))
	t.sessionUp(s, out)
}

func (t *tunnel) sessionUp(s *ctlSession, out *Out) {
	s.up = true
	out.Events = append(out.Events, t.event(SessionUp, s))
}

func (t *tunnel) newSession(now time.Time) (*ctlSession, error) {
	for {
		var b [2]byte
		if _, err := io.ReadFull(t.e.cfg.Rand, b[:]); err != nil {
			return nil, fmt.Errorf("l2tp: no randomness: %w", err)
		}
		id := binary.BigEndian.Uint16(b[:])
		if id != 0 && t.session(id) == nil {
			s := &ctlSession{id: id, began: now}
			t.sessions = append(t.sessions, s)
			return s, nil
		}
	}
}

// endSession forgets a session; only one that was up is worth an event.
func (t *tunnel) endSession(s *ctlSession, text string, byPeer bool, out *Out) {
	t.sessions = slices.DeleteFunc(t.sessions, func(x *ctlSession) bool { return x == s })
	if !s.up {
		return
	}
	s.up = false
	ev := t.event(SessionDown, s)
	ev.Reason, ev.ByPeer = text, byPeer
	out.Events = append(out.Events, ev)
}

func (t *tunnel) ordered() []*ctlSession {
	list := slices.Clone(t.sessions)
	slices.SortFunc(list, func(a, b *ctlSession) int { return cmp.Compare(a.id, b.id) })
	return list
}

var cdnReasons = map[uint16]string{1: "the line was lost", 2: "general error", 3: "hung up", 4: "no facilities, for now",
	5: "no facilities, for good", 6: "invalid destination", 7: "no carrier", 8: "busy", 9: "no dial tone", 10: "time-out", 11: "no framing"}

func cdnText(code, errorCode uint16, text string) string {
	s := cdnReasons[code]
	if s == "" {
		s = fmt.Sprintf("result code %d", code)
	}
	if errorCode != 0 {
		s += fmt.Sprintf(", error code %d", errorCode)
	}
	if text != "" {
		s += ": " + text
	}
	return "the client ended the call: " + s
}
