package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vhub/ipsec/esp"
	"vhub/ipsec/ike"
	"vhub/lab/roadclient"
)

// roadCrowd has a crowd of L2TP/IPsec clients log in and stay. It prints one line
// of JSON (roadclient.Report) when all are up or have given up, and another at
// SIGTERM, when it hangs up, or after -for.
func roadCrowd(args []string) error {
	fs := flag.NewFlagSet("road-crowd", flag.ContinueOnError)
	var cfg roadclient.Config
	server := fs.String("server", "", "address of the server")
	key := fs.String("key", "", "pre-shared key")
	fs.StringVar(&cfg.User, "user", "u%d", "user name; %d is the client's number")
	fs.StringVar(&cfg.Password, "password", "", "password; likewise")
	fs.StringVar(&cfg.Host, "host", "pc%d", "name of the client's machine; likewise")
	fs.IntVar(&cfg.Clients, "n", 1, "clients")
	from := fs.String("from", "", "prefix of the clients' addresses, which this machine takes (ip route add local PREFIX dev lo), or one address")
	fs.IntVar(&cfg.Window, "window", 0, "clients that log in at once; 0: all")
	fs.DurationVar(&cfg.Over, "over", 0, "spread the beginnings over this time instead")
	fs.DurationVar(&cfg.Limit, "limit", time.Minute, "how long a client tries")
	fs.BoolVar(&cfg.IPv6, "ipv6", false, "open IPv6 too")
	suites := fs.String("ike", "", "phase 1 suites, for example aes128-sha1-ecp256")
	esps := fs.String("esp", "", "phase 2 suites, for example aes128-sha1")
	stay := fs.Duration("for", 0, "how long to stay after that; 0: until SIGTERM")
	if err := fs.Parse(args); err != nil {
		return err
	}
	var err error
	if cfg.Server, err = netip.ParseAddr(*server); err != nil {
		return fmt.Errorf("-server: %w", err)
	}
	if cfg.Sources, err = prefixOf(*from); err != nil {
		return fmt.Errorf("-from: %w", err)
	}
	if cfg.Suites, cfg.ESP, err = parseSuites(*suites, *esps); err != nil {
		return err
	}
	cfg.Key = []byte(*key)
	c, err := roadclient.New(cfg)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	run, hangUp := context.WithCancel(context.Background())
	defer hangUp()
	ended := make(chan error, 1)
	go func() { ended <- c.Run(run) }()
	enc := json.NewEncoder(os.Stdout)
	if err := enc.Encode(c.Wait(ctx)); err != nil {
		return err
	}
	if *stay > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *stay)
		defer cancel()
	}
	select {
	case <-ctx.Done():
	case err := <-ended:
		return err
	}
	_ = enc.Encode(c.Report())
	hangUp()
	return <-ended
}

// prefixOf reads a prefix, or an address as the prefix of one.
func prefixOf(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

// parseSuites reads lists of suites with commas between them.
func parseSuites(ikes, esps string) (one []ike.Suite, two []esp.Suite, err error) {
	for _, s := range strings.FieldsFunc(ikes, func(r rune) bool { return r == ',' }) {
		x, err := ike.ParseSuite(s)
		if err != nil {
			return nil, nil, err
		}
		one = append(one, x)
	}
	for _, s := range strings.FieldsFunc(esps, func(r rune) bool { return r == ',' }) {
		x, err := esp.ParseSuite(s)
		if err != nil {
			return nil, nil, err
		}
		two = append(two, x)
	}
	return one, two, nil
}
