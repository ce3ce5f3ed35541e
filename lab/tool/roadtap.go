package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"

	"vhub/lab/roadclient"
)

// roadTAP is one L2TP/IPsec client with a TAP. It prints one line of JSON
// (roadclient.TAPReport) when the TAP has its address, and hangs up at SIGTERM.
func roadTAP(args []string) error {
	fs := flag.NewFlagSet("road-tap", flag.ContinueOnError)
	var cfg roadclient.TAPConfig
	server := fs.String("server", "", "address of the server")
	key := fs.String("key", "", "pre-shared key")
	fs.StringVar(&cfg.User, "user", "", "user name")
	fs.StringVar(&cfg.Password, "password", "", "password")
	fs.StringVar(&cfg.Host, "host", "pc", "name of the client's machine")
	fs.StringVar(&cfg.Ifname, "tap", "ppp-tap", "TAP to make")
	routes := fs.String("routes", "", "prefixes to send by the TAP, with commas between them")
	suites := fs.String("ike", "", "phase 1 suites, for example aes256-sha1-modp2048")
	esps := fs.String("esp", "", "phase 2 suites, for example aes128-sha1")
	fs.DurationVar(&cfg.Limit, "limit", 0, "how long it may take to come up; 0: 30 s")
	verbose := fs.Bool("v", false, "log to stderr")
	if err := fs.Parse(args); err != nil {
		return err
	}
	var err error
	if cfg.Server, err = netip.ParseAddr(*server); err != nil {
		return fmt.Errorf("-server: %w", err)
	}
	for _, r := range strings.FieldsFunc(*routes, func(r rune) bool { return r == ',' }) {
		p, err := prefixOf(r)
		if err != nil {
			return fmt.Errorf("-routes: %w", err)
		}
		cfg.Routes = append(cfg.Routes, p)
	}
	if cfg.Suites, cfg.ESP, err = parseSuites(*suites, *esps); err != nil {
		return err
	}
	cfg.Key = []byte(*key)
	if *verbose {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	return roadclient.RunTAP(ctx, cfg, func(r roadclient.TAPReport) { _ = json.NewEncoder(os.Stdout).Encode(r) })
}
