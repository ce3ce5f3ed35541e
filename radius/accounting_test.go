package radius

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc2869"
)

// books is an accounting server: what it acknowledged.
type books struct {
	mu      sync.Mutex
	silent  bool
	records []*layeh.Packet
	asked   int
}

func (b *books) serve(t *testing.T, n *network, address string) *books {
	n.server(t, address, func(r *layeh.Request) [][]byte {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.asked++
		if b.silent {
			return nil
		}
		b.records = append(b.records, r.Packet)
		return [][]byte{reply{code: layeh.CodeAccountingResponse, noMA: true}.wire(r.Packet)}
	})
	return b
}

func (b *books) list() (l []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.records {
		l = append(l, fmt.Sprintf("%s %s", rfc2866.AcctSessionID_GetString(p), Phase(rfc2866.AcctStatusType_Get(p))))
	}
	return l
}

func (b *books) set(silent bool) { b.mu.Lock(); defer b.mu.Unlock(); b.silent = silent }

// run runs a client; the function returned ends it and waits.
func run(t *testing.T, c *Client) func() {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return func() { cancel(); <-done }
}

func record(id string, p Phase) Record {
	return Record{Phase: p, At: time.Now(), User: "alice", Session: Session{ID: id}}
}

func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		b := (&books{}).serve(t, n, "192.0.2.1:1813")
		c := n.client(t, nil, "192.0.2.1")
		defer run(t, c)()
		r := record("x-1", Stop)
		r.At = r.At.Add(-3 * time.Second)
		r.Class, r.Address = [][]byte{[]byte("one"), {0, 1}}, netip.MustParseAddr("172.16.0.77")
		r.Duration, r.InBytes, r.OutBytes, r.InPackets, r.OutPackets = time.Hour, 5<<32+6, 7, 8, 9
		r.Cause, r.Local = LostCarrier, true
		c.Account(r)
		synctest.Wait()
		if len(b.records) != 1 {
			t.Fatalf("records: %v", b.list())
		}
		p := b.records[0]
		classes, _ := rfc2865.Class_Gets(p)
		for what, ok := range map[string]bool{
			"class":     len(classes) == 2 && string(classes[0]) == "one" && string(classes[1]) == "\x00\x01",
			"address":   rfc2865.FramedIPAddress_Get(p).Equal(net.IPv4(172, 16, 0, 77)),
			"time":      rfc2866.AcctSessionTime_Get(p) == 3600,
			"octets":    rfc2866.AcctInputOctets_Get(p) == 6 && rfc2866.AcctOutputOctets_Get(p) == 7,
			"gigawords": rfc2869.AcctInputGigawords_Get(p) == 5 && rfc2869.AcctOutputGigawords_Get(p) == 0,
			"packets":   rfc2866.AcctInputPackets_Get(p) == 8 && rfc2866.AcctOutputPackets_Get(p) == 9,
			"cause":     rfc2866.AcctTerminateCause_Get(p) == rfc2866.AcctTerminateCause_Value_LostCarrier,
			"authentic": rfc2866.AcctAuthentic_Get(p) == rfc2866.AcctAuthentic_Value_Local,
			"delay":     rfc2866.AcctDelayTime_Get(p) == 3,
			"user":      rfc2865.UserName_GetString(p) == "alice",
			"unsealed":  rfc2869.MessageAuthenticator_Get(p) == nil,
		} {
			if !ok {
				t.Errorf("%s is not as it should be", what)
			}
		}
	})
}

