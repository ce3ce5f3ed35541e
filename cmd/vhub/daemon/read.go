package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"vhub/api"
	"vhub/arp"
	"vhub/config"
	"vhub/eth"
	"vhub/hub"
)

// register gives the server all operations.
func (d *Daemon) register(s *api.Server) {
	api.On(s, api.GetVersion, func(context.Context, api.None) (api.Version, error) { return d.opts.Version, nil })
	api.On(s, api.GetStatus, func(context.Context, api.None) (api.Status, error) { return d.status(time.Now()), nil })
	api.Text(s, api.GetMetrics, metricsType, func(context.Context, api.None) (string, error) { return d.metrics(time.Now()), nil })
	api.On(s, api.ListHubs, func(context.Context, api.None) (api.HubList, error) { return api.HubList{Hubs: d.hubList()}, nil })
	api.On(s, api.GetHub, func(_ context.Context, r api.HubRequest) (api.Hub, error) {
		h, err := d.hubNamed(r.Hub)
		if err != nil {
			return api.Hub{}, err
		}
		return h.status(), nil
	})
	api.On(s, api.ListPorts, func(_ context.Context, r api.HubRequest) (api.PortList, error) {
		h, err := d.hubNamed(r.Hub)
		if err != nil {
			return api.PortList{}, err
		}
		return api.PortList{Ports: h.portList()}, nil
	})
	api.On(s, api.GetPort, func(_ context.Context, r api.PortRequest) (api.Port, error) {
		p, err := d.portNamed(r.Hub, r.Port)
		if err != nil {
			return api.Port{}, err
		}
		return p.status(), nil
	})
	api.Stream(s, api.WatchEvents, func(ctx context.Context, r api.EventsRequest, send func(api.Event) error) error {
		return d.opts.Log.events.Watch(ctx, time.Now(), r, send)
	})
	d.registerTables(s)
	d.registerChanges(s)
	d.registerClientLog(s)
	d.registerIPsec(s)
	d.registerUsers(s)
	d.registerSessions(s)
}

// hubNamed finds the hub that a request means: by name, or the only one.
func (d *Daemon) hubNamed(name string) (*hubRun, error) {
	if name != "" && name != api.OnlyHub {
		if h := d.hub(name); h != nil {
			return h, nil
		}
		return nil, api.Errorf(api.CodeNotFound, "no hub %q", name).WithHint("%s", d.hubsThereAre())
	}
	switch hubs := d.all(); len(hubs) {
	case 0:
		return nil, api.Errorf(api.CodeNotFound, "there is no hub").WithHint("add one: vhub hub add default")
	case 1:
		return hubs[0], nil
	}
	return nil, api.Errorf(api.CodeBadRequest, "there are several hubs").WithHint("say which with --hub: %s", d.hubsThereAre())
}

func (d *Daemon) hubsThereAre() string {
	var names []string
	for _, h := range d.all() {
		names = append(names, h.name)
	}
	if len(names) == 0 {
		return "there are none"
	}
	return "there are " + strings.Join(names, ", ")
}

