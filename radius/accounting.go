package radius

import (
	"context"
	"sync"
	"time"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc2869"
)

const (
	workers     = 16              // records on their way at once
	lastWords   = time.Second     // for what is left when the end comes
	firstPause  = time.Second     // after a record that no server took
	longPause   = time.Minute     // at most
	accountTime = 2 * time.Minute // for one record, all servers tried
)

// Account takes a record; it never waits. Run sends it, and keeps it until a
// server has acknowledged it or the queue is full.
func (c *Client) Account(r Record) {
	if !c.cfg.NoAccounting {
		c.queue.put(r)
	}
}

// Run sends records until ctx ends, then for at most a second what is left,
// and closes the sockets.
func (c *Client) Run(ctx context.Context) error {
	defer c.Close()
	if c.cfg.NoAccounting {
		<-ctx.Done()
		return nil
	}
	send, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, cancel) })
	defer stop()
	var pause pause
	var all sync.WaitGroup
	for range workers {
		all.Go(func() { c.work(ctx, send, &pause) })
	}
	all.Wait()
	if n := c.queue.abandon(); n > 0 {
		c.cfg.Log.Warn("radius: accounting records are lost", "records", n)
	}
	return nil
}

// work sends one record after the other. When run is over it goes on until
// nothing is left, or send is over too.
func (c *Client) work(run, send context.Context, pause *pause) {
	for {
		if !pause.wait(run, send) {
			return
		}
		r, ok := c.queue.take()
		if ok {
			sent := c.report(send, &r)
			c.queue.done(r, sent)
			pause.after(time.Now(), sent)
			continue
		}
		if run.Err() != nil {
			c.queue.signal() // the other workers end too
			return
		}
		select {
		case <-c.queue.more:
		case <-run.Done():
		}
	}
}

// pause is how long no record is tried: longer after each failure.
type pause struct {
	mu    sync.Mutex
	next  time.Duration
	until time.Time
}

func (p *pause) after(now time.Time, sent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case sent:
		p.next, p.until = 0, time.Time{}
	case now.After(p.until): // of several that fail together, one counts
		p.next = min(max(2*p.next, firstPause), longPause)
		p.until = now.Add(p.next)
	}
}

// wait waits for the pause to end; once run is over there is none. It says
// false when send is over.
func (p *pause) wait(run, send context.Context) bool {
	p.mu.Lock()
	d := time.Until(p.until)
	p.mu.Unlock()
	if d > 0 && run.Err() == nil {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-run.Done():
		}
	}
	return send.Err() == nil
}

// report sends a record and says whether a server has it.
func (c *Client) report(ctx context.Context, r *Record) bool {
	ctx, cancel := context.WithTimeout(ctx, accountTime)
	defer cancel()
	_, _, err := c.ask(ctx, c.acct, layeh.CodeAccountingRequest, func(p *layeh.Packet) ([]byte, error) {
		if err := c.accountingRequest(p, r, time.Now()); err != nil {
			return nil, err
		}
		b, err := p.Encode()
		return b, err
	})
	if err != nil {
		c.cfg.Log.Debug("radius: accounting", "session", r.Session.ID, "phase", r.Phase.String(), "reason", err)
	}
	return err == nil
}

// accountingRequest makes the packet of a record. Each server gets a packet of
// its own, so Acct-Delay-Time is right for each (RFC 2866 section 5.2).
func (c *Client) accountingRequest(p *layeh.Packet, r *Record, now time.Time) error {
	b := builder{p: p}
	b.number(rfc2866.AcctStatusType_Type, uint32(r.Phase))
	b.text(rfc2865.UserName_Type, r.User)
	authentic := rfc2866.AcctAuthentic_Value_RADIUS
	if r.Local {
		authentic = rfc2866.AcctAuthentic_Value_Local
	}
	b.number(rfc2866.AcctAuthentic_Type, uint32(authentic))
	if !r.At.IsZero() {
		b.number(rfc2869.EventTimestamp_Type, uint32(r.At.Unix()))
		b.number(rfc2866.AcctDelayTime_Type, uint32(max(now.Sub(r.At), 0)/time.Second))
	}
	for _, class := range r.Class {
		b.bytes(rfc2865.Class_Type, class)
	}
	if r.Address.IsValid() {
		b.address(r.Address)
	}
	c.session(&b, &r.Session)
	if r.Phase != Start {
		b.used(r)
	}
	if r.Phase == Stop && r.Cause != 0 {
		b.number(rfc2866.AcctTerminateCause_Type, uint32(r.Cause))
	}
	return b.fault
}

// used adds the counters. Input is what came from the user (RFC 2866 section
// 5.3), Gigawords are the bits above 32 (RFC 2869 section 5.1).
func (b *builder) used(r *Record) {
	b.number(rfc2866.AcctSessionTime_Type, uint32(r.Duration/time.Second))
	b.number(rfc2866.AcctInputOctets_Type, uint32(r.InBytes))
	b.number(rfc2866.AcctOutputOctets_Type, uint32(r.OutBytes))
	b.number(rfc2866.AcctInputPackets_Type, uint32(r.InPackets))
	b.number(rfc2866.AcctOutputPackets_Type, uint32(r.OutPackets))
	if in, out := uint32(r.InBytes>>32), uint32(r.OutBytes>>32); in|out != 0 {
		b.number(rfc2869.AcctInputGigawords_Type, in)
		b.number(rfc2869.AcctOutputGigawords_Type, out)
	}
}
