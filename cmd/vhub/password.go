package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// passwordFlags say where a password comes from. None of them takes the
// password itself: the command line is for everybody to see.
type passwordFlags struct {
	file     string
	generate bool
}

func (p *passwordFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&p.file, "password-file", "", "read the password from the first line of `FILE`, or of stdin (-)")
	c.Flags().BoolVar(&p.generate, "generate", false, "make a strong password, and show it this once")
}

// shown is the password where it is to be shown.
func (p *passwordFlags) shown(password string) string {
	if p.generate {
		return password
	}
	return ""
}

// password gets the password: made, read or asked for.
func (a *app) password(ctx context.Context, p *passwordFlags, command, user string) (string, error) {
	switch {
	case p.generate && p.file != "":
		return "", usageError{fmt.Errorf("%s: both --generate and --password-file are given", command)}
	case p.generate:
		return generatePassword()
	case p.file == "-":
		return firstLine(a.in, "stdin")
	case p.file != "":
		f, err := os.Open(p.file)
		if err != nil {
			return "", fmt.Errorf("password file: %w", err)
		}
		defer f.Close()
		return firstLine(f, p.file)
	}
	return a.askPassword(ctx, command, user)
}

// firstLine reads the password: one line, without its end.
func firstLine(r io.Reader, name string) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("password file %s: %w", name, err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", fmt.Errorf("password file %s: the first line is empty", name)
	}
	return line, nil
}

// alphabet has no characters that look alike, nor any that a shell, a URL or a
// phone's keyboard makes trouble with.
const alphabet = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"

// generatePassword makes 20 characters in groups of five: 116 bits.
func generatePassword() (string, error) {
	var b strings.Builder
	for i := range 20 {
		if i > 0 && i%5 == 0 {
			b.WriteByte('-')
		}
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			return "", err
		}
		b.WriteByte(alphabet[n.Int64()])
	}
	return b.String(), nil
}

// askPassword asks twice on the terminal, without showing what is typed.
func (a *app) askPassword(ctx context.Context, command, user string) (string, error) {
	f, ok := a.in.(*os.File)
	if !ok || !isTerminal(f) {
		return "", usageError{fmt.Errorf("%s: no password is given; use --password-file FILE, --password-file - or --generate", command)}
	}
	first, err := a.ask(ctx, f, "password for "+user+": ")
	if err != nil {
		return "", err
	}
	second, err := a.ask(ctx, f, "the same again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords are not the same; nothing was changed")
	}
	return first, nil
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// ask reads one line with the echo off. It gives up when ctx ends (Ctrl-C), so
// that the echo comes back.
func (a *app) ask(ctx context.Context, f *os.File, prompt string) (string, error) {
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", fmt.Errorf("the terminal: %w", err)
	}
	quiet := *before
	quiet.Lflag &^= unix.ECHO
	quiet.Lflag |= unix.ICANON | unix.ISIG
	if err := unix.IoctlSetTermios(fd, unix.TCSETSF, &quiet); err != nil {
		return "", fmt.Errorf("the terminal: %w", err)
	}
	defer unix.IoctlSetTermios(fd, unix.TCSETS, before)
	fmt.Fprint(a.err, prompt)
	defer fmt.Fprintln(a.err)
	type typed struct {
		line string
		err  error
	}
	done := make(chan typed, 1)
	go func() {
		line, err := readTyped(f)
		done <- typed{line, err}
	}()
	select {
	case t := <-done:
		return t.line, t.err
	case <-ctx.Done():
		return "", errors.New("interrupted; nothing was changed")
	}
}

// readTyped reads a line byte by byte, so that what follows stays for the next
// question.
func readTyped(r io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for len(line) < 4096 {
		n, err := r.Read(b)
		if n == 1 && b[0] == '\n' {
			break
		}
		if n == 1 {
			line = append(line, b[0])
		}
		if err != nil {
			if errors.Is(err, io.EOF) && len(line) > 0 {
				break
			}
			return "", errors.New("no password was typed; nothing was changed")
		}
	}
	if len(line) == 0 {
		return "", errors.New("no password was typed; nothing was changed")
	}
	return string(line), nil
}
