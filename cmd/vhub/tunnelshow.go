package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"vhub/api"
	"vhub/cmd/vhub/text"
)

// writePaths writes the paths of a port in IPsec; other ports have none.
func writePaths(w io.Writer, device json.RawMessage, now time.Time) error {
	var t api.Tunnel
	if err := json.Unmarshal(device, &t); err != nil || t.Paths == nil {
		return nil // no device of this kind
	}
	for i, p := range t.Paths {
		fmt.Fprintf(w, "path %d%s\n", i+1, pathTitle(p))
		facts := []text.Pair{
			{Name: "uplink", Value: p.Uplink},
			{Name: "addresses", Value: p.Local + " to " + p.Remote},
			{Name: "NAT", Value: p.NAT},
			{Name: "path MTU", Value: fmt.Sprint(p.PathMTU)},
			{Name: "peer", Value: p.Vendor},
			{Name: "quality", Value: qualityText(p)},
			{Name: "last heard", Value: agoText(now, p.LastHeard)},
			{Name: "phase 1", Value: p.IKESuite + ", since " + text.Age(now.Sub(p.Since)) + renewedText(now, p.ReauthAt, nil)},
		}
		for _, s := range p.SAs {
			facts = append(facts, text.Pair{Name: "phase 2", Value: espText(now, s)})
		}
		if err := text.Pairs(w, "  ", facts); err != nil {
			return err
		}
	}
	return nil
}

func pathTitle(p api.Path) string {
	var words []string
	if p.Active {
		words = append(words, "carries traffic")
	} else {
		words = append(words, "in reserve")
	}
	if !p.Alive {
		words = append(words, "does not answer")
	}
	if p.Dialled {
		words = append(words, "dialled by us")
	}
	return ", " + strings.Join(words, ", ")
}

func qualityText(p api.Path) string {
	if !p.Probed || !p.Dialled {
		return ""
	}
	return fmt.Sprintf("delay %.1f ms, variation %.1f ms, loss %.1f %%", p.DelaySeconds*1000, p.JitterSeconds*1000, p.Loss*100)
}

func agoText(now time.Time, t *time.Time) string {
	if t == nil {
		return ""
	}
	return text.Age(max(now.Sub(*t), 0)) + " ago"
}

func espText(now time.Time, s api.ESPSA) string {
	use := ""
	if s.InUse {
		use = ", sent with"
	}
	return fmt.Sprintf("SPI in %s out %s%s, %s, age %s%s, replay %d, auth %d", s.SPIIn, s.SPIOut, use, saText(s),
		text.Age(now.Sub(s.Born)), renewedText(now, s.RekeyAt, s.Expires), s.ReplayDrops, s.AuthDrops)
}

// renewedText says when an SA is renewed by us and when it ends.
func renewedText(now time.Time, renewed, expires *time.Time) string {
	out := ""
	if renewed != nil {
		out = ", renewed " + timeUntil(now, renewed)
	}
	if expires != nil {
		out += ", expires " + timeUntil(now, expires)
	}
	return out
}
