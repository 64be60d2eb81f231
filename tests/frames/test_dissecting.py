"""The dissector: answers, and a reason with plain headers whenever its worker is of no use."""

from __future__ import annotations

import os
import queue
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.dissect import Dissector
from capture.dissection.headers import decode
from capture.fields import Field, Tree, field_at, walk
from capture.play import load_mix

FRAME = (
    bytes.fromhex(
        "525400000002 525400000001 0800 45000021 00070000 40110000 c0000201 c0000202 0001 0002 000d 0000"
    )
    + b"hello"
)
OPEN = (
    "import json, os, signal, socket, sys, time; f = socket.socket(fileno=int(sys.argv[1])).makefile('rwb');"
)
START = 150.0  #: seconds: a machine that has just installed everything reads it from its disk once more
READY = OPEN + "f.write(b'{}\\n'); f.flush(); line = f.readline();"

Ask = Callable[..., Tree]


@pytest.fixture
def asking() -> Iterator[Callable[..., tuple[Dissector, Ask]]]:
    """Makes dissectors that are closed in the end, each with a function that asks and waits."""
    made: list[Dissector] = []

    def make(code: str = "", wall: float = 20.0) -> tuple[Dissector, Ask]:
        trees: queue.Queue[Tree] = queue.Queue()
        options = {"command": (sys.executable, "-c", code)} if code else {}
        dissector = Dissector(trees.put, wall_seconds=wall, start_seconds=START, **options)  # type: ignore[arg-type]
        made.append(dissector)

        def ask(number: int, data: bytes = FRAME, net_header: bytes = b"") -> Tree:
            dissector.request(number, data, net_header)
            return trees.get(timeout=2 * START)

        return dissector, ask

    yield make
    for dissector in made:
        dissector.close()


Asking = Callable[..., tuple[Dissector, Ask]]


def names(tree: Tree) -> list[str]:
    return [layer.name for layer in tree.layers]


def test_layers_of_a_frame_and_its_net_header(asking: Asking) -> None:
    dissector, ask = asking()
    dissector.warm()
    tree = ask(7, FRAME, struct.pack("<BBHHHHH", 1, 1, 66, 1448, 34, 16, 3))
    assert (tree.number, tree.reason) == (7, "")
    assert names(tree) == ["virtio-net", "Ethernet", "IPv4", "UDP", "Raw"]
    head = {field.name: (field.text, field.bit_start, field.bit_length) for field in tree.layers[0].children}
    assert head == {
        "flags": ("NEEDS_CSUM (0x1)", 0, 8),
        "segmentation": ("TCPV4 (1)", 8, 8),
        "header length": ("66 bytes", 16, 16),
        "segment size": ("1448 bytes", 32, 16),
        "checksum start": ("34", 48, 16),
        "checksum offset": ("16", 64, 16),
        "buffers": ("3", 80, 16),
    }
    assert tree.layers[0].text == (
        "TCP super-frame, segments of 1448 bytes, checksum partial (left to the device, at 34+16), 3 buffers"
    )
    assert {field.kind for _, field in walk(tree.layers[:1])} == {"vnet"}
    assert dissector.poll() == tree
    assert dissector.poll() is None
    ttl = field_at(tree.layers, 22 * 8)
    assert ttl is not None
    assert (ttl.name, ttl.text, ttl.filter) == ("time to live", "64", "ip.ttl")
    first = field_at(tree.layers, 7, vnet=True)
    assert first is not None
    assert (first.name, first.filter) == ("checksum is left to do", "vnet.needs_csum")


def test_net_headers_of_other_lengths(asking: Asking) -> None:
    _, ask = asking()
    assert [field.name for field in ask(1, FRAME, bytes(10)).layers[0].children][-1] == "checksum offset"
    assert [field.name for field in ask(2, FRAME, bytes(20)).layers[0].children][-3:] == [
        "hash value",
        "hash report",
        "padding reserved",
    ]


def test_odd_frames_are_answered(asking: Asking) -> None:
    _, ask = asking()
    assert ask(1, b"").layers == ()
    assert names(ask(2, b"short")) == ["Raw"]
    assert ask(3, b"short").layers[0].children[0].text == "short"
    deep = ask(4, FRAME[:12] + b"\x81\0\0\1" * 400)
    assert names(deep)[-1] == "more"
    assert len(deep.layers) == 33


def test_a_frame_that_hangs_the_worker_costs_its_tree_and_no_other(asking: Asking) -> None:
    code = READY + "r = json.loads(line); time.sleep(600) if r['data'].startswith('ff') else None;"
    code += "f.write(b'{\"layers\": []}\\n'); f.flush(); f.readline()"
    _, ask = asking(code, 1.5)
    slow = ask(1, b"\xff" * 20)
    assert slow.reason == "the decoder took longer than 1.5 s on this frame"
    assert names(slow)[0] == "Ethernet"
    assert ask(2).reason == ""
    assert ask(3, b"\xff" * 20).reason == slow.reason


def test_a_frame_that_kills_the_worker(asking: Asking) -> None:
    _, ask = asking(READY + "os.kill(os.getpid(), signal.SIGSEGV)")
    assert ask(1).reason == "the decoder was killed by SIGSEGV on this frame"


def test_a_frame_that_takes_all_the_cpu(asking: Asking) -> None:
    _, ask = asking(
        "from capture.dissection.worker import _allow_cpu;" + READY + "_allow_cpu()\nwhile True: pass", 60
    )
    assert ask(1).reason == "the decoder was killed by SIGXCPU on this frame"


