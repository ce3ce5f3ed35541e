package main

import (
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"vhub/l2tp"
	"vhub/ppp"
)

// l2tpClient is a program of the scripts: a road warrior without IPsec.
//
//	l2tpclient [-password P] SERVER:1701 USER
//
// It prints "up ADDRESS" once it is up, answers pings, and prints "ended REASON"
// when the server hangs up.
func l2tpClient() {
	password := flag.String("password", "", "the password")
	host := flag.String("host", "laptop", "the machine's name")
	flag.Parse()
	if err := runClient(flag.Arg(0), flag.Arg(1), *password, *host); err != nil {
		fmt.Fprintln(os.Stderr, "l2tpclient:", err)
		os.Exit(1)
	}
}

func runClient(server, user, password, host string) error {
	conn, err := net.Dial("udp", server)
	if err != nil {
		return err
	}
	defer conn.Close()
	c := l2tp.NewClient(l2tp.Config{HostName: host, Rand: rand.Reader},
		ppp.Client{User: user, Password: password, IPv4: true, DNS: true, Config: ppp.Config{Rand: rand.Reader}})
	var out l2tp.ClientOut
	if err := c.Dial(time.Now(), 1, &out); err != nil {
		return err
	}
	b := make([]byte, 2048)
	for said := false; ; {
		for _, p := range out.Packets {
			if _, err := conn.Write(p); err != nil {
				return err
			}
		}
		for _, ip := range out.IP {
			if answer := echoReply(ip); answer != nil {
				if _, err := conn.Write(c.Send(nil, answer)); err != nil {
					return err
				}
			}
		}
		out = l2tp.ClientOut{}
		if c.Up && !said {
			fmt.Println("up", c.Local)
			said = true
		}
		if c.Ended != "" {
			fmt.Println("ended", c.Ended)
			return nil
		}
		wake := time.Now().Add(time.Second)
		if d := c.Deadline(); !d.IsZero() && d.Before(wake) {
			wake = d
		}
		conn.SetReadDeadline(wake)
		n, err := conn.Read(b)
		switch t, ok := errors.AsType[net.Error](err); {
		case err == nil:
			c.Receive(time.Now(), b[:n], &out)
		case !ok || !t.Timeout():
			return err
		}
		c.Advance(time.Now(), &out)
	}
}

// echoReply turns an ICMP echo request round; nil for anything else. Request
// and reply differ by 8 in the type, so their sums by 0x800 (RFC 1624).
func echoReply(ip []byte) []byte {
	if len(ip) < 28 || ip[0] != 0x45 || ip[9] != 1 || ip[20] != 8 {
		return nil
	}
	r := append([]byte(nil), ip...)
	copy(r[12:], ip[16:20])
	copy(r[16:], ip[12:16])
	r[20] = 0
	sum := uint32(r[22])<<8 + uint32(r[23]) + 0x800
	sum = sum&0xffff + sum>>16
	r[22], r[23] = byte(sum>>8), byte(sum)
	return r
}
