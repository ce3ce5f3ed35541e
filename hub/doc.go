// Package hub is the switch: it learns which station is behind which link,
// looks up, floods, suppresses duplicates, and counts every frame that it does
// not forward under a reason. It does no I/O, starts no goroutine and reads no
// clock.
//
//	                 Reader.Input            Port.WriteFrames
//	TAP, NIC, ... ----> forward ---------------> other ports
//	                     |   |
//	   stations (FDB) <--+   +--> suppressor (what was accepted lately)
//	                     |
//	                     +------> arp.Segment (neighbour help)
//
// What a frame meets, in order, is in forward.go. Of its bytes the hub reads:
//
//	+-------------+-------------+----------------+-----------+------------------
//	| destination | source      | [802.1Q, id]   | EtherType | IP, TCP, UDP, ARP
//	+-------------+-------------+----------------+-----------+------------------
//	  look up       learn         VLAN of both     suppression and help only
//
// Nothing of the hub is global; several live in one process. Readers share no
// lock: the links are a view that is replaced as a whole, the forwarding table
// and the memory of frames are arrays of atomic words. What must happen in
// order (learning, moving, joining) happens under a mutex that no known station
// ever needs. Ports, watchers and Config.Event are called with no lock held.
//
// Detach waits until each reader has left its batch (Reader.epoch), so that a
// port that was detached is not written to any more.
package hub
