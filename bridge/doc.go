// Package bridge has the ports that join a hub to this host: TAP devices and
// physical interfaces.
//
// A TAP port makes a TAP device, gives it its MTU, MAC address and addresses and
// puts it into a Linux bridge. Frames cross the file descriptor with the
// virtio-net header (virtio 1.2 section 5.1.6, here in host byte order), so that
// a bulk flow comes and goes as frames of up to 64 KB whose segments were never
// cut:
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+---------------+---------------+-------------------------------+
//	|     flags     |   gso_type    |            hdr_len            |
//	+---------------+---------------+-------------------------------+
//	|           gso_size            |          csum_start           |
//	+-------------------------------+-------------------------------+
//	|          csum_offset          |  Ethernet frame ...           |
//
// Where the TAP is in a bridge, the stations behind the hub are pinned on it in
// the bridge's own forwarding table (static and sticky), so that a wire that
// hands frames back cannot move them to the bridge's other ports.
//
// A NIC port reads and writes a physical interface by an AF_PACKET socket, with
// the same header, and leaves the interface's settings as they are. This host's
// own stack does not hear what the port sends: see NICConfig.
//
// The data path in packet order: in, tapReader.readBatch or nicReader.readBatch,
// decodeVnet, hub.Reader.Input; out, WriteFrames, holder.filter (TAP in a bridge,
// a new station's first frames), tapWriter.cut or nicWriter.cut
// where the kernel takes no large frame, encodeVnet, writev or sendmmsg.
package bridge
