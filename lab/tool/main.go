// Tool is what the lab runs inside its namespaces and guests where no Debian
// package does the job: an EtherIP end point that shares no code with vhub, a
// VLAN interface, a relay between two TAPs, a sender of small frames that never
// waits, a sender and a receiver of frames of every size, a TCP session that
// measures its own stalls, and what Windows asks by DHCP when its VPN is up.
//
//	tool etherip -tap NAME -peer ADDR [-swapped]
//	tool flood -dev NAME -to MAC -for 2s [-rate N] [-stations N [-side 0|1] [-once]]
//	tool frames-send -dev NAME [-to MAC] [-min 14] [-max 1514] [-rounds 1]
//	tool frames-receive -dev NAME [-to MAC] [-min 14] [-max 1514] [-for 20s] [-capture FILE]
//	tool inform -dev NAME -from ADDR
//	tool relay -a NAME -b NAME
//	tool road-crowd -server ADDR -key KEY -user u%d -password PASS -from 10.64.0.0/16 -n 10000 [-window N | -over 1s]
//	tool road-tap -server ADDR -key KEY -user NAME -password PASS -tap NAME -routes PREFIX,...
//	tool session-server -listen ADDR:PORT [-questions FILE]
//	tool vlan -dev NAME -tap NAME -id N
//	tool session -connect ADDR:PORT -for 120s -every 50ms [-echoes FILE]
package main

import (
	"fmt"
	"os"
)

func main() {
	commands := map[string]func([]string) error{
		"etherip":        etherIP,
		"flood":          flood,
		"frames-send":    framesSend,
		"frames-receive": framesReceive,
		"inform":         inform,
		"relay":          relay,
		"road-crowd":     roadCrowd,
		"road-tap":       roadTAP,
		"session":        session,
		"session-server": sessionServer,
		"vlan":           vlan,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: tool etherip|flood|frames-send|frames-receive|inform|relay|road-crowd|road-tap|session|session-server|vlan FLAGS")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "tool:", err)
		os.Exit(1)
	}
}
