package daemon

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"vhub/api"
)

// portOf is the port of a daemon, as the API shows it.
func portOf(t *testing.T, d *Daemon, name string) api.Port {
	t.Helper()
	p, err := d.portNamed("", name)
	if err != nil {
		t.Fatal(err)
	}
	return p.status()
}

func TestPortsAreBroughtBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		d := daemonOn(t.Context(), b)
		b.breakDown("if1", true)
		cfg := parsed(t, `hub "a" {
			port "tap" "p" { interface = "if1" }
			port "tap" "q" { interface = "if2" }
		}`)
		if err := d.reconcile(nil, cfg, lenient); err != nil {
			t.Fatal(err)
		}
		defer d.stopped()
		synctest.Wait()

		t.Log("a device that cannot be had: the port waits and says why, the other is up")
		s := portOf(t, d, "p")
		if s.State != api.StateWaiting || s.Error != "no interface if1" || s.RetryAt == nil || time.Until(*s.RetryAt) != retryFirst {
			t.Errorf("port p: %+v", s)
		}
		if s := portOf(t, d, "q"); s.State != api.StateUp || s.Error != "" || s.Ups != 1 {
			t.Errorf("port q: %+v", s)
		}

		t.Log("it is tried with back-off: 0.5, 1, 2, 4, 8, 10, 10 s")
		opens := b.tries()
		time.Sleep(retryFirst*(1+2+4+8+16) + 2*retryMost + time.Millisecond)
		synctest.Wait()
		if tries := b.tries() - opens; tries != 7 {
			t.Errorf("%d tries, want 7", tries)
		}

		t.Log("the device is there: the port comes up")
		b.breakDown("if1", false)
		time.Sleep(retryMost)
		synctest.Wait()
		if s := portOf(t, d, "p"); s.State != api.StateUp || s.Error != "" || s.RetryAt != nil {
			t.Errorf("port p: %+v", s)
		}

		t.Log("a device that fails after a long time is brought back soon")
		time.Sleep(time.Hour)
		b.device("if1").fail <- errors.New("carrier lost")
		synctest.Wait()
		if s := portOf(t, d, "p"); s.State != api.StateWaiting || s.Error != "carrier lost" {
			t.Errorf("port p: %+v", s)
		}
		time.Sleep(retryFirst)
		synctest.Wait()
		if s := portOf(t, d, "p"); s.State != api.StateUp || s.Ups != 2 {
			t.Errorf("port p: %+v", s)
		}
		if s := portOf(t, d, "q"); s.Ups != 1 {
			t.Errorf("port q was touched: %+v", s)
		}

		t.Log("a port that waits takes a change that has nothing to do with its device, and refuses another device that is not there")
		b.breakDown("if1", true)
		b.breakDown("if9", true)
		b.device("if1").fail <- errors.New("gone")
		synctest.Wait()
		note := parsed(t, `hub "a" {
			port "tap" "p" {
				interface   = "if1"
				description = "comes back on Monday"
			}
			port "tap" "q" { interface = "if2" }
		}`)
		if err := d.reconcile(cfg, note, strict); err != nil {
			t.Error(err)
		}
		other := parsed(t, `hub "a" {
			port "tap" "p" { interface = "if9" }
			port "tap" "q" { interface = "if2" }
		}`)
		if err := d.reconcile(note, other, strict); err == nil || err.Error() != "no interface if9" {
			t.Errorf("an interface that is not there: %v", err)
		}
		if s := portOf(t, d, "p"); s.State != api.StateWaiting || s.Options["description"] == "" || s.Options["interface"] != "if1" {
			t.Errorf("port p: %+v", s)
		}

		t.Log("a port that waits is stopped at once")
		began := time.Now()
		p, _ := d.portNamed("", "p")
		p.stop()
		if time.Since(began) != 0 {
			t.Errorf("stopping took %v", time.Since(began))
		}
	})
}

func TestAPortFollowsItsDeviceToAnotherWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		d := daemonOn(t.Context(), b)
		defer d.stopped()
		cfg := parsed(t, `hub "a" {
			port "tap" "p" { interface = "if1" }
			port "tap" "q" {
				interface = "if2"
				segment   = "said"
			}
		}`)
		if err := d.reconcile(nil, cfg, strict); err != nil {
			t.Fatal(err)
		}
		segment := func(name string) string {
			p, _ := d.portNamed("", name)
			return p.link.Status().Config.Segment
		}
		for _, wire := range []string{"bridge:br0", ""} {
			for _, ifname := range []string{"if1", "if2"} {
				dev := b.device(ifname)
				dev.mu.Lock()
				dev.wire = wire
				dev.mu.Unlock()
			}
			time.Sleep(followEvery)
			synctest.Wait()
			if segment("p") != wire || segment("q") != "said" {
				t.Errorf("with the device on %q the segments are %q and %q; want the device's, and what the configuration says", wire, segment("p"), segment("q"))
			}
		}
	})
}

func TestTheWatchdogSeesAHubThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := daemonOn(t.Context(), newBench())
		cfg := parsed(t, `hub "a" {}`)
		if err := d.reconcile(nil, cfg, strict); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if stuck := d.stuck(time.Now(), 5*time.Second); stuck != "" {
			t.Errorf("hub %q is said to stand still", stuck)
		}
		h := d.hub("a")
		close(h.quit)
		h.wg.Wait()
		time.Sleep(6 * time.Second)
		if stuck := d.stuck(time.Now(), 5*time.Second); stuck != "a" {
			t.Errorf("got %q, want a", stuck)
		}
	})
}
