package daemon

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vhub/api"
	"vhub/bridge"
	"vhub/config"
)

// refused makes an API error of what the configuration does not take.
func refused(err error) error {
	return withCode(err, api.CodeBadRequest)
}

// failed makes an API error of what could not be done.
func failed(err error) error {
	if errors.Is(err, bridge.ErrRights) || errors.Is(err, os.ErrPermission) {
		return withCode(err, api.CodeNoRights)
	}
	return withCode(err, api.CodeFailed)
}

func notFound(err error) error { return withCode(err, api.CodeNotFound) }
func conflict(err error) error { return withCode(err, api.CodeConflict) }

// withCode leaves an error alone that is the API's already.
func withCode(err error, code api.Code) error {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e
	}
	return &api.Error{Message: err.Error(), Code: code}
}

// oneLine is an error in one line, for the log.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func timePtr(t time.Time) *time.Time {
	t = t.UTC()
	return &t
}

// needRights says so when the configuration has ports and the process may not
// make devices.
func needRights(cfg *config.Config) error {
	ports := 0
	for i := range cfg.Hubs {
		for j := range cfg.Hubs[i].Ports {
			if cfg.Hubs[i].Ports[j].Enabled {
				ports++
			}
		}
	}
	if ports == 0 || mayAdmin() {
		return nil
	}
	return fmt.Errorf("%w for its ports; run it with sudo, or by systemd", bridge.ErrRights)
}

// mayAdmin tells whether the process has CAP_NET_ADMIN (capabilities(7)).
func mayAdmin() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return syscall.Geteuid() == 0
	}
	return data[0].Effective&(1<<unix.CAP_NET_ADMIN) != 0
}