// portNamed finds the port that a request means. Without a hub's name, it may
// be in any hub as long as only one has it.
func (d *Daemon) portNamed(hubName, name string) (*port, error) {
	hubs := d.all()
	if hubName != "" && hubName != api.OnlyHub {
		h, err := d.hubNamed(hubName)
		if err != nil {
			return nil, err
		}
		hubs = []*hubRun{h}
	}
	var found []*port
	for _, h := range hubs {
		if p := h.port(name); p != nil {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return nil, api.Errorf(api.CodeNotFound, "no port %q", name).WithHint("see 'vhub port list'")
	case 1:
		return found[0], nil
	}
	return nil, api.Errorf(api.CodeBadRequest, "several hubs have a port %q", name).WithHint("say which with --hub: %s", d.hubsThereAre())
}

func (d *Daemon) status(now time.Time) api.Status {
	revision := d.current()
	if d.store.IsDefault() {
		revision = 0
	}
	s := api.Status{
		Version: d.opts.Version, PID: os.Getpid(), Started: d.started.UTC(), UptimeSeconds: now.Sub(d.started).Seconds(),
		Socket: d.opts.Socket, ConfigFile: d.opts.ConfigFile, StateDir: d.opts.StateDir, Revision: revision,
		Confirm: d.confirmation(revision), MemoryBytes: residentBytes(), Goroutines: runtime.NumGoroutine(), Hubs: d.hubList(),
	}
	for i := range s.Hubs {
		s.Sessions += s.Hubs[i].Sessions
	}
	return s
}

// residentBytes is the resident size of this process (proc_pid_statm(5)); 0
// where it cannot be read.
func residentBytes() uint64 {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident uint64
	if _, err := fmt.Sscan(string(raw), &size, &resident); err != nil {
		return 0
	}
	return resident * uint64(os.Getpagesize())
}

func (d *Daemon) hubList() []api.Hub {
	list := []api.Hub{}
	for _, h := range d.all() {
		list = append(list, h.status())
	}
	return list
}

func (h *hubRun) portList() []api.Port {
	list := []api.Port{}
	for _, p := range h.all() {
		list = append(list, p.status())
	}
	return list
}

func (h *hubRun) status() api.Hub {
	cfg := h.config()
	sw := h.hub
	s := sw.Status()
	out := api.Hub{Name: h.name, ARP: cfg.ARP, Options: config.HubValues(cfg, false), MACs: s.Stations, MACLimit: s.MaxStations,
		Neighbours: sw.Neighbours().Stats().Neighbours, Moves: s.Counters.Moves, Ports: h.portList()}
	out.Counters, out.Drops = countersOf(s.Counters)
	for _, p := range out.Ports {
		out.Sessions += p.Sessions
	}
	return out
}

// countersOf turns the hub's counters into the API's.
func countersOf(c hub.Counters) (api.Counters, []api.Drop) {
	drops := []api.Drop{}
	for _, reason := range hub.Reasons() {
		if n := c.Drops[reason]; n > 0 {
			drops = append(drops, api.Drop{Reason: reason.String(), Text: reason.Text(), Frames: n})
		}
	}
	return api.Counters{InFrames: c.InFrames, InBytes: c.InBytes, OutFrames: c.OutFrames, OutBytes: c.OutBytes,
		InFlooded: c.InFlooded, Dropped: c.Dropped}, drops
}

// registerTables gives the server the operations on MAC and neighbour tables.
func (d *Daemon) registerTables(s *api.Server) {
	api.On(s, api.ListMACs, func(_ context.Context, r api.TableRequest) (api.MACList, error) {
		h, match, err := d.macMatch(r)
		if err != nil {
			return api.MACList{}, err
		}
		l := api.MACList{MACs: []api.MAC{}}
		for _, st := range h.hub.Stations(time.Now()) {
			if match(st) {
				l.MACs = append(l.MACs, api.MAC{Hub: h.name, VLAN: int(st.VLAN), MAC: st.MAC.String(), Port: st.Link, Static: st.Static, AgeSeconds: st.Age.Seconds()})
			}
		}
		return l, nil
	})
	api.On(s, api.FlushMACs, func(ctx context.Context, r api.TableRequest) (api.Flushed, error) {
		h, match, err := d.macMatch(r)
		if err != nil {
			return api.Flushed{}, err
		}
		n := h.hub.FlushStations(time.Now(), match)
		h.log.Info("stations were flushed", "count", n, "who", api.WhoFrom(ctx).String())
		return api.Flushed{Flushed: n}, nil
	})
	api.On(s, api.ListNeighbours, func(_ context.Context, r api.TableRequest) (api.NeighbourList, error) {
		h, match, err := d.neighbourMatch(r)
		if err != nil {
			return api.NeighbourList{}, err
		}
		now := time.Now()
		l := api.NeighbourList{Neighbours: []api.Neighbour{}}
		for _, n := range h.hub.Neighbours().List(now) {
			if match(n) {
				l.Neighbours = append(l.Neighbours, h.neighbour(now, n))
			}
		}
		return l, nil
	})
	api.On(s, api.FlushNeighbours, func(ctx context.Context, r api.TableRequest) (api.Flushed, error) {
		h, match, err := d.neighbourMatch(r)
		if err != nil {
			return api.Flushed{}, err
		}
		n := h.hub.Neighbours().Flush(match)
		h.log.Info("neighbours were flushed", "count", n, "who", api.WhoFrom(ctx).String())
		return api.Flushed{Flushed: n}, nil
	})
}

// ofPort tells whether a link of the hub is a port's, or that of one of its
// sessions ("road/7").
func ofPort(link, port string) bool {
	return link == port || strings.HasPrefix(link, port+"/")
}

// macMatch finds the hub of a request and what picks its stations.
func (d *Daemon) macMatch(r api.TableRequest) (*hubRun, func(hub.Station) bool, error) {
	h, mac, err := d.tableOf(r)
	if err != nil {
		return nil, nil, err
	}
	return h, func(s hub.Station) bool {
		return (r.Port == "" || ofPort(s.Link, r.Port)) && (mac.IsZero() || s.MAC == mac)
	}, nil
}

// neighbourMatch finds the hub of a request and what picks its neighbours.
func (d *Daemon) neighbourMatch(r api.TableRequest) (*hubRun, func(arp.Neighbour) bool, error) {
	h, mac, err := d.tableOf(r)
	if err != nil {
		return nil, nil, err
	}
	var ip netip.Addr
	if r.IP != "" {
		if ip, err = netip.ParseAddr(r.IP); err != nil {
			return nil, nil, api.Errorf(api.CodeBadRequest, "%q is not an IP address", r.IP)
		}
	}
	sw := h.hub
	return h, func(n arp.Neighbour) bool {
		return (r.Port == "" || ofPort(sw.LinkName(n.Link), r.Port)) && (mac.IsZero() || n.MAC == mac) && (!ip.IsValid() || n.IP == ip)
	}, nil
}

// tableOf checks what a request on a table names.
func (d *Daemon) tableOf(r api.TableRequest) (h *hubRun, mac eth.Addr, err error) {
	if h, err = d.hubNamed(r.Hub); err != nil {
		return nil, mac, err
	}
	if r.Port != "" && h.port(r.Port) == nil {
		return nil, mac, api.Errorf(api.CodeNotFound, "no port %q in hub %s", r.Port, h.name).WithHint("see 'vhub port list'")
	}
	if r.MAC != "" {
		if mac, err = eth.ParseAddr(r.MAC); err != nil {
			return nil, mac, refused(err)
		}
	}
	return h, mac, nil
}

// neighbour is one entry of the neighbour table for the API.
func (h *hubRun) neighbour(now time.Time, n arp.Neighbour) api.Neighbour {
	sw := h.hub
	out := api.Neighbour{Hub: h.name, VLAN: int(n.VLAN), IP: n.IP.String(), MAC: n.MAC.String(), Port: sw.LinkName(n.Link),
		State: "reachable", Source: n.Source.String()}
	switch {
	case n.Silent:
		out.State = "silent"
	case n.Confirmed.IsZero():
		out.State = "unconfirmed"
	}
	seen := n.Confirmed
	if seen.IsZero() {
		seen = n.Since
	}
	if !seen.IsZero() {
		out.AgeSeconds = max(now.Sub(seen).Seconds(), 0)
	}
	if e, ok := h.conflict(now, n.VLAN, out.IP); ok {
		other, link := e.OtherMAC, e.OtherLink
		if other == n.MAC {
			other, link = e.MAC, e.Link
		}
		out.Conflict = &api.NeighbourConflict{MAC: other.String(), Port: sw.LinkName(link), Time: e.Time.UTC()}
	}
	return out
}
