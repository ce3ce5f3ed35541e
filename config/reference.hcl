# Every key of vhub's configuration, with its default. Made from the schema by
# "go test ./config -run Reference -update"; see vhub.hcl(5).

# how the daemon logs
log {
  # the least severe event that is logged (debug|info|warn|error)
  level = "info"

  # how a log line looks (text|json)
  format = "text"
}

# the IPsec engine that all ports share
ipsec {
  # addresses that take IKE and ESP; every address of the host when there are none
  #listen = ["203.0.113.1", "2001:db8::1"]

  # UDP port of IKE; peers expect 500 (1..65535)
  port = 500

  # UDP port of IKE and ESP behind NAT (RFC 3947); peers expect 4500 (1..65535)
  nat_port = 4500

  # take and send ESP as IP protocol 50 where there is no NAT
  raw_esp = true

  # a keepalive is sent through a NAT after such a silence (RFC 3948 section 4); 0s sends none (0 or 1s..10m)
  nat_keepalive = "20s"
}

# RADIUS servers that know the same users; ports name the block, and there may be several
radius "corp" {
  # the servers, best first: address or host name, and :port where it is not 1812
  servers = ["192.0.2.10", "radius.example:1812"]

  # file with the secret shared with the servers, readable by its owner alone; a relative name starts at the folder of the configuration
  secret_file = "radius.secret"

  # our address, by which the servers know us; without it the system's choice
  #local = "198.51.100.1"

  # wait so long for an answer before asking again (100ms..30s)
  timeout = "2s"

  # ask a silent server so often again before the next one (0..10)
  retries = 2

  # a server that did not answer is asked last for so long; 0s forgets it at once (0 or 1s..1h)
  dead_time = "1m"

  # tell the servers when sessions begin and end and what they used (RFC 2866)
  accounting = true

  # UDP port of accounting; 0 takes the port after that of authentication (0 or 1..65535)
  accounting_port = 0

  # our name for the servers; without it the name of the host
  #nas_identifier = "vhub-osaka"

  # tell what a session used so often on the way, where the server does not say; 0s only at its end (0 or 1m..24h)
  interim = "0s"
}

