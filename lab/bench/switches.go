package main

import (
	"context"
	"io"
	"path/filepath"
	"time"

	"vhub/lab/sites"
)

// kernelBridge joins the hosts by a Linux bridge.
func kernelBridge(s *stage) {
	s.hosts()
	sw := s.ns("s")
	s.lab.Wire(s.a, "p0", sw, "q1")
	s.lab.Wire(s.b, "p0", sw, "q2")
	sw.Bridge("br0", "q1", "q2")
	s.ends("p0", "p0")
}

// relayed joins the hosts by two TAPs and a program that only reads and writes.
func relayed(s *stage) {
	s.hosts()
	sw := s.ns("s")
	s.daemon(sw, "relay", sites.Tool(s), "relay", "-a", "ra", "-b", "rb")
	s.move(sw, "ra", s.a)
	s.move(sw, "rb", s.b)
	s.ends("ra", "rb")
}

// vde runs vde_switch with two TAPs. It ends when its input does.
func vde(s *stage) {
	s.hosts()
	sw := s.ns("s")
	c := sw.Cmd(context.Background(), "vde_switch", "-s", filepath.Join(s.lab.Dir(), "vde.ctl"), "-t", "va", "-t", "vb")
	keep, w := io.Pipe()
	s.Cleanup(func() { w.Close() })
	c.Stdin = keep
	s.count(sw.StartCmd("vde_switch", c))
	s.move(sw, "va", s.a)
	s.move(sw, "vb", s.b)
	s.ends("va", "vb")
}

// openVSwitch runs a user-space datapath with two internal ports.
func openVSwitch(s *stage) {
	s.hosts()
	sw, dir := s.ns("s"), s.lab.Dir()
	db, sock := filepath.Join(dir, "conf.db"), filepath.Join(dir, "db.sock")
	env := []string{"env", "OVS_RUNDIR=" + dir, "OVS_LOGDIR=" + dir, "OVS_DBDIR=" + dir}
	sw.Must("ovsdb-tool", "create", db, "/usr/share/openvswitch/vswitch.ovsschema")
	s.daemon(sw, "ovsdb", append(env, "ovsdb-server", db, "--remote=punix:"+sock)...)
	vsctl := append(env, "ovs-vsctl", "-t", "15", "--db=unix:"+sock)
	s.lab.WaitFor("answer of ovsdb-server", 10*time.Second, func() (bool, string) {
		out, err := sw.Run(append(vsctl, "--no-wait", "init")...)
		return err == nil, out
	})
	s.daemon(sw, "ovs-vswitchd", append(env, "ovs-vswitchd", "unix:"+sock)...)
	sw.Must(append(vsctl, "add-br", "ovsbr", "--", "set", "bridge", "ovsbr", "datapath_type=netdev", "fail_mode=standalone",
		"--", "add-port", "ovsbr", "oa", "--", "set", "interface", "oa", "type=internal",
		"--", "add-port", "ovsbr", "ob", "--", "set", "interface", "ob", "type=internal")...)
	s.move(sw, "oa", s.a)
	s.move(sw, "ob", s.b)
	s.ends("oa", "ob")
}
