package daemon

import (
	"context"
	"fmt"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// notify tells systemd (sd_notify(3)), where it started us.
func (d *Daemon) notify(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		d.log.Debug("systemd was not told", "error", err)
	}
}

func (d *Daemon) stopping() { d.notify("STOPPING=1") }

// reloadingState is RELOADING=1 with the time that systemd wants beside it.
func reloadingState() string {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000)
}

// watchdogLoop tells systemd's watchdog that we live, as long as the clock of
// every hub ticks.
func (d *Daemon) watchdogLoop(ctx context.Context) error {
	interval, err := sd.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return nil
	}
	tick := time.NewTicker(interval / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if stuck := d.stuck(now, interval/2); stuck != "" {
				d.log.Error("the clock of a hub stands still; systemd's watchdog is not told that all is well", "hub", stuck)
				continue
			}
			d.notify(sd.SdNotifyWatchdog)
		}
	}
}

// stuck returns the name of a hub whose clock did not tick for so long.
func (d *Daemon) stuck(now time.Time, limit time.Duration) string {
	for _, h := range d.all() {
		if now.Sub(time.Unix(0, h.beat.Load())) > max(limit, 4*advanceAtLeast) {
			return h.name
		}
	}
	return ""
}