def test_a_worker_that_ends_says_its_last_words(asking: Asking) -> None:
    _, ask = asking(READY + "sys.exit('MemoryError \\x1b[31m')")
    assert ask(1).reason == "the decoder ended with status 1: MemoryError .[31m on this frame"


def test_nonsense_and_endless_answers(asking: Asking) -> None:
    for answer in (
        b"no json",
        b"[]",
        b'{"layers": [["a", "b", 0, 8, "odd", [], ""]]}',
        b'{"layers": [["a", "b", -1, 8, "field", [], ""]]}',
    ):
        _, ask = asking(READY + f"f.write({answer!r} + b'\\n'); f.flush(); f.readline()")
        assert ask(1).reason == "the decoder answered with nonsense"
    _, ask = asking(READY + "f.write(b'x' * (17 << 20)); f.flush(); f.readline()")
    assert "has no end" in ask(1).reason


def test_a_worker_that_does_not_start_is_left_alone(asking: Asking) -> None:
    _, ask = asking("raise SystemExit('no module named scapy')")
    for number in range(3):
        assert (
            ask(number).reason
            == "the decoder does not start: the decoder ended with status 1: no module named scapy"
        )
    assert ask(9).reason == "the decoder does not start"
    assert names(ask(10)) == ["Ethernet", "IPv4", "UDP", "data"]


def test_a_worker_that_ended_between_two_frames_is_replaced(asking: Asking) -> None:
    dissector, ask = asking()
    assert ask(1).reason == ""
    worker = dissector._worker
    assert worker is not None
    os.kill(worker.process.pid, 9)
    os.waitid(os.P_PID, worker.process.pid, os.WEXITED | os.WNOWAIT)
    assert ask(2).reason == ""


def test_workers_that_had_to_be_replaced_are_counted(asking: Asking) -> None:
    dissector, ask = asking(READY + "os.kill(os.getpid(), signal.SIGSEGV)")
    assert dissector.restarts == 0
    for number in range(3):
        ask(number, FRAME + bytes([number]))
    assert dissector.restarts == 3
    ask(9, FRAME + bytes([1]))  # refused before: asked no worker
    assert dissector.restarts == 3


def test_a_tree_here_and_now() -> None:
    dissector = Dissector()
    tree = dissector.dissect(5, FRAME)
    assert (tree.number, tree.reason) == (5, "")
    assert names(tree) == ["Ethernet", "IPv4", "UDP", "Raw"]
    worker = dissector._worker
    assert worker is not None
    dissector.close()
    assert worker.process.returncode is not None
    with pytest.raises(RuntimeError, match="the dissector is closed"):
        dissector.dissect(6, FRAME)


def test_only_the_newest_request_is_answered(asking: Asking) -> None:
    dissector, ask = asking()
    for number in range(50):
        dissector.request(number, FRAME)
    tree = ask(1000)
    while tree.number != 1000:
        tree = ask(1000)
    assert tree.reason == ""


def test_close_ends_the_worker_and_refuses_more(asking: Asking) -> None:
    dissector, ask = asking()
    ask(1)
    worker = dissector._worker
    assert worker is not None
    dissector.close()
    assert worker.process.returncode is not None
    dissector.close()
    with pytest.raises(RuntimeError, match="the dissector is closed"):
        dissector.request(2, FRAME)


def test_close_while_the_worker_hangs(asking: Asking) -> None:
    dissector, _ = asking(READY + "time.sleep(600)", 600)
    dissector.request(1, FRAME)
    while dissector._worker is None:
        os.sched_yield()
    dissector.close()
    assert dissector._thread is not None
    assert not dissector._thread.is_alive()


def test_the_worker_has_limits() -> None:
    code = (
        "import resource as r, socket; from capture.dissection import worker\n"
        "ours, theirs = socket.socketpair(); ours.shutdown(socket.SHUT_WR)\n"
        "worker.main([str(theirs.detach())])\n"
        "print(*[r.getrlimit(which)[0] for which in (r.RLIMIT_AS, r.RLIMIT_NOFILE, r.RLIMIT_CORE)])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == [str(512 << 20), "16", "0"]


def test_plain_headers_of_every_frame_of_the_mix_are_whole() -> None:
    for frame in load_mix():
        layers = decode(frame.data, frame.net_header)
        at = 0
        for layer in layers:
            if layer.kind == "vnet":
                continue
            assert layer.bit_start == at
            at += layer.bit_length
            assert_inside(layer)
        assert at == len(frame.data) * 8


def assert_inside(field: Field) -> None:
    at = field.bit_start
    for child in field.children:
        assert child.bit_start == at
        assert child.bit_length > 0
        at += child.bit_length
        assert_inside(child)
    assert not field.children or at == field.bit_start + field.bit_length


def test_plain_headers_of_cut_frames() -> None:
    for size in range(len(FRAME)):
        layers = decode(FRAME[:size], b"\1" * (size % 13))
        assert sum(layer.bit_length for layer in layers if layer.kind != "vnet") == size * 8


@given(
    st.binary(max_size=100),
    st.sampled_from([b"", b"\x08\0", b"\x86\xdd", b"\x08\x06", b"\x88\xa8"]),
    st.binary(max_size=20),
)
def test_plain_headers_of_any_bytes(data: bytes, kind: bytes, net_header: bytes) -> None:
    data = bytes(12) + kind + data
    layers = decode(data, net_header)
    assert sum(layer.bit_length for layer in layers if layer.kind != "vnet") == len(data) * 8
    for layer in layers:
        assert_inside(layer)
