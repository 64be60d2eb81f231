"""Numbers that name a protocol: what the list calls a layer whose inside has no line of its own to sort by.

`capture.columns` writes these names and `capture.batch.protocols` sorts by them.
"""

from __future__ import annotations

#: EtherTypes that are not of the layers which carry others.
ETHER_NAMES = {0x8809: "Slow", 0x8863: "PPPoED", 0x8864: "PPPoES", 0x888E: "EAPOL", 0x88CC: "LLDP",
               0x88E5: "MACsec", 0x88F7: "PTPv2", 0x88A2: "AoE", 0x9000: "LOOP"}  # fmt: skip
#: Subtypes of the slow protocols (IEEE 802.3, 57A), EtherType 0x8809.
SLOW_NAMES = {1: "LACP", 2: "Marker", 3: "OAM", 10: "OSSP"}
#: Protocols over IP that are not of the layers which carry others.
IP_NAMES = {2: "IGMP", 33: "DCCP", 46: "RSVP", 50: "ESP", 88: "EIGRP", 89: "OSPF", 103: "PIMv2", 112: "VRRP",
            113: "PGM", 132: "SCTP"}  # fmt: skip
#: UDP ports; those of DNS, DHCP and the tunnels are asked first.
PORT_NAMES = {69: "TFTP", 123: "NTP", 137: "NBNS", 161: "SNMP", 162: "SNMP", 319: "PTPv2", 320: "PTPv2",
              443: "QUIC", 500: "ISAKMP", 514: "Syslog", 520: "RIP", 546: "DHCPv6", 547: "DHCPv6",
              1812: "RADIUS", 1813: "RADIUS", 1900: "SSDP", 1985: "HSRP", 3784: "BFD"}  # fmt: skip
#: What a session of PPP carries, besides IP.
PPP_NAMES = {0x8021: "PPP IPCP", 0x8057: "PPP IPV6CP", 0xC021: "PPP LCP", 0xC023: "PPP PAP",
             0xC223: "PPP CHAP"}  # fmt: skip
#: What a frame with a length begins with: the first three bytes of LLC, or all eight of SNAP.
LLC_NAMES = {bytes.fromhex("424203"): "STP", bytes.fromhex("fefe03"): "OSI"}
SNAP_NAMES = {bytes.fromhex("aaaa0300000c010b"): "STP", bytes.fromhex("aaaa0300000c2000"): "CDP",
              bytes.fromhex("aaaa0300000c2003"): "VTP"}  # fmt: skip
#: Beginnings of a TCP segment that is HTTP.
HTTP_STARTS = (
    b"GET ",
    b"POST ",
    b"PUT ",
    b"HEAD ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"HTTP/1.",
)
