package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// wireGuardModule is built from source: no Debian package holds it.
const wireGuardModule = "golang.zx2c4.com/wireguard@v0.0.0-20260522210424-ecfc5a8d5446"

// install gets the rivals: Debian packages, and wireguard-go by "go install".
func install() error {
	c := exec.Command("lab/install.sh", "peers")
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("lab/install.sh peers: %w (run it from the checkout's folder)", err)
	}
	if _, err := os.Stat(wireGuardPath()); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	c = exec.Command("go", "install", wireGuardModule)
	c.Env = append(os.Environ(), "GOBIN="+filepath.Dir(wireGuardPath()), "GOFLAGS=", "CGO_ENABLED=0")
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	if err := c.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: no wireguard-go:", err) // its row will say so
	}
	return nil
}

// wireGuardPath is where install puts wireguard-go.
func wireGuardPath() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "vhub-bench", "wireguard")
}
