package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"vhub/api"
	"vhub/cmd/vhub/text"
)

// writePort writes all there is to know of a port.
func writePort(w io.Writer, p api.Port) error {
	now := time.Now()
	fmt.Fprintf(w, "port %s, kind %s, hub %s\n", p.Name, p.Kind, p.Hub)
	facts := []text.Pair{
		{Name: "state", Value: stateText(p, now)},
		{Name: "error", Value: p.Error + retryText(p)},
		{Name: "where", Value: p.Where},
		{Name: "stations", Value: fmt.Sprint(p.MACs)},
		{Name: "segment", Value: p.Segment},
		{Name: "settings", Value: optionsText(p.Options)},
	}
	if err := text.Pairs(w, "  ", facts); err != nil {
		return err
	}
	if len(p.Device) > 0 {
		device, err := text.Facts(p.Device, now, "drops", "tunnel_drops", "paths")
		if err != nil {
			return err
		}
		fmt.Fprintln(w, deviceTitle(p.Kind))
		if err := text.Pairs(w, "  ", device); err != nil {
			return err
		}
	}
	if err := writePaths(w, p.Device, now); err != nil {
		return err
	}
	if err := writeTraffic(w, p.Counters); err != nil {
		return err
	}
	if err := writeDrops(w, "dropped by the hub", p.Drops); err != nil {
		return err
	}
	if err := writeDrops(w, "dropped on the "+deviceTitle(p.Kind)+" side", deviceDrops(p.Device)); err != nil {
		return err
	}
	for _, note := range p.Notes {
		fmt.Fprintf(w, "note: %s\n", note)
	}
	return nil
}

func deviceTitle(kind string) string {
	if kind == "tap" || kind == "nic" {
		return "device"
	}
	if kind == "l2tp" {
		return "clients"
	}
	return "peer"
}

func stateText(p api.Port, now time.Time) string {
	switch {
	case p.UpSince != nil && p.Ups > 1:
		return fmt.Sprintf("%s since %s (%s), came up %d times", p.State, text.When(*p.UpSince), text.Age(now.Sub(*p.UpSince)), p.Ups)
	case p.UpSince != nil:
		return fmt.Sprintf("%s since %s (%s)", p.State, text.When(*p.UpSince), text.Age(now.Sub(*p.UpSince)))
	}
	return p.State
}

func optionsText(options map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(options)) {
		parts = append(parts, name+"="+options[name])
	}
	return strings.Join(parts, " ")
}

func writeTraffic(w io.Writer, c api.Counters) error {
	fmt.Fprintln(w, "traffic")
	return text.Pairs(w, "  ", []text.Pair{
		{Name: "into the hub", Value: trafficText(c.InFrames, c.InBytes)},
		{Name: "out of the hub", Value: trafficText(c.OutFrames, c.OutBytes)},
		{Name: "flooded", Value: text.Count(c.InFlooded) + " frames"},
		{Name: "dropped", Value: text.Count(c.Dropped) + " frames"},
	})
}

func trafficText(frames, bytes uint64) string {
	return text.Count(frames) + " frames, " + text.Bytes(bytes)
}

func writeDrops(w io.Writer, title string, drops []api.Drop) error {
	var rows []text.Pair
	for _, d := range drops {
		rows = append(rows, text.Pair{Name: d.Reason, Value: text.Count(d.Frames) + "  " + d.Text})
	}
	if len(rows) > 0 {
		fmt.Fprintln(w, title)
	}
	return text.Pairs(w, "  ", rows)
}
