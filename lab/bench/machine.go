package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vhub/internal/netlab"
)

// ticksPerSecond is USER_HZ, the unit of /proc's CPU times: 100 on every Linux
// that Go runs on.
const ticksPerSecond = 100

// cpuOf is the CPU time that the processes have used, in seconds.
func cpuOf(pids []int) (sum float64) {
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		for _, i := range []int{11, 12} { // utime, stime (proc_pid_stat(5), counted from the state)
			n, _ := strconv.ParseFloat(f[i], 64)
			sum += n / ticksPerSecond
		}
	}
	return sum
}

// cpuOfMachine is the CPU time that was not idle, of all processors, in seconds.
func cpuOfMachine() (sum float64) {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	for i, w := range strings.Fields(line)[1:9] {
		if n, err := strconv.ParseFloat(w, 64); err == nil && i != 3 && i != 4 { // idle, iowait
			sum += n / ticksPerSecond
		}
	}
	return sum
}

// memoryOf is the resident memory of the processes, in MB.
func memoryOf(pids []int) (sum float64) {
	for _, pid := range pids {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
				sum += n / 1000
			}
		}
	}
	return sum
}

// renice sets the nice value of all threads of the processes; threads that they
// start later inherit it.
func renice(pids []int, nice int) error {
	for _, pid := range pids {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return err
		}
		for _, t := range tasks {
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				continue
			}
			if err := unix.Setpriority(unix.PRIO_PROCESS, tid, nice); err != nil && err != unix.ESRCH {
				return fmt.Errorf("nice of %d: %w", tid, err)
			}
		}
	}
	return nil
}

// machineFacts says what was measured on.
func machineFacts(began time.Time) []string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	out := []string{
		"Date: " + began.Format("2006-01-02 15:04 MST"),
		fmt.Sprintf("Machine: %d processors (%s), %s of memory", runtime.NumCPU(), procValue("/proc/cpuinfo", "model name"), procValue("/proc/meminfo", "MemTotal")),
		"Kernel: " + unix.ByteSliceToString(u.Release[:]) + ", " + release() + ", " + runtime.Version(),
	}
	if bin, err := netlab.Build(); err == nil {
		if b, err := exec.Command(bin, "version").Output(); err == nil {
			out = append(out, strings.Join(strings.Fields(string(b)), " "))
		}
	}
	return append(out, "Packages: "+packages())
}

// loadAverage is that of the last 1, 5 and 15 minutes.
func loadAverage() string {
	b, _ := os.ReadFile("/proc/loadavg")
	f := strings.Fields(string(b))
	return strings.Join(f[:min(3, len(f))], " ")
}

func procValue(file, key string) string {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func release() string {
	b, _ := os.ReadFile("/etc/os-release")
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return "unknown system"
}

// packages lists the rivals that Debian has installed, with their versions.
func packages() string {
	args := append([]string{"-W", "-f", "${Package} ${Version}, "}, "iperf3", "openvpn", "tinc", "vde2", "openvswitch-switch", "n2n", "softether-vpnserver")
	b, _ := exec.Command("dpkg-query", args...).Output() // those that are missing are not listed
	return strings.TrimSuffix(strings.TrimSpace(string(b)), ",")
}