# a virtual hub: one Ethernet segment
hub "default" {
  # what the hub does with ARP and neighbour discovery: relay floods it, assist sends it to the station asked for, proxy answers for the station (relay|assist|proxy)
  arp = "assist"

  # neighbours (IPv4 and IPv6 addresses) the hub remembers (16..1048576)
  arp_limit = 16384

  # a neighbour that stays silent is forgotten after it (1s..24h)
  arp_age = "10m"

  # a neighbour silent for so long is asked again, before hosts forget it; 0s never asks (0 or 1s..1h)
  arp_keep = "15s"

  # MAC addresses in the forwarding table of the hub (16..1048576)
  mac_limit = 65536

  # a MAC address that stays silent is forgotten after it (1s..24h)
  mac_age = "5m"

  # a frame that comes back within it, by another port than it entered, is an echo (10ms..10s)
  echo_window = "500ms"

  # the same frame again by the same port within it is a copy (100us..1s)
  copy_window = "5ms"

  # forward frames to 01:80:c2:00:00:00 to 0f (spanning tree, LLDP, LACP), which a bridge keeps to itself
  forward_reserved = false

  # joins the hub to this host by a TAP device, alone or in a Linux bridge
  port "tap" "my-tap" {
    # the Linux bridge the TAP is joined to, at every start anew
    #bridge = "br0"

    # make the bridge when it is not there; it is removed with the port
    create_bridge = false

    # name of the TAP device, at most 15 characters; without it "vh-" and the port's name
    #interface = "vhub0"

    # MTU of the TAP in bytes; 0 takes that of the bridge, or 1500 (0 or 68..9000)
    mtu = 0

    # MAC address of the TAP; without it one that is the same at every start
    #mac = "02:00:5e:10:00:01"

    # addresses of this host on the segment
    #addresses = ["192.168.10.1/24", "2001:db8:10::1/64"]

    # queues of the TAP, a reader each; 0 takes one a processor, at most 8, and one in all on two processors (0 or 1..64)
    queues = 0

    # exchange large frames and unfinished checksums with the kernel (virtio header)
    offload = true

    # pin the stations behind the hub on the TAP in the bridge's own table, so that an echo cannot move them there
    pin_stations = true

    # a port that is not enabled stays configured and carries nothing
    enabled = true

    # a note for people
    #description = "the router in Osaka"

    # no traffic with other ports that are isolated
    isolate = false

    # split horizon: no traffic between ports that name the same group
    #group = "branches"

    # ports that name the same segment lead to one outside wire: frames go out by one of them and never from one to another
    #segment = "cloud-lan"

    # drop echoes of the hub's own frames and copies that come in by this port
    suppress = true

    # MAC addresses learned behind the port; frames of more stations are dropped (1..1048576)
    max_macs = 8192

    # broadcast frames a second taken from the port; 0 takes all (0 or 1..100000000)
    broadcast_limit = 0

    # multicast frames a second taken from the port; 0 takes all (0 or 1..100000000)
    multicast_limit = 0

    # frames a second to unknown stations taken from the port; 0 takes all (0 or 1..100000000)
    unknown_limit = 0

    # stations pinned to the port, MAC or MAC@VLAN: neither aged nor moved
    #static_macs = ["02:00:5e:10:00:01", "02:00:5e:10:00:02@100"]
  }

  # joins the hub to a physical interface by AF_PACKET; a tap in a bridge with the interface is the better way where it can be had
  port "nic" "my-nic" {
    # the physical interface
    interface = "eth1"

    # take frames to every address (by membership, the interface's flag is left alone)
    promisc = true

    # a port that is not enabled stays configured and carries nothing
    enabled = true

    # a note for people
    #description = "the router in Osaka"

    # no traffic with other ports that are isolated
    isolate = false

    # split horizon: no traffic between ports that name the same group
    #group = "branches"

    # ports that name the same segment lead to one outside wire: frames go out by one of them and never from one to another
    #segment = "cloud-lan"

    # drop echoes of the hub's own frames and copies that come in by this port
    suppress = true

    # MAC addresses learned behind the port; frames of more stations are dropped (1..1048576)
    max_macs = 8192

    # broadcast frames a second taken from the port; 0 takes all (0 or 1..100000000)
    broadcast_limit = 0

    # multicast frames a second taken from the port; 0 takes all (0 or 1..100000000)
    multicast_limit = 0

    # frames a second to unknown stations taken from the port; 0 takes all (0 or 1..100000000)
    unknown_limit = 0

    # stations pinned to the port, MAC or MAC@VLAN: neither aged nor moved
    #static_macs = ["02:00:5e:10:00:01", "02:00:5e:10:00:02@100"]
  }

  # joins the hub to a peer by EtherIP (RFC 3378), in IPsec or plain
  port "etherip" "my-etherip" {
    # address of the peer; in IPsec also a DNS name, or nothing: the peer comes to us
    #peer = "203.0.113.7"

    # our address; without it the system's choice
    #local = "198.51.100.1"

    # plain EtherIP (IP protocol 97), which anybody on the way can read and forge
    plain = false

    # the EtherIP header sent: 30 00, 03 00 of OpenBSD-style peers, or as the peer sends it; both are taken (auto|standard|swapped)
    header = "auto"

    # never send outer fragments: answer a frame that is too big for the path with ICMP
    df = false

    # cut an inner IPv4 packet that is too big for the path, instead of the outer one
    pre_fragment = false

    # lower the MSS of TCP connections to what the path carries whole
    mss_clamp = true

    # MTU of the path to the peer in bytes; 0 finds it (0 or 576..65535)
    path_mtu = 0

    # IKE identity of the peer, which decides the port: address:, fqdn:, user: or keyid: and the value; without it the peer's address
    peer_id = "keyid:ix2015"

    # our IKE identity, written like peer_id; without it our address
    #local_id = "fqdn:hub.example"

    # file with the pre-shared key, readable by its owner alone; a relative name starts at the folder of the configuration
    key_file = "ix.psk"

    # who begins; either begins when there is a peer address, and answers (responder|initiator|either)
    role = "either"

    # IKE phase 1; auto begins with main mode and answers both (auto|main|aggressive)
    mode = "auto"

    # phase 1 proposals, best first: cipher-hash-group; without it all that are not legacy
    #ike = ["aes256-sha256-modp2048", "aes128-sha1-modp1536"]

    # phase 2 proposals, best first: AEAD or cipher-hash; without it all that are not legacy
    #esp = ["aes128gcm16", "aes256-sha256"]

    # group of phase 2 when we begin; an answer takes the peer's (none|modp1024|modp1536|modp2048|modp3072|modp4096|ecp256|ecp384|ecp521)
    pfs = "none"

    # ask for ESP tunnel mode instead of transport mode; an answer takes both
    tunnel = false

    # allow 3DES, MD5 and the 1024-bit group
    legacy = false

    # interfaces or source addresses to reach the peer by, best first; SAs are kept up on each
    #uplinks = ["wan0", "wan1"]

    # a better uplink is good for so long before traffic moves back to it (1s..1h)
    hold_down = "30s"

    # ESP in UDP: always, which is several times faster than IP protocol 50, or only where there is a NAT (always|auto)
    nat_t = "always"

    # lifetime of phase 1 (1m..168h)
    ike_lifetime = "8h"

    # lifetime of phase 2 (1m..168h)
    esp_lifetime = "1h"

    # bytes an SA of phase 2 carries before it is renewed; 0 counts none (0 or 1MiB..)
    esp_bytes = "0"

    # a peer silent for so long is asked whether it lives (RFC 3706); 0s never asks (0 or 1s..1h)
    dpd_interval = "10s"

    # a peer that has not answered for so long is gone (1s..1h)
    dpd_timeout = "30s"

    # packets that may come late or out of order (64..65536)
    replay_window = 4096

    # 64-bit sequence numbers where the peer has them (RFC 4304)
    esn = true

    # a port that is not enabled stays configured and carries nothing
    enabled = true

    # a note for people
    #description = "the router in Osaka"

    # no traffic with other ports that are isolated
    isolate = false

    # split horizon: no traffic between ports that name the same group
    #group = "branches"

    # ports that name the same segment lead to one outside wire: frames go out by one of them and never from one to another
    #segment = "cloud-lan"

    # drop echoes of the hub's own frames and copies that come in by this port
    suppress = false

    # MAC addresses learned behind the port; frames of more stations are dropped (1..1048576)
    max_macs = 8192

    # broadcast frames a second taken from the port; 0 takes all (0 or 1..100000000)
    broadcast_limit = 0

    # multicast frames a second taken from the port; 0 takes all (0 or 1..100000000)
    multicast_limit = 0

    # frames a second to unknown stations taken from the port; 0 takes all (0 or 1..100000000)
    unknown_limit = 0

    # stations pinned to the port, MAC or MAC@VLAN: neither aged nor moved
    #static_macs = ["02:00:5e:10:00:01", "02:00:5e:10:00:02@100"]
  }

  # lets road warriors in by L2TP in IPsec (RFC 3193); each of them is a host of the segment
  port "l2tp" "my-l2tp" {
    # addresses for clients: ranges, single addresses or subnets; the port needs no DHCP server then
    pool = "172.16.0.200-172.16.0.230"

    # the segment's IPv4 subnet; without it that of the lease, or the /24 (or what is needed) around the pool
    #subnet = "172.16.0.0/24"

    # the segment's router, for clients whose address does not come by DHCP
    #router = "172.16.0.1"

    # name servers for clients; the first two are used, and those of a DHCP lease where there are none
    #dns = ["172.16.0.1", "172.16.0.2"]

    # networks that clients reach by the tunnel, told to those that ask by DHCPINFORM (Windows, macOS)
    #routes = ["172.16.0.0/16", "10.0.0.0/8 via 172.16.0.1"]

    # ask the segment's own DHCP server for the clients' addresses; auto does where there is no pool (auto|on|off)
    dhcp = "auto"

    # where addresses come from, best first: static (the user's own), radius, dhcp, pool; without it in that order, as far as there are any
    #order = ["static", "pool"]

    # IPv6 for clients, with the segment's router advertisements
    ipv6 = true

    # the largest packet in bytes that clients may send (576..1500)
    mru = 1400

    # how users prove who they are, best first: mschapv2, eap-mschapv2, chap-md5 (users of RADIUS only), pap; without it mschapv2, eap-mschapv2
    #methods = ["mschapv2", "eap-mschapv2", "pap"]

    # the radius block whose servers are asked for users that the local database does not have
    #radius = "corp"

    # ask RADIUS alone: users of the local database cannot log in
    radius_only = false

    # sessions of the port at once; more are refused (1..100000)
    max_sessions = 10000

    # a client silent for so long is asked whether it lives (RFC 2661 section 6.5) (1s..10m)
    hello = "45s"

    # file with the L2TP tunnel secret (RFC 2661 section 5.1.1), readable by its owner alone; stock clients have none
    #tunnel_secret_file = "lac.secret"

    # L2TP without IPsec on UDP port 1701, which anybody on the way can read and forge
    insecure_l2tp = false

    # answer aggressive mode too, for clients with an identifier (Android); whoever asks learns enough to guess the key offline, so it must be long and random
    aggressive = false

    # identifier that clients send in aggressive mode; without it any
    #peer_id = "keyid:road"

    # our IKE identity, written like peer_id; without it our address
    #local_id = "fqdn:hub.example"

    # file with the pre-shared key, readable by its owner alone; a relative name starts at the folder of the configuration
    key_file = "road.psk"

    # phase 1 proposals, best first: cipher-hash-group; without it all that are not legacy
    #ike = ["aes256-sha256-modp2048", "aes128-sha1-modp1536"]

    # phase 2 proposals, best first: AEAD or cipher-hash; without it all that are not legacy
    #esp = ["aes128gcm16", "aes256-sha256"]

    # allow 3DES, MD5 and the 1024-bit group
    legacy = false

    # ESP in UDP: always, which is several times faster than IP protocol 50, or only where there is a NAT (always|auto)
    nat_t = "auto"

    # lifetime of phase 1 (1m..168h)
    ike_lifetime = "8h"

    # lifetime of phase 2 (1m..168h)
    esp_lifetime = "1h"

    # bytes an SA of phase 2 carries before it is renewed; 0 counts none (0 or 1MiB..)
    esp_bytes = "0"

    # a peer silent for so long is asked whether it lives (RFC 3706); 0s never asks (0 or 1s..1h)
    dpd_interval = "1m"

    # a peer that has not answered for so long is gone (1s..1h)
    dpd_timeout = "2m"

    # packets that may come late or out of order (64..65536)
    replay_window = 4096

    # 64-bit sequence numbers where the peer has them (RFC 4304)
    esn = true

    # a port that is not enabled stays configured and carries nothing
    enabled = true

    # a note for people
    #description = "the router in Osaka"

    # no traffic with other ports that are isolated
    isolate = false

    # split horizon: no traffic between ports that name the same group
    #group = "branches"

    # ports that name the same segment lead to one outside wire: frames go out by one of them and never from one to another
    #segment = "cloud-lan"

    # drop echoes of the hub's own frames and copies that come in by this port
    suppress = false

    # MAC addresses learned behind the port; frames of more stations are dropped (1..1048576)
    max_macs = 8192

    # broadcast frames a second taken from the port; 0 takes all (0 or 1..100000000)
    broadcast_limit = 0

    # multicast frames a second taken from the port; 0 takes all (0 or 1..100000000)
    multicast_limit = 0

    # frames a second to unknown stations taken from the port; 0 takes all (0 or 1..100000000)
    unknown_limit = 0

    # stations pinned to the port, MAC or MAC@VLAN: neither aged nor moved
    #static_macs = ["02:00:5e:10:00:01", "02:00:5e:10:00:02@100"]
  }
}
