package lab_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"vhub/lab/roadclient"
	"vhub/lab/sites"
)

// told collects datagrams by who got them.
type told struct {
	mu  sync.Mutex
	got map[int][]string
}

func (x *told) add(who int, text string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.got[who] = append(x.got[who], text)
}

// sorted is what one was told, sorted.
func (x *told) sorted(who int) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Sorted(slices.Values(x.got[who]))
}

// udpPacket is an IPv4 packet with a UDP datagram from and to port 7000.
func udpPacket(t *testing.T, src, dst netip.Addr, text string) []byte {
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	udp := &layers.UDP{SrcPort: 7000, DstPort: 7000}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip, udp, gopacket.Payload(text)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestThirtyTwoBehindOneNAT has 32 clients of one private address, 10.0.0.2, one UDP
// port, 1701, and one tunnel id, 1, as stock systems have them. Each is behind a translator of
// its own, and all of these behind one more that rewrites ports and drops ESP; both are the kernel's. The
// clients are synthetic (lab/roadclient) with vhub's IKE and ESP; the server is vhub serve. Every
// datagram says for whom it is: each client sees its own and no other's, both ways.
//
//	10.0.0.2 [nft] 192.168.1.50 --+
//	10.0.0.2 [nft] 192.168.1.51 --+-- 192.168.1.1 [nft] 198.51.100.4 -- 198.51.100.1 vhub -- vm 172.16.0.10
//	   ...                        +
func TestThirtyTwoBehindOneNAT(t *testing.T) {
	need(t)
	const clients, rounds = 32, 20
	w := newWAN(t)
	w.hub.Must("port", "add", "l2tp", "road", "--key-file", "lab.psk", "--pool", "172.16.0.100-172.16.0.180")
	r := &roadWAN{wan: w, t: t}
	server := netip.MustParseAddr(sites.CloudWAN)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	seen := &told{got: map[int][]string{}}
	var crowd []*roadclient.Crowd
	for i := range clients {
		user, dev := fmt.Sprint("u", i), fmt.Sprint("c", i)
		r.addUser(user, roadPass)
		home := w.lab.NS(dev)
		w.lab.Wire(home, "out", w.nat, dev)
		w.nat.Must("ip", "link", "set", "dev", dev, "master", "lan")
		home.Addr("out", fmt.Sprintf("192.168.1.%d/24", 50+i))
		home.Addr("lo", "10.0.0.2/32")
		home.Must("ip", "route", "add", "default", "via", natLAN)
		home.Masquerade("out")
		c, err := roadclient.New(roadclient.Config{Server: server, Key: []byte(psk), User: user, Password: roadPass, Host: "pc", Clients: 1,
			Sources: netip.MustParsePrefix("10.0.0.2/32"), Suites: roadclient.CheapIKE,
			Listen: func(port int) (conn *net.UDPConn, err error) {
				home.Inside(func() error {
					conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: port})
					return err
				})
				return conn, err
			},
			OnIP: func(_ int, ip []byte) {
				p := gopacket.NewPacket(ip, layers.LayerTypeIPv4, gopacket.Default)
				if u, ok := p.TransportLayer().(*layers.UDP); ok && u.DstPort == 7000 {
					seen.add(i, string(u.Payload))
				}
			}})
		if err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, c)
		running.Go(func() {
			if err := c.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	address := map[netip.Addr]int{}
	limit, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for i, c := range crowd {
		if rep := c.Wait(limit); rep.Up != 1 || rep.Redials > 0 {
			t.Fatalf("client %d: %+v", i, rep)
		}
		address[c.Address(0)] = i
	}
	ports := map[string]bool{}
	for _, s := range r.sessions() {
		if !strings.HasPrefix(s.Client, natWAN+":") {
			t.Errorf("%s comes from %s", s.User, s.Client)
		}
		ports[s.Client] = true
	}
	if len(ports) != clients || len(address) != clients {
		t.Fatalf("%d sessions at different ports and %d addresses, want %d of both", len(ports), len(address), clients)
	}

	// The VM answers what it is told, and tells each client something unasked.
	var vm *net.UDPConn
	w.vm.Inside(func() (err error) {
		vm, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 7000})
		return err
	})
	heard := &told{got: map[int][]string{}}
	running.Go(func() {
		b := make([]byte, 2048)
		for {
			n, from, err := vm.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			who, known := address[from.Addr().Unmap()]
			if !known {
				who = -1
			}
			heard.add(who, string(b[:n]))
			_, _ = vm.WriteToUDPAddrPort(fmt.Appendf(nil, "answer to: %s", b[:n]), from)
		}
	})
	defer vm.Close()
	want, sent := map[int][]string{}, map[int][]string{}
	for n := range rounds {
		for a, i := range address {
			text := fmt.Sprintf("client %d says %d", i, n)
			sent[i] = append(sent[i], text)
			want[i] = append(want[i], "answer to: "+text, fmt.Sprintf("to client %d: %d", i, n))
			if !crowd[i].Send(0, udpPacket(t, a, netip.MustParseAddr(sites.VM), text)) {
				t.Fatalf("client %d is not up any more", i)
			}
			if _, err := vm.WriteToUDPAddrPort(fmt.Appendf(nil, "to client %d: %d", i, n), netip.AddrPortFrom(a, 7000)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range clients { // nothing is said twice: the first of each must arrive
			w.lab.WaitFor(fmt.Sprintf("what is for client %d", i), 10*time.Second, func() (bool, string) {
				got := seen.sorted(i)
				return len(got) >= len(want[i]), fmt.Sprintf("%d of %d: %q", len(got), len(want[i]), got)
			})
		}
	}
	for i := range clients {
		slices.Sort(want[i])
		slices.Sort(sent[i])
		if got := seen.sorted(i); !slices.Equal(got, want[i]) {
			t.Errorf("client %d got %q, want %q", i, got, want[i])
		}
		if got := heard.sorted(i); !slices.Equal(got, sent[i]) {
			t.Errorf("from the address of client %d came %q, want %q", i, got, sent[i])
		}
	}
	if other := heard.sorted(-1); len(other) > 0 {
		t.Errorf("from other addresses came %q", other)
	}
	t.Logf("%d clients with one private address, port 1701 and tunnel id 1, at %d ports of one address: %d datagrams from them and %d to them, each where it belongs, once", clients, len(ports), clients*rounds, 2*clients*rounds)
}
