package ppp

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// rfcTable is the table of RFC 1661 section 4.1 as text, in two halves like
// there: event, then a cell a state. It was written down apart from the table
// in automaton.go.
const rfcTable = `
         0         1         2         3               4      5
Up       2         irc,scr/6 -         -               -      -
Down     -         -         0         tls/1           0      1
Open     tls/1     1         irc,scr/6 3               5      5
Close    0         tlf/0     2         2               4      4
TO+      -         -         -         -               str/4  str/5
TO-      -         -         -         -               tlf/2  tlf/3
RCR+     -         -         sta/2     irc,scr,sca/8   4      5
RCR-     -         -         sta/2     irc,scr,scn/6   4      5
RCA      -         -         sta/2     sta/3           4      5
RCN      -         -         sta/2     sta/3           4      5
RTR      -         -         sta/2     sta/3           sta/4  sta/5
RTA      -         -         2         3               tlf/2  tlf/3
RUC      -         -         scj/2     scj/3           scj/4  scj/5
RXJ+     -         -         2         3               4      5
RXJ-     -         -         tlf/2     tlf/3           tlf/2  tlf/3
RXR      -         -         2         3               4      5

         6         7         8           9
Up       -         -         -           -
Down     1         1         1           tld/1
Open     6         7         8           9
Close    irc,str/4 irc,str/4 irc,str/4   tld,irc,str/4
TO+      scr/6     scr/6     scr/8       -
TO-      tlf/3     tlf/3     tlf/3       -
RCR+     sca/8     sca,tlu/9 sca/8       tld,scr,sca/8
RCR-     scn/6     scn/7     scn/6       tld,scr,scn/6
RCA      irc/7     scr/6     irc,tlu/9   tld,scr/6
RCN      irc,scr/6 scr/6     irc,scr/8   tld,scr/6
RTR      sta/6     sta/6     sta/6       tld,zrc,sta/5
RTA      6         6         8           tld,scr/6
RUC      scj/6     scj/7     scj/8       scj/9
RXJ+     6         6         8           9
RXJ-     tlf/3     tlf/3     tlf/3       tld,irc,str/5
RXR      6         7         8           ser/9
`

var actionNames = []string{"tld", "irc", "zrc", "scr", "sca", "scn", "str", "sta", "scj", "ser", "tls", "tlf", "tlu"}

// probe is options that write down what is done.
type probe struct{ done []string }

func (p *probe) request(b []byte) []byte            { return append(b, 1, 2) }
func (p *probe) review([]byte, bool) (byte, []byte) { return codeConfAck, nil }
func (p *probe) changed([]byte, bool) bool          { return true }
func (p *probe) up()                                { p.done = append(p.done, "tlu") }
func (p *probe) down()                              { p.done = append(p.done, "tld") }
func (p *probe) finished(bool)                      { p.done = append(p.done, "tlf") }

// TestTable goes through the automaton state by state and event by event, and
// compares what it sends and calls with the RFC's table.
func TestTable(t *testing.T) {
	offset, line := 0, 0
	for _, text := range strings.Split(strings.TrimSpace(rfcTable), "\n") {
		cells := strings.Fields(text)
		switch {
		case len(cells) == 0:
			continue
		case cells[0] == "0" || cells[0] == "6":
			offset, line = int(cells[0][0]-'0'), 0
			continue
		}
		for i, want := range cells[1:] {
			s := state(offset + i)
			if want == "-" {
				want = fmt.Sprint(s)
			}
			if got := runCell(s, trigger(line)); got != want {
				t.Errorf("state %d, event %s: %s, want %s", s, cells[0], got, want)
			}
		}
		line++
	}
	if line != int(numTriggers) {
		t.Errorf("%d events in the table, want %d", line, numTriggers)
	}
}

func runCell(s state, e trigger) string {
	p := &probe{}
	l := &Link{cfg: Config{Restart: time.Second}, now: time.Unix(0, 0), out: &Out{}}
	l.lcp.link = l
	a := &automaton{link: l, opts: p, proto: ProtoIPCP, state: s, counter: 5, hand: &hand{replyTo: codeConfAck, reqData: make([]byte, 4)}}
	if e == evRCRMinus {
		a.replyTo = codeConfNak
	}
	a.trigger(e)
	timer := a.state >= closing && a.state <= ackSent
	if timer == a.at.IsZero() {
		return fmt.Sprintf("timer wrong in state %d", a.state)
	}
	seen := map[string]bool{}
	for _, x := range p.done {
		seen[x] = true
	}
	for _, packet := range l.out.Packets {
		seen[map[byte]string{codeConfReq: "scr", codeConfAck: "sca", codeConfNak: "scn", codeTermReq: "str", codeTermAck: "sta", codeCodeRej: "scj", codeEchoReply: "ser"}[packet[4]]] = true
	}
	sent := 0
	if seen["scr"] || seen["str"] {
		sent = 1
	}
	switch int(a.counter) + sent {
	case maxConfigure:
		seen["irc"] = true
	case maxTerminate:
		seen["irc"] = true
	case 0:
		seen["zrc"] = true
	case 5:
	default:
		return fmt.Sprintf("counter %d", a.counter)
	}
	seen["tls"] = table[e][s].do&tls != 0 // nothing is to be done for it
	var names []string
	for _, n := range actionNames {
		if seen[n] {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return fmt.Sprint(a.state)
	}
	return strings.Join(names, ",") + "/" + fmt.Sprint(a.state)
}
