package main

import (
	"encoding/json"
	"flag"
	"io"
	"net"
	"os"
	"os/signal"
	"time"
)

// sessionServer echoes what it is sent, for ever.
func sessionServer(args []string) error {
	fs := flag.NewFlagSet("session-server", flag.ContinueOnError)
	listen := fs.String("listen", ":7777", "address to listen on")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

// SessionResult is what a session prints at its end, as JSON.
type SessionResult struct {
	Rounds     int       `json:"rounds"`
	MaxStallMS float64   `json:"max_stall_ms"`
	StallAt    time.Time `json:"stall_at"`
	Stalls     []float64 `json:"stalls_over_200ms"`
	Error      string    `json:"error,omitempty"`
}

// session keeps one TCP session alive with small questions, like somebody
// typing into SSH, and reports the longest wait for an echo. An interrupt ends it
// like its time does.
func session(args []string) error {
	fs := flag.NewFlagSet("session", flag.ContinueOnError)
	connect := fs.String("connect", "", "server address")
	length := fs.Duration("for", time.Minute, "how long")
	every := fs.Duration("every", 50*time.Millisecond, "pause between questions")
	if err := fs.Parse(args); err != nil {
		return err
	}
	c, err := net.DialTimeout("tcp", *connect, 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	var res SessionResult
	buf := make([]byte, 64)
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	for end := time.Now().Add(*length); time.Now().Before(end) && len(interrupted) == 0; time.Sleep(*every) {
		start := time.Now()
		_ = c.SetDeadline(start.Add(30 * time.Second))
		if _, err = c.Write(buf); err == nil {
			_, err = io.ReadFull(c, buf)
		}
		wait := float64(time.Since(start).Microseconds()) / 1000
		if wait > res.MaxStallMS {
			res.MaxStallMS, res.StallAt = wait, start
		}
		if wait > 200 {
			res.Stalls = append(res.Stalls, wait)
		}
		if err != nil {
			res.Error = err.Error()
			break
		}
		res.Rounds++
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}
