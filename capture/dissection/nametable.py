"""The tables behind `dissection.names`: by scapy's class, what its fields are called and how they read."""

from __future__ import annotations

#: What a layer is called, by scapy's name of its class, where scapy's title is none for a reader.
TITLES = {
    "LLDPDU": "LLDP",
    "SlowProtocol": "Slow protocol",
    "STP": "STP",
    "BOOTP": "DHCP",
    "IP": "IPv4",
    "LLDPDUEndOfLLDPDU": "LLDP end",
    "LLDPDUGenericOrganisationSpecific": "LLDP organisation specific",
    "LLDPDUPowerViaMDI": "LLDP power via MDI",
    "NTPHeader": "NTP",
}

#: class of scapy: its fields, one a line: scapy's name, filter or -, how the number reads or -, words.
FIELDS = {
    "Ether": """
        dst  eth.dst   -  destination
        src  eth.src   -  source
        type eth.type  -  type
    """,
    "Dot3": """
        dst  eth.dst  -      destination
        src  eth.src  -      source
        len  eth.len  bytes  length
    """,
    "Dot1Q": """
        prio  vlan.priority  -    priority
        dei   vlan.dei       set  drop eligible
        vlan  vlan.id        dec  VLAN
        type  vlan.etype     -    type
    """,
    "Dot1AD": """
        prio  ieee8021ad.priority  -    priority
        dei   ieee8021ad.dei       set  drop eligible
        vlan  ieee8021ad.id        dec  VLAN
        type  -                    -    type
    """,
    "ARP": """
        hwtype  arp.hw.type         -      hardware type
        ptype   arp.proto.type      -      protocol type
        hwlen   arp.hw.size         bytes  hardware size
        plen    arp.proto.size      bytes  protocol size
        op      arp.opcode          -      operation
        hwsrc   arp.src.hw_mac      -      sender hardware address
        psrc    arp.src.proto_ipv4  -      sender protocol address
        hwdst   arp.dst.hw_mac      -      target hardware address
        pdst    arp.dst.proto_ipv4  -      target protocol address
    """,
    "IP": """
        version  ip.version      dec    version
        ihl      ip.hdr_len      words  header length
        tos      ip.dsfield      hex    differentiated services
        len      ip.len          bytes  total length
        id       ip.id           hex    identification
        flags    ip.flags        -      flags
        frag     ip.frag_offset  at8    fragment offset
        ttl      ip.ttl          dec    time to live
        proto    ip.proto        -      protocol
        chksum   ip.checksum     hex    header checksum
        src      ip.src          -      source
        dst      ip.dst          -      destination
    """,
    "IPOption": """
        copy_flag  ip.opt.type.copy    yes  copied into fragments
        optclass   ip.opt.type.class   -    class
        option     ip.opt.type.number  -    option
        length     ip.opt.len          bytes  length
    """,
    "IPv6": """
        version  ipv6.version  dec    version
        tc       ipv6.tclass   hex    traffic class
        fl       ipv6.flow     hex    flow label
        plen     ipv6.plen     bytes  payload length
        nh       ipv6.nxt      -      next header
        hlim     ipv6.hlim     dec    hop limit
        src      ipv6.src      -      source
        dst      ipv6.dst      -      destination
    """,
    "IPv6ExtHdrHopByHop": """
        nh   ipv6.hopopts.nxt  -          next header
        len  ipv6.hopopts.len  extension  length
    """,
    "IPv6ExtHdrDestOpt": """
        nh   ipv6.dstopts.nxt  -          next header
        len  ipv6.dstopts.len  extension  length
    """,
    "IPv6ExtHdrRouting": """
        nh       ipv6.routing.nxt      -          next header
        len      ipv6.routing.len      extension  length
        type     ipv6.routing.type     -          type
        segleft  ipv6.routing.segleft  dec        segments left
    """,
    "IPv6ExtHdrSegmentRouting": """
        nh         ipv6.routing.nxt                -          next header
        len        ipv6.routing.len                extension  length
        type       ipv6.routing.type               -          type
        segleft    ipv6.routing.segleft            dec        segments left
        lastentry  ipv6.routing.srh.last_entry   dec        last entry
        tag        ipv6.routing.srh.tag            hex        tag
    """,
    "IPv6ExtHdrFragment": """
        nh      ipv6.fraghdr.nxt             -    next header
        res1    ipv6.fraghdr.reserved_octet  hex  reserved
        offset  ipv6.fraghdr.offset          at8  fragment offset
        res2    ipv6.fraghdr.reserved_bits   dec  reserved bits
        m       ipv6.fraghdr.more            yes  more fragments
        id      ipv6.fraghdr.ident           hex  identification
    """,
    "ICMP": """
        type        icmp.type       -      type
        code        icmp.code       -      code
        chksum      icmp.checksum   hex    checksum
        id          icmp.ident      hex    identifier
        seq         icmp.seq        dec    sequence number
        gw          icmp.redir_gw   -      gateway
        nexthopmtu  icmp.mtu        bytes  MTU of the next hop
        length      icmp.length     words  length of the quoted packet
        ts_ori      -               -      originate timestamp
        ts_rx       -               -      receive timestamp
        ts_tx       -               -      transmit timestamp
    """,
    "_ICMPv6": """
        type   icmpv6.type      -    type
        code   icmpv6.code      -    code
        cksum  icmpv6.checksum  hex  checksum
    """,
    "_ICMPv6Error": """
        type   icmpv6.type      -    type
        code   icmpv6.code      -    code
        cksum  icmpv6.checksum  hex  checksum
    """,
    "ICMPv6MLReport2": "res  icmpv6.code  dec  code",
    "ICMPv6MLDMultAddrRec": """
        rtype           icmpv6.mldr.mar.record_type        -    record type
        auxdata_len     icmpv6.mldr.mar.aux_data_len       dec  auxiliary data length
        sources_number  icmpv6.mldr.mar.nb_sources         dec  sources
        dst             icmpv6.mldr.mar.multicast_address  -    group
    """,
    "ICMPv6PacketTooBig": """
        mtu    icmpv6.mtu  bytes  MTU
    """,
    "ICMPv6EchoRequest": """
        id    icmpv6.echo.identifier       hex  identifier
        seq   icmpv6.echo.sequence_number  dec  sequence number
    """,
    "ICMPv6EchoReply": """
        id    icmpv6.echo.identifier       hex  identifier
        seq   icmpv6.echo.sequence_number  dec  sequence number
    """,
    "ICMPv6ND_RS": "res  icmpv6.reserved  hex  reserved",
    "ICMPv6ND_RA": """
        chlim           icmpv6.nd.ra.cur_hop_limit    dec  current hop limit
        M               icmpv6.nd.ra.flag.m           set  managed addresses
        O               icmpv6.nd.ra.flag.o           set  other configuration
        H               icmpv6.nd.ra.flag.h           set  home agent
        prf             icmpv6.nd.ra.flag.prf         -    router preference
        P               icmpv6.nd.ra.flag.p           set  proxy
        routerlifetime  icmpv6.nd.ra.router_lifetime  s    router lifetime
        reachabletime   icmpv6.nd.ra.reachable_time   ms   reachable time
        retranstimer    icmpv6.nd.ra.retrans_timer    ms   retransmission timer
    """,
    "ICMPv6ND_NS": """
        res  icmpv6.reserved              hex  reserved
        tgt  icmpv6.nd.ns.target_address  -    target
    """,
    "ICMPv6ND_NA": """
        R    icmpv6.nd.na.flag.r          set  router
        S    icmpv6.nd.na.flag.s          set  solicited
        O    icmpv6.nd.na.flag.o          set  override
        tgt  icmpv6.nd.na.target_address  -    target
    """,
    "ICMPv6ND_Redirect": """
        tgt  -                                 -  target
        dst  icmpv6.rd.na.destination_address  -  destination
    """,
    "_ICMPv6NDGuessPayload": """
        type  icmpv6.opt.type    -       type
        len   icmpv6.opt.length  eights  length
    """,
    "ICMPv6NDOptUnknown": """
        type  icmpv6.opt.type    -       type
        len   icmpv6.opt.length  eights  length
    """,
    "ICMPv6NDOptSrcLLAddr": "lladdr  icmpv6.opt.linkaddr  -  link-layer address",
    "ICMPv6NDOptDstLLAddr": "lladdr  icmpv6.opt.linkaddr  -  link-layer address",
    "ICMPv6NDOptRouteInfo": """
        plen    icmpv6.opt.prefix.length  dec  prefix length
        prefix  icmpv6.opt.prefix         -    prefix
    """,
    "ICMPv6NDOptMTU": "mtu  icmpv6.opt.mtu  bytes  MTU",
    "ICMPv6NDOptPrefixInfo": """
        prefixlen          icmpv6.opt.prefix.length              dec  prefix length
        L                  icmpv6.opt.prefix.flag.l              set  on-link
        A                  icmpv6.opt.prefix.flag.a              set  autonomous addresses
        R                  icmpv6.opt.prefix.flag.r              set  router address
        validlifetime      icmpv6.opt.prefix.valid_lifetime      s    valid lifetime
        preferredlifetime  icmpv6.opt.prefix.preferred_lifetime  s    preferred lifetime
        prefix             icmpv6.opt.prefix                     -    prefix
    """,
    "TCP": """
        sport     tcp.srcport         dec    source port
        dport     tcp.dstport         dec    destination port
        seq       tcp.seq_raw         dec    sequence number
        ack       tcp.ack_raw         dec    acknowledgment number
        dataofs   tcp.hdr_len         words  header length
        reserved  tcp.flags.res       dec    reserved
        flags     -                   -      flags
        window    tcp.window_size_value  bytes  window
        chksum    tcp.checksum        hex    checksum
        urgptr    tcp.urgent_pointer  dec    urgent pointer
    """,
    "UDP": """
        sport   udp.srcport   dec    source port
        dport   udp.dstport   dec    destination port
        len     udp.length    bytes  length
        chksum  udp.checksum  hex    checksum
    """,
    "BOOTP": """
        op      dhcp.type       -      message
        htype   dhcp.hw.type    hex    hardware type
        hlen    dhcp.hw.len     bytes  hardware address length
        hops    dhcp.hops       dec    hops
        xid     dhcp.id         hex    transaction
        secs    dhcp.secs       s      elapsed
        flags   dhcp.flags      -      flags
        ciaddr  dhcp.ip.client  -      client address
        yiaddr  dhcp.ip.your    -      your address
        siaddr  dhcp.ip.server  -      next server
        giaddr  dhcp.ip.relay   -      relay agent
        chaddr  -               -      client hardware address
        sname   dhcp.server     -      server name
        file    dhcp.file       -      boot file
        options dhcp.cookie     -      magic cookie
    """,
    "VXLAN": """
        flags     -           -    flags
        vni       vxlan.vni   dec  network identifier
    """,
    "GRE": """
        chksum_present   gre.flags.checksum             set  checksum present
        routing_present  gre.flags.routing              set  routing present
        key_present      gre.flags.key                  set  key present
        seqnum_present   gre.flags.sequence_number      set  sequence number present
        strict_route_source  gre.flags.strict_source_route  set  strict source route
        recursion_control    gre.flags.recursion_control    dec  recursion control
        flags            gre.flags.reserved             hex  reserved
        version          gre.flags.version              dec  version
        proto            gre.proto                      -    protocol
        chksum           gre.checksum                   hex  checksum
        key              gre.key                        hex  key
        sequence_number  gre.sequence_number            dec  sequence number
    """,
    "VirtioNetHdr": """
        flags        vnet.flags        -      flags
        gso_type     vnet.gso_type     -      segmentation
        hdr_len      vnet.hdr_len      bytes  header length
        gso_size     vnet.gso_size     bytes  segment size
        csum_start   vnet.csum_start   dec    checksum start
        csum_offset  vnet.csum_offset  dec    checksum offset
        num_buffers  vnet.num_buffers  dec    buffers
    """,
}

