package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vhub/api"
	"vhub/cmd/vhub/text"
)

func (a *app) saCommand() *cobra.Command {
	c := &cobra.Command{Use: "sa", Short: "the security associations of IPsec: list",
		Long: "IKE's SAs (phase 1) and ESP's (phase 2) of all peers and road warriors.", Example: "  vhub sa list --port ix"}
	var req api.SARequest
	list := a.watchFlag(&cobra.Command{Use: "list", Short: "the SAs of both phases, and their keys when asked for", Args: cobra.NoArgs,
		Long: `Phase 1 is one line a negotiation with a peer, phase 2 one line a pair of ESP SAs; the
pair that is sent with has a *.

With --with-keys come the keys of the SAs, as lines of the two files that Wireshark
keeps in its configuration folder: ikev1_decryption_table and esp_sa. Who has them
reads everything that these SAs carried and carry; that they were shown is logged.`,
		Example: "  vhub sa list\n  vhub sa list --port ix --watch\n  vhub -o json sa list --port ix --with-keys", ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			req.Hub = a.hub
			return read(a, c, api.ListSAs, req, writeSAs)
		}})
	list.Flags().StringVar(&req.Port, "port", "", "only those of this `PORT`")
	list.Flags().BoolVar(&req.WithKeys, "with-keys", false, "show the keys too, in Wireshark's forms")
	_ = list.RegisterFlagCompletionFunc("port", func(c *cobra.Command, _ []string, s string) ([]string, cobra.ShellCompDirective) {
		return a.completePorts(c, nil, s)
	})
	c.AddCommand(list)
	return c
}

func writeSAs(w io.Writer, l api.SAList) error {
	now := time.Now()
	if len(l.IKE) == 0 && len(l.ESP) == 0 {
		_, err := fmt.Fprintln(w, "no SAs: no peer is there")
		return err
	}
	var rows [][]string
	for _, p := range l.IKE {
		who := "responder"
		if p.Initiator {
			who = "initiator"
		}
		rows = append(rows, []string{dash(p.Port), dash(p.PeerID), p.Local, p.Remote, who, p.Exchange, p.State, dash(p.Suite),
			text.Age(now.Sub(p.Born)), timeUntil(now, p.ReauthAt), timeUntil(now, p.Expires), p.InitiatorCookie + ":" + p.ResponderCookie})
	}
	fmt.Fprintln(w, "phase 1 (IKE)")
	if err := text.Table(w, []string{"PORT", "PEER", "LOCAL", "REMOTE", "ROLE", "EXCHANGE", "STATE", "SUITE", "AGE", "RENEWED", "EXPIRES", "COOKIES"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(w, "phase 2 (ESP)")
	if err := writeESP(w, now, l.ESP); err != nil {
		return err
	}
	if l.Keys == nil {
		return nil
	}
	for _, file := range []struct {
		name  string
		lines []string
	}{{"ikev1_decryption_table", l.Keys.IKEv1}, {"esp_sa", l.Keys.ESP}} {
		fmt.Fprintf(w, "# %s\n", file.name)
		for _, line := range file.lines {
			fmt.Fprintln(w, line)
		}
	}
	return nil
}

func writeESP(w io.Writer, now time.Time, list []api.ESPSA) error {
	var rows [][]string
	for _, s := range list {
		mark := ""
		if s.InUse {
			mark = "*"
		}
		rows = append(rows, []string{s.Port, s.SPIIn, s.SPIOut + mark, saText(s), s.Remote, text.Age(now.Sub(s.Born)), timeUntil(now, s.RekeyAt), timeUntil(now, s.Expires),
			text.Bytes(s.InBytes), text.Bytes(s.OutBytes), text.Count(s.ReplayDrops), text.Count(s.AuthDrops)})
	}
	return text.Table(w, []string{"PORT", "SPI IN", "SPI OUT", "SUITE", "REMOTE", "AGE", "RENEWED", "EXPIRES", "IN", "OUT", "REPLAY", "AUTH"}, rows)
}

// saText is suite, mode and encapsulation: "aes128gcm16 transport udp esn".
func saText(s api.ESPSA) string {
	parts := []string{s.Suite, s.Mode, s.Encap}
	if s.ESN {
		parts = append(parts, "esn")
	}
	if s.PFS != "" {
		parts = append(parts, "pfs-"+s.PFS)
	}
	return strings.Join(parts, " ")
}

// timeUntil is how long it is to a time; "-" for none.
func timeUntil(now time.Time, t *time.Time) string {
	if t == nil {
		return "-"
	}
	return "in " + text.Age(max(t.Sub(now), 0))
}