// Records wait for the server to come back, and then arrive in the order of
// each session, with their delay.
func TestRecordsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		b := (&books{silent: true}).serve(t, n, "192.0.2.1:1813")
		c := n.client(t, nil, "192.0.2.1")
		defer run(t, c)()
		for _, p := range []Phase{Start, Interim, Interim, Stop} {
			for _, id := range []string{"a", "b"} {
				c.Account(record(id, p))
			}
			time.Sleep(10 * time.Second)
		}
		b.set(false)
		time.Sleep(3 * time.Minute)
		for _, id := range []string{"a", "b"} {
			got := slices.DeleteFunc(b.list(), func(s string) bool { return s[:1] != id })
			if !slices.Equal(got, []string{id + " start", id + " stop"}) && !slices.Equal(got, []string{id + " start", id + " interim", id + " stop"}) {
				t.Errorf("session %s: %v", id, got)
			}
		}
		if d := rfc2866.AcctDelayTime_Get(b.records[0]); d < 40 {
			t.Errorf("a record that waited 40 s says %d", d)
		}
		if st := c.Status(); st.Waiting != 0 || st.Dropped != 0 {
			t.Errorf("status %+v", st)
		}
		if b.asked > 60 {
			t.Errorf("the silent server was asked %d times", b.asked)
		}
	})
}

func TestAccountingFailsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		a, b := (&books{silent: true}).serve(t, n, "192.0.2.1:1813"), (&books{}).serve(t, n, "192.0.2.2:1813")
		c := n.client(t, nil, "192.0.2.1", "192.0.2.2")
		defer run(t, c)()
		c.Account(record("x", Start))
		time.Sleep(3 * time.Second)
		if got := b.list(); !slices.Equal(got, []string{"x start"}) {
			t.Errorf("the second has %v", got)
		}
		a.set(false)
		time.Sleep(time.Minute)
		c.Account(record("x", Stop))
		synctest.Wait()
		if got := a.list(); !slices.Equal(got, []string{"x stop"}) {
			t.Errorf("the first has %v", got)
		}
	})
}

// A forged acknowledgement does not make a record go away.
func TestForgedAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.server(t, "192.0.2.1:1813", func(r *layeh.Request) [][]byte {
			return [][]byte{reply{code: 5, noMA: true, secret: "guess"}.wire(r.Packet), reply{code: 5, badMA: true}.wire(r.Packet), reply{code: 2}.wire(r.Packet)}
		})
		c := n.client(t, nil, "192.0.2.1")
		defer run(t, c)()
		c.Account(record("x", Start))
		time.Sleep(5 * time.Second)
		if st := c.Status(); st.Sent != 0 || st.Waiting != 1 || st.Accounting[0].BadReply < 6 {
			t.Errorf("status %+v", st)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	var q queue
	q.init(4)
	for _, r := range []Record{record("a", Start), record("a", Interim), record("b", Start), record("c", Interim), record("c", Stop), record("d", Stop), record("e", Stop)} {
		q.put(r)
	}
	var got []string
	for {
		r, ok := q.take()
		if !ok {
			break
		}
		got = append(got, r.Session.ID+" "+r.Phase.String())
		q.done(r, true)
	}
	// c's Interim went for its Stop, a's for lack of room, then a's Start.
	if want := []string{"b start", "c stop", "d stop", "e stop"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, sent, dropped := q.counts(); sent != 4 || dropped != 2 {
		t.Errorf("sent %d, dropped %d", sent, dropped)
	}
}

// The end: what waits is sent, or given up after a second.
func TestLastWords(t *testing.T) {
	for _, silent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork()
			b := (&books{silent: silent}).serve(t, n, "192.0.2.1:1813")
			c := n.client(t, nil, "192.0.2.1")
			end := run(t, c)
			synctest.Wait()
			for i := range 100 {
				c.Account(record(fmt.Sprint(i), Stop))
			}
			start := time.Now()
			end()
			took := time.Since(start)
			st := c.Status()
			if !silent && (len(b.records) != 100 || st.Sent != 100 || took != 0) {
				t.Errorf("%d of 100 arrived, %+v, after %v", len(b.records), st, took)
			}
			if silent && (st.Dropped != 100 || took != time.Second) {
				t.Errorf("silent: %+v after %v", st, took)
			}
		})
	}
}

func TestNoAccounting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		b := (&books{}).serve(t, n, "192.0.2.1:1813")
		c := n.client(t, func(c *Config) { c.NoAccounting = true }, "192.0.2.1")
		end := run(t, c)
		c.Account(record("x", Start))
		time.Sleep(time.Minute)
		end()
		if b.asked != 0 || c.Status().Waiting != 0 {
			t.Errorf("asked %d times", b.asked)
		}
	})
}
