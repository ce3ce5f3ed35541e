package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"time"
)

// question is how many bytes a session asks and is echoed at a time.
const question = 64

// sessionServer echoes questions, for ever.
func sessionServer(args []string) error {
	fs := flag.NewFlagSet("session-server", flag.ContinueOnError)
	listen := fs.String("listen", ":7777", "address to listen on")
	questions := fs.String("questions", "", "file that gets a line for each question: how long after the one before, in ms")
	if err := fs.Parse(args); err != nil {
		return err
	}
	told, err := tellTo(*questions)
	if err != nil {
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
			buf, last := make([]byte, question), time.Now()
			for {
				if _, err := io.ReadFull(c, buf); err != nil {
					return
				}
				fmt.Fprintf(told, "%.3f\n", milliseconds(time.Since(last)))
				last = time.Now()
				if _, err := c.Write(buf); err != nil {
					return
				}
			}
		}()
	}
}

// tellTo makes a file for lines; without a name they go nowhere.
func tellTo(name string) (io.Writer, error) {
	if name == "" {
		return io.Discard, nil
	}
	return os.Create(name)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

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
	echoes := fs.String("echoes", "", "file that gets a line for each echo: how long it took, in ms")
	if err := fs.Parse(args); err != nil {
		return err
	}
	told, err := tellTo(*echoes)
	if err != nil {
		return err
	}
	c, err := net.DialTimeout("tcp", *connect, 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	var res SessionResult
	buf := make([]byte, question)
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	for end := time.Now().Add(*length); time.Now().Before(end) && len(interrupted) == 0; time.Sleep(*every) {
		start := time.Now()
		_ = c.SetDeadline(start.Add(30 * time.Second))
		if _, err = c.Write(buf); err == nil {
			_, err = io.ReadFull(c, buf)
		}
		wait := milliseconds(time.Since(start))
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
		fmt.Fprintf(told, "%.3f\n", wait)
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}
