"""`ringscope peers`: what can be attached to here, and what others are started with."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex

from dataplane.vhost.sockets import Socket, listening
from inspector.cli import OK
from inspector.commands.attached import lately
from inspector.commands.serving import invitations
from inspector.sanitise import clean

_DISKS = "qemu-storage-da"  #: as a process is called: at most 15 characters
_OURS = "/tmp/ring.sock"


def peers(options: argparse.Namespace) -> int:
    """Prints them, as lines or as one JSON object."""
    found = [one for one in listening() if one.kind or options.all]
    if options.json:
        told = [dataclasses.asdict(one) | {"command": offer(one)} for one in found]
        print(json.dumps({"listening": told, "lately": lately(), "to_start": dict(invitations(_OURS))}))
        return OK
    print("sockets that listen here" if found else "no socket listens here that looks like vhost-user")
    for one in found:
        print(clean(f"  {one.path}  {whose(one)}"))
        print(clean(f"      {offer(one)}"))
    if not options.all:
        print("(--all lists every socket with a path)")
    if lines := lately():
        print("\nattached to lately")
        for line in lines:
            print(clean(f"  {line}"))
    print("\nto be somebody's device")
    print(clean(f"  ringscope device --listen {_OURS}, and start"))
    for who, line in invitations(_OURS):
        print(clean(f"  {who:16} {line}"))
    print("\nto be the driver of somebody's device")
    print(f"  {'DPDK':16} dpdk-testpmd --no-pci --vdev net_vhost0,iface={_OURS} -- -i")
    print(f"  then             ringscope driver --connect {_OURS}")
    print("\nto stand between the two")
    print(f"  ringscope tap --listen /tmp/guest.sock --connect {_OURS}, and start the driver's side")
    print("  with /tmp/guest.sock")
    return OK


def whose(one: Socket) -> str:
    if one.kind == "relay":
        return f"a relay of ours{f', process {one.pid}' if one.pid else ''}"
    if one.kind in ("device", "driver"):
        return f"ringscope {one.kind}, process {one.pid}"
    return f"{one.process}, process {one.pid}" if one.pid else "of another user"


def offer(one: Socket) -> str:
    """The command that attaches to it."""
    path = shlex.quote(one.path)
    if one.kind == "relay":
        return f"ringscope tap --attach {path}"
    front = shlex.quote(f"{one.path}.front")
    blocks = " --device-type blk" if one.process.startswith(_DISKS) else ""
    return f"ringscope tap --listen {front} --connect {path}   or   ringscope driver --connect {path}{blocks}"
