"""More of the tables behind `dissection.names`: bridges, discovery, aggregation, providers, time."""

from __future__ import annotations

#: As `nametable.FIELDS`.
FIELDS = {
    "LLC": """
        dsap  llc.dsap     hex  destination service access point
        ssap  llc.ssap     hex  source service access point
        ctrl  llc.control  hex  control
    """,
    "SNAP": """
        OUI   llc.oui   hex  organisation
        code  llc.type  -    type
    """,
    "STP": """
        proto      stp.protocol    hex   protocol
        version    stp.version     dec   version
        bpdutype   stp.type        hex   type
        bpduflags  stp.flags       hex   flags
        rootid     -               dec   root priority
        rootmac    stp.root.hw     -     root address
        pathcost   stp.root.cost   dec   root path cost
        bridgeid   -               dec   bridge priority
        bridgemac  stp.bridge.hw   -     bridge address
        portid     stp.port        hex   port
        age        stp.msg_age     -     message age
        maxage     stp.max_age     -     maximum age
        hellotime  stp.hello       -     hello time
        fwddelay   stp.forward     -     forward delay
    """,
    "IGMP": """
        type    igmp.type      -       type
        mrcode  igmp.max_resp  tenths  maximum response time
        chksum  igmp.checksum  hex     checksum
        gaddr   igmp.maddr     -       group
    """,
    "IGMPv3": """
        type    igmp.type      -       type
        mrcode  igmp.max_resp  tenths  maximum response time
        chksum  igmp.checksum  hex     checksum
        numgrp  igmp.num_grp_recs  dec  group records
    """,
    "IGMPv3gr": """
        rtype    igmp.record_type   -    record type
        auxdlen  igmp.aux_data_len  dec  auxiliary data length
        numsrc   igmp.num_src       dec  sources
        maddr    igmp.maddr         -    group
    """,
    "NTP": """
        leap       ntp.flags.li         -        leap
        version    ntp.flags.vn         dec      version
        mode       ntp.flags.mode       -        mode
        stratum    ntp.stratum          dec      stratum
        poll       ntp.ppoll            power    poll interval
        precision  ntp.precision        -        precision
        delay      ntp.rootdelay        -        root delay
        dispersion ntp.rootdispersion   -        root dispersion
        ref        ntp.reftime          -        reference time
        orig       ntp.org              -        origin time
        recv       ntp.rec              -        receive time
        sent       ntp.xmt              -        transmit time
    """,
    "LACP": """
        version                lacp.version               hex  version
        actor_system_priority  lacp.actor.sys_priority    dec  actor system priority
        actor_system           lacp.actor.sysid           -    actor system
        actor_key              lacp.actor.key             dec  actor key
        actor_port_priority    lacp.actor.port_priority   dec  actor port priority
        actor_port_number      lacp.actor.port            dec  actor port
        actor_type             -                          dec  actor type
        actor_length           -                          bytes  actor length
        actor_state            -                          hex  actor state
        partner_type           -                          dec  partner type
        partner_length         -                          bytes  partner length
        partner_state          -                          hex  partner state
        partner_system_priority  -                        dec  partner system priority
        partner_port_priority  -                          dec  partner port priority
        collector_max_delay    -                          tens  collector maximum delay
        partner_system         lacp.partner.sysid         -    partner system
        partner_key            lacp.partner.key           dec  partner key
        partner_port_number    lacp.partner.port          dec  partner port
    """,
    "SlowProtocol": "subtype  slow.subtype  -  subtype",
    "LLDPDU": """
        _type                                lldp.tlv.type   -      type
        _length                              lldp.tlv.len    bytes  length
        ttl                                  -               s      time to live
        org_code                             -               -      organisation
        _management_address_string_length    -               bytes  address length
        management_address_subtype           -               dec    address family
        management_address                   -               -      address
        interface_numbering_subtype          -               -      interface numbering
        interface_number                     -               dec    interface
        _oid_string_length                   -               bytes  object identifier length
    """,
    "DHCP6": """
        msgtype  dhcpv6.msgtype  -    message
        trid     dhcpv6.xid      hex  transaction
    """,
    "DHCP6_RelayForward": """
        msgtype   dhcpv6.msgtype    -    message
        hopcount  dhcpv6.hopcount   dec  hops
        linkaddr  dhcpv6.linkaddr   -    link
        peeraddr  dhcpv6.peeraddr   -    peer
    """,
    "DHCP6OptIA_TA": "iaid  -  hex  association",
    "_DHCP6OptGuessPayload": """
        optcode      dhcpv6.option.type    -      option
        optlen       dhcpv6.option.length  bytes  length
        duid         -                     -      unique identifier
        reqopts      -                     -      options asked for
        elapsedtime  -                     -      elapsed
        iaid         dhcpv6.iaid           hex    association
        T1           dhcpv6.iaid.t1        s      renew after
        T2           dhcpv6.iaid.t2        s      rebind after
        ianaopts     -                     -      options
        iapdopt      -                     -      options
        preflft      -                     s      preferred lifetime
        validlft     -                     s      valid lifetime
        plen         -                     dec    prefix length
        addr         -                     -      address
        prefix       -                     -      prefix
        dnsservers   -                     -      name servers
        dnsdomains   -                     -      search domains
        prefval      -                     dec    preference
        statuscode   -                     -      status
        statusmsg    -                     -      message
    """,
    "SCTP": """
        sport   sctp.srcport           dec  source port
        dport   sctp.dstport           dec  destination port
        tag     sctp.verification_tag  hex  verification tag
        chksum  sctp.checksum          hex  checksum
    """,
    "SCTPChunkData": """
        type         -  -      type
        delay_sack   -  set    acknowledge without delay
        unordered    -  set    unordered
        beginning    -  set    first fragment
        ending       -  set    last fragment
        len          -  bytes  length
        tsn          -  hex    transmission sequence number
        stream_id    -  dec    stream
        stream_seq   -  dec    stream sequence number
        proto_id     -  -      payload protocol
    """,
    "HSRP": """
        hellotime  -  s  hello time
        holdtime   -  s  hold time
        auth       -  -  authentication
        virtualIP  -  -  virtual address
    """,
    "PPPoE": """
        version    pppoe.version         dec    version
        type       pppoe.type            dec    type
        code       pppoe.code            -      code
        sessionid  pppoe.session_id      hex    session
        len        pppoe.payload_length  bytes  payload length
    """,
    "PPP": "proto  ppp.protocol  -  protocol",
    "MPLS": """
        label  mpls.label   dec  label
        cos    mpls.exp     dec  traffic class
        s      mpls.bottom  yes  bottom of the stack
        ttl    mpls.ttl     dec  time to live
    """,
    "GENEVE": """
        version  geneve.version     dec  version
        oam      geneve.flags.oam   set  control message
        critical geneve.flags.critical  set  critical options
        proto    geneve.proto_type  -    protocol
        vni      geneve.vni         dec  network identifier
    """,
}

_LACP_STATE = """
        0 1 - set expired
        1 1 - set defaulted
        2 1 - set distributing
        3 1 - set collecting
        4 1 - set in sync
        5 1 - set aggregating
        6 1 - set short timeout
        7 1 - set active
"""

#: As `nametable.PARTS`.
PARTS = {("LACP", "actor_state"): _LACP_STATE, ("LACP", "partner_state"): _LACP_STATE}
