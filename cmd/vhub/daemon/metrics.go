package daemon

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"vhub/api"
	"vhub/ipsec"
)

// metricFamilies are all metrics. Counters of a port are since it was
// configured, of its device since that was opened: a fall to 0 is a restart.
var metricFamilies = []family{
	{name: "vhub_info", kind: "gauge", help: "The version that runs, as a label."},
	{name: "vhub_start_time_seconds", kind: "gauge", help: "When the daemon began, in Unix time."},
	{name: "vhub_resident_memory_bytes", kind: "gauge", help: "Resident size of the daemon."},
	{name: "vhub_goroutines", kind: "gauge", help: "Goroutines of the daemon."},
	{name: "vhub_config_revision", kind: "gauge", help: "Number of the configuration in use."},
	{name: "vhub_hub_stations", kind: "gauge", help: "Addresses in the forwarding table."},
	{name: "vhub_hub_neighbours", kind: "gauge", help: "Entries of the neighbour table."},
	{name: "vhub_hub_moves_total", kind: "counter", help: "Stations that changed their port."},
	{name: "vhub_port_up", kind: "gauge", help: "1 where the port is up."},
	{name: "vhub_port_ups_total", kind: "counter", help: "How often the port came up."},
	{name: "vhub_port_stations", kind: "gauge", help: "Stations behind the port."},
	{name: "vhub_port_sessions", kind: "gauge", help: "Sessions of users that are up."},
	{name: "vhub_port_frames_total", kind: "counter", help: "Frames into the hub (in) and out of it (out); a large frame counts once."},
	{name: "vhub_port_bytes_total", kind: "counter", help: "Bytes of these frames."},
	{name: "vhub_port_flooded_frames_total", kind: "counter", help: "Frames that came in and went to more than one port."},
	{name: "vhub_port_dropped_frames_total", kind: "counter", help: "Frames that the hub did not forward, by reason."},
	{name: "vhub_port_device_drops_total", kind: "counter", help: "Frames or packets lost on the device's or peer's side, by reason."},
	{name: "vhub_port_tunnel_drops_total", kind: "counter", help: "Packets that the port's IPsec tunnel did not carry, by reason."},
	{name: "vhub_port_offload", kind: "gauge", help: "1 where this offload of the device is on, 0 where it is off."},
	{name: "vhub_ipsec_socket_offload", kind: "gauge", help: "1 where this offload of the IPsec socket is on, 0 where it is off."},
	{name: "vhub_ipsec_sessions", kind: "gauge", help: "IKE sessions with peers that are authenticated."},
	{name: "vhub_ipsec_half_open", kind: "gauge", help: "IKE negotiations that are not authenticated yet."},
	{name: "vhub_ipsec_drops_total", kind: "counter", help: "Packets that belong to no tunnel or were not understood, by reason."},
}

// metrics is the daemon in the text format of Prometheus.
func (d *Daemon) metrics(now time.Time) string {
	e := newExposition(metricFamilies)
	daemonMetrics(e, d.status(now))
	if engine := d.ipsec.now(); engine != nil {
		ipsecMetrics(e, engine.Status())
	}
	return e.String()
}

func daemonMetrics(e *exposition, s api.Status) {
	e.add("vhub_info", 1, labels{"version", s.Version.Version, "go", s.Version.Go})
	e.add("vhub_start_time_seconds", float64(s.Started.UnixMilli())/1000, nil)
	e.add("vhub_resident_memory_bytes", float64(s.MemoryBytes), nil)
	e.add("vhub_goroutines", float64(s.Goroutines), nil)
	e.add("vhub_config_revision", float64(s.Revision), nil)
	for _, h := range s.Hubs {
		l := labels{"hub", h.Name}
		e.add("vhub_hub_stations", float64(h.MACs), l)
		e.add("vhub_hub_neighbours", float64(h.Neighbours), l)
		e.add("vhub_hub_moves_total", float64(h.Moves), l)
		for _, p := range h.Ports {
			portMetrics(e, p)
		}
	}
}

// deviceFigures is what the devices of all kinds call alike in their status.
type deviceFigures struct {
	Offloads    map[string]bool   `json:"offloads"`
	Drops       map[string]uint64 `json:"drops"`
	TunnelDrops map[string]uint64 `json:"tunnel_drops"`
	Counters    struct {
		Drops map[string]uint64 `json:"drops"`
	} `json:"counters"`
}

func portMetrics(e *exposition, p api.Port) {
	l := labels{"hub", p.Hub, "port", p.Name, "kind", p.Kind}
	e.truth("vhub_port_up", p.State == api.StateUp, l)
	e.add("vhub_port_ups_total", float64(p.Ups), l)
	e.add("vhub_port_stations", float64(p.MACs), l)
	e.add("vhub_port_sessions", float64(p.Sessions), l)
	in, out := l.with("direction", "in"), l.with("direction", "out")
	e.add("vhub_port_frames_total", float64(p.Counters.InFrames), in)
	e.add("vhub_port_frames_total", float64(p.Counters.OutFrames), out)
	e.add("vhub_port_bytes_total", float64(p.Counters.InBytes), in)
	e.add("vhub_port_bytes_total", float64(p.Counters.OutBytes), out)
	e.add("vhub_port_flooded_frames_total", float64(p.Counters.InFlooded), l)
	for _, d := range p.Drops {
		e.add("vhub_port_dropped_frames_total", float64(d.Frames), l.with("reason", d.Reason))
	}
	var dev deviceFigures
	if json.Unmarshal(p.Device, &dev) != nil {
		return // the port has no device now
	}
	for _, name := range slices.Sorted(maps.Keys(dev.Offloads)) {
		e.truth("vhub_port_offload", dev.Offloads[name], l.with("offload", name))
	}
	dropMetrics(e, "vhub_port_device_drops_total", dev.Drops, l)
	dropMetrics(e, "vhub_port_device_drops_total", dev.Counters.Drops, l)
	dropMetrics(e, "vhub_port_tunnel_drops_total", dev.TunnelDrops, l)
}

func dropMetrics(e *exposition, name string, drops map[string]uint64, l labels) {
	for _, reason := range slices.Sorted(maps.Keys(drops)) {
		e.add(name, float64(drops[reason]), l.with("reason", reason))
	}
}

func ipsecMetrics(e *exposition, s ipsec.Status) {
	for _, x := range socketsOf(s) {
		l := labels{"kind", x.Kind, "local", x.Local}
		e.truth("vhub_ipsec_socket_offload", x.UDPGSO, l.with("offload", "udp_gso"))
		e.truth("vhub_ipsec_socket_offload", x.UDPGRO, l.with("offload", "udp_gro"))
	}
	e.add("vhub_ipsec_sessions", float64(s.Sessions), nil)
	e.add("vhub_ipsec_half_open", float64(s.HalfOpen), nil)
	drops := map[string]uint64{"unknown-spi": s.Unknown, "runt": s.Runts, "ike-queue-full": s.IKELost, "ike-malformed": s.IKEBad, "ike-unsent": s.IKEUnsent}
	for reason, n := range s.IKEDrops {
		drops["ike-"+reason] += n
	}
	dropMetrics(e, "vhub_ipsec_drops_total", drops, nil)
}
