"""Captures that others made: the test captures inside source archives, fetched by name and hash.

The archives come through the clients that this machine has set up, apt's for Debian's sources and pip for
Python's, and are kept in the user's cache folder; nothing of them is in this repository. What tshark says
about all their Ethernet frames is read in batches of one merged file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from capture.play import MIX

LIST = Path(__file__).with_name("corpus.json")
SECONDS = 300  #: for one download
BATCH = 1_000  #: frames that tshark reads at a time: what it says of one takes up to a hundred kilobytes

#: What makes tshark's reading of a frame one of that frame alone, by its bytes alone.
PREFERENCES = (
    "ip.defragment:FALSE", "ipv6.defragment:FALSE", "tcp.desegment_tcp_streams:FALSE",
    "tcp.relative_sequence_numbers:FALSE", "tcp.analyze_sequence_numbers:FALSE", "eth.fcs:Never",
    "ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "udp.check_checksum:TRUE",
    "arp.detect_duplicate_ips:FALSE", "http.desegment_headers:FALSE", "http.desegment_body:FALSE",
)  # fmt: skip
#: The protocols whose fields are wanted; the rest is read all the same, and not printed.
PROTOCOLS = (
    "frame eth llc stp vlan ieee8021ad arp ip ipv6 icmp icmpv6 igmp tcp udp sctp dns mdns llmnr dhcp vxlan "
    "gre mpls ntp pppoes pppoed ppp slow lacp lldp dhcpv6 geneve syslog http ssdp tls _ws.malformed _ws.short"
)


class Missing(Exception):
    """The corpus cannot be had; one line why."""


@dataclass(frozen=True, slots=True)
class Read:
    """One frame: which file it is of, its bytes, its length on the wire, and tshark's layers."""

    source: str
    number: int  #: in the merged file
    data: bytes
    layers: dict[str, Any]


def cache() -> Path:
    """Where archives are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "ringscope", "corpus")


def archives() -> list[Path]:
    """All archives of the list, fetched where they are not in the cache yet. Missing if one cannot be had."""
    made = []
    for entry in json.loads(LIST.read_text())["archives"]:
        if "debian" in entry:
            path = cache() / Path(entry["debian"]).name
            get = _from_debian
        else:
            name, _, version = entry["python"].partition("==")
            path = cache() / f"{name}-{version}.tar.gz"
            get = _from_python
        if not _is(path, entry["sha256"]):
            path.parent.mkdir(parents=True, exist_ok=True)
            get(entry, path)
            if not _is(path, entry["sha256"]):
                raise Missing(f"{path.name} is not the file of the list")
        made.append(path)
    return made


def _is(path: Path, sha256: str) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _from_debian(entry: dict[str, Any], path: Path) -> None:
    """From the mirror that apt is set up with, by apt's own client, which checks the hash too."""
    helper = "/usr/lib/apt/apt-helper"
    if not Path(helper).exists():
        raise Missing("Debian's sources are fetched by apt, which is not here")
    listed = _run(["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI)"])
    mirrors = dict.fromkeys(line for line in listed.splitlines() if line.rstrip("/").endswith("/debian"))
    if not mirrors:
        raise Missing("apt is set up with no mirror of Debian")
    mirror = next(iter(mirrors)).rstrip("/")
    _run([helper, "download-file", f"{mirror}/{entry['debian']}", str(path), f"SHA256:{entry['sha256']}"])


def _from_python(entry: dict[str, Any], path: Path) -> None:
    """From the index that pip is set up with; the hash is part of the requirement."""
    wanted = path.with_suffix(".txt")
    wanted.write_text(f"{entry['python']} --hash=sha256:{entry['sha256']}\n")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-build-isolation"]
    _run([*command, "--no-binary", ":all:", "-d", str(path.parent), "-r", str(wanted)])


def _run(command: list[str]) -> str:
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as why:
        raise Missing(f"{Path(command[0]).name}: {why}") from None
    if run.returncode:
        said = (run.stderr or run.stdout).strip().splitlines() or ["no message"]
        raise Missing(f"{Path(command[0]).name} ended with {run.returncode}: {said[-1]}")
    return run.stdout


def captures(folder: Path) -> list[Path]:
    """Every capture file of Ethernet frames in the archives, unpacked below `folder`."""
    for archive in archives():
        with tarfile.open(archive) as members:
            for member in members:
                if member.isfile() and member.name.endswith((".pcap", ".pcapng", ".cap", ".pcap.gz")):
                    inner = members.extractfile(member)
                    assert inner is not None
                    path = folder / archive.name / member.name.replace("/", "_")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(inner.read())
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    # a file that is broken on purpose has no line, and its place is found by its name
    run = subprocess.run(
        ["capinfos", "-T", "-m", "-r", "-E", *map(str, found)], capture_output=True, text=True, check=False
    )
    rows = [line.rsplit(",", 1) for line in run.stdout.splitlines()]
    return [Path(row[0].strip('"')) for row in rows if len(row) == 2 and row[1].strip('"') == "ether"]


def read(folder: Path) -> Iterator[Read]:
    """Every Ethernet frame of the corpus, and then our own mix, with what tshark says about it."""
    paths = captures(folder / "unpacked")
    with as_file(files("capture").joinpath(MIX)) as own:
        everything = [*paths, own]
        whole, merged = folder / "whole.pcapng", folder / "merged.pcapng"
        _run(["mergecap", "-a", "-I", "none", "-w", str(whole), *map(str, everything)])
        # with the keys that some files have tshark would read what no frame shows
        _run(["editcap", "--discard-all-secrets", str(whole), str(merged)])
        counts = subprocess.run(
            ["capinfos", "-T", "-m", "-r", "-c", *map(str, everything)],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
    sources = [
        Path(name.strip('"')).name
        for name, _, count in (line.rpartition(",") for line in counts.splitlines())
        for _ in range(int(count.strip('"')))
    ]
    _run(["editcap", "-c", str(BATCH), str(merged), str(folder / "batch.pcapng")])
    number = 0
    for batch in sorted(folder.glob("batch_*.pcapng")):
        for frame in _tshark(batch, folder / "read.json"):
            layers = frame["_source"]["layers"]
            source = sources[number]
            number += 1
            yield Read(source, number, bytes.fromhex(layers.get("frame_raw", [""])[0]), layers)
    assert number == len(sources), "frames were left out"


def _tshark(path: Path, answer: Path) -> list[Any]:
    """What tshark says of each frame of one file."""
    options = [word for preference in PREFERENCES for word in ("-o", preference)]
    with open(answer, "w+b") as file:
        run = subprocess.run(
            ["tshark", "-n", *options, "-r", str(path), "-T", "json", "-x", "--no-duplicate-keys",
             "-J", PROTOCOLS],
            stdout=file, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
        if run.returncode:
            raise Missing(f"tshark ended with {run.returncode}: {run.stderr.decode(errors='replace')[-200:]}")
        file.seek(0)
        frames: list[Any] = json.load(file)
    return frames


def lacking() -> str:
    """What is missing on this machine; "" where the corpus can be read."""
    missing = [tool for tool in ("tshark", "mergecap", "editcap", "capinfos") if not shutil.which(tool)]
    return f"{', '.join(missing)} not installed" if missing else ""
