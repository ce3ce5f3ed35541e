// Command vhub is a virtual Ethernet hub: one segment across hosts, sites and
// road warriors. The same program is the daemon (vhub serve) and the commands
// that speak with it over a UNIX socket.
//
//	vhub serve ── daemon: hubs, ports, configuration        vhub port add ...
//	                 ^                                         |
//	                 └────── HTTP+JSON on /run/vhub/vhub.sock ─┘
//
// This package has the commands; cmd/vhub/daemon wires the hubs and ports
// together, cmd/vhub/text writes for people, cmd/vhub/man makes manual pages.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// One signal asks to end; a second one ends at once, as the default does.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