#: (class, scapy's field): parts of it, one a line: start, length, filter or -, how it reads, words.
PARTS = {
    ("IP", "tos"): """
        0 6 ip.dsfield.dscp dec codepoint
        6 2 ip.dsfield.ecn  dec congestion notification
    """,
    ("IP", "flags"): """
        0 1 ip.flags.rb set reserved
        1 1 ip.flags.df set don't fragment
        2 1 ip.flags.mf set more fragments
    """,
    ("IPv6", "tc"): """
        0 6 ipv6.tclass.dscp dec codepoint
        6 2 ipv6.tclass.ecn  dec congestion notification
    """,
    ("TCP", "flags"): """
        0 1 tcp.flags.ae    set accurate congestion notification
        1 1 tcp.flags.cwr   set congestion window reduced
        2 1 tcp.flags.ece   set congestion echo
        3 1 tcp.flags.urg   set urgent
        4 1 tcp.flags.ack   set acknowledgment
        5 1 tcp.flags.push  set push
        6 1 tcp.flags.reset set reset
        7 1 tcp.flags.syn   set synchronise
        8 1 tcp.flags.fin   set finish
    """,
    ("BOOTP", "flags"): """
        0 1  dhcp.flags.bc       set broadcast
        1 15 dhcp.flags.reserved hex reserved
    """,
    ("VirtioNetHdr", "flags"): """
        0 5 -               dec reserved
        5 1 vnet.rsc_info   set coalesced segments are counted
        6 1 vnet.data_valid set checksums were verified
        7 1 vnet.needs_csum set checksum is left to do
    """,
}
