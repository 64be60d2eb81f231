"""What is wrong with a scenario is said in one line with file, line and key; nothing else ever comes out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.scenario import TEXT_MAX, ScenarioError, load

PAIR = "[pair]\nqueue_size = 4\n[[do]]\n"
RING = "[ring]\nqueue_size = 4\n[[do]]\n"


def wrong(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        load(text, name="q.toml").open().close()
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    "text, said",
    [
        # the text itself
        ("[pair\n", ":1: not TOML: "),
        ("[pair]\na = 1\na = \n", ":3: not TOML: "),
        ('[pair]\nx = """\n\n', ":4: not TOML: "),
        ("[pair]\nsize = 4\nsize = 4\n", ":3: size: not TOML: it was given above already"),
        ("[pair]\r\n\r\n [ pair ]\r\n", ":3: pair: not TOML: it was given above already"),
        ("pair = {}\npair.mtu = 1", ":2: pair.mtu: not TOML: it was given above already"),
        ("a = 1\na = \"\"\"\n=\"\"\"", ":3: not TOML: it was given above already"),
        ("\na = " + "[" * 5000, ":2: this is nested too deeply"),
        ("\n\na = " + "9" * 5000 + "\n", ":3: a number of that many digits cannot be read"),
        # what there is at the top
        ("", ":1: a [pair] is missing, or a [ring]"),
        ("[pair]\n", ":1: there is no step: write [[do]]"),
        ("[pair]\n[ring]\n[[do]]\nsay='x'", ":2: ring: a scenario has one [pair] or one [ring]"),
        ("pair = 3\n[[do]]\nsay='x'", ":1: pair: a table is wanted, not 3"),
        ("do = 3\n[pair]\n", ":1: do: a list of steps is wanted: [[do]]"),
        ("do = [3]\n[pair]\n", ":1: do[1]: a table is wanted, not 3"),
        ("[piar]\n[[do]]\nsay='x'", ":1: piar: no such key; did you mean pair?"),
        ("tilte = 'x'\n[pair]\n[[do]]\nsay='x'", ":1: tilte: no such key; did you mean title?"),
        # the pair
        ("[pair]\nlayout = 'spilt'\n", ":2: pair.layout: 'spilt' is not known; did you mean split?"),
        ("[pair]\nqueue_size = 6\n", ":2: pair.queue_size: 6 is not a power of two, which a split"),
        ("[pair]\nqueue_size = 0\n", ":2: pair.queue_size: 0 is out of range: 1 to 32768"),
        ("[pair]\nqueue_size = '8'\n", ":2: pair.queue_size: a whole number is wanted, not '8'"),
        ("[pair]\nqueue_size = true\n", ":2: pair.queue_size: a whole number is wanted, not true"),
        ("[pair]\nmtu = 2020-01-01\n", ":2: pair.mtu: a whole number is wanted, not 2020-01-01"),
        ("[pair]\nqueue_sise = 8\n", ":2: pair.queue_sise: no such key; did you mean queue_size?"),
        ("[pair]\nfeatures = '+evnt_idx'\n", ":2: pair.features: no feature is called 'evnt_idx'"),
        ("[pair]\nfeatures = [1]\n", ":2: pair.features[1]: a text is wanted, not 1"),
        ("[pair]\npath = 'indirect'\nfeatures = '-indirect_desc'\n", ":2: pair.path: the indirect path"),
        ("[pair]\nlayout = 'packed'\nqueue_size = 5\nstart_index = 5\n", ":4: pair.start_index: a packed"),
        ("[pair]\nfeatures = '-ctrl_vq'\n[[do]]\nsay = 'x'", ":1: pair: the device refuses the features"),
        ("[ring]\nfeatures = '+csum'\n", ":2: ring.features: csum: bare rings know"),
        ("[ring]\nrings = 17\n", ":2: ring.rings: 17 is out of range: 1 to 16"),
        # frames
        ("[frames]\na = 'udp'\n[pair]\n[[do]]\nsay='x'", ":2: frames.a: the bytes of the whole frame are"),
        ("[frames]\na = 'upd 64'\n[pair]\n[[do]]\nsay='x'", ":2: frames.a: 'upd' is no form of frame; did"),
        ("[frames]\na = 'udp 20'\n[pair]\n[[do]]\nsay='x'", ":2: frames.a: udp of 20 bytes is out of range"),
        ("[frames]\na = 'hex 0g'\n[pair]\n[[do]]\nsay='x'", ":2: frames.a: not hexadecimal"),
        ("[frames]\na = 'hex 00'\n[pair]\n[[do]]\nsay='x'", ":2: frames.a: a frame of 1 bytes is out"),
        ("[frames.a]\npcap='x'\n[pair]\n[[do]]\nsay='x'", ":2: frames.a.pcap: a capture can only be read"),
        ("[frames.a]\npacp='x'\n[pair]\n[[do]]\nsay='x'", ":1: frames.a: pcap is missing"),
        ("[frames]\n[ring]\n[[do]]\nsay='x'", ":1: frames: bare rings carry no frames"),
        # steps
        (PAIR, ":3: do[1]: a step says, does or expects something; there are send, step, until"),
        (
            "[frames]\nhello = 'udp 64'\n[pair]\n[[do]]\nsend = 'helo'",
            ":5: do[1].send: 'helo' is no form of frame; did you mean hello?",
        ),
        (PAIR + "expect = 'tx0.used_idx = 1'", ":4: do[1].expect: '=' has no place in an expectation; "),
        (
            PAIR + "fault = 'drop_store'\nby = 'device'\narea = 'avail_idx'",
            ":4: do[1].fault: the driver writes avail_idx",
        ),
        (
            PAIR + "fault = 'drop_store'\nby = 'device'\narea = 'device_event'",
            ":6: do[1].area: a split ring has no device_event; there are desc,",
        ),
        (PAIR + "sned = 'udp 64'", ":4: do[1].sned: no such key; did you mean send?"),
        (PAIR + "say='x'\n[[do]]\nsend='udp 64'\nstep='driver'", ":7: do[2].step: one step does one thing"),
        (PAIR + "say = 3", ":4: do[1].say: a text is wanted, not 3"),
        (PAIR + "driver = 'publish'", ":4: do[1].driver: driver is not for a [pair]"),
        (RING + "send = 'udp 64'", ":4: do[1].send: send is not for a [ring]"),
        (PAIR + "send = 3", ":4: do[1].send: a text or a list of texts is wanted, not 3"),
        (PAIR + "send = 'udp -64'", ":4: do[1].send: udp of -64 bytes is out of range: 46 to 65589"),
        (PAIR + f"send = 'udp {10**20}'", f":4: do[1].send: udp of {10**20} bytes is out of range: 46 to"),
        (PAIR + "send = 'udp nan'", ":4: do[1].send: the bytes of the whole frame are wanted"),
        (PAIR + "send = 'udp 64'\nqueue = 'tx1'", ":5: do[1].queue: there is no queue 'tx1'; did you mean"),
        (PAIR + "send = 'udp 64'\nqueue = 'ctl'", ":5: do[1].queue: frames go through rx and tx queues"),
        (PAIR + "send = 'udp 64'\ncount = 10001", ":5: do[1].count: 10001 is out of range: 1 to 10000"),
        (PAIR + "send = 'udp 64'\nnet_header = '00'", ":5: do[1].net_header: 10 or 12 bytes are wanted"),
        (PAIR + "send = [\n'udp 64',\n'x']", ":6: do[1].send[2]: 'x' is no form of frame"),
        (PAIR + "step = 'driver 3 storse'", ":4: do[1].step: 'storse' is no unit: stores, operations"),
        (PAIR + "step = 'diver'", ":4: do[1].step: 'diver' is no side: driver or device"),
        (PAIR + "step = 'driver until kick on tx7'", ":4: do[1].step: there is no queue 'tx7'"),
        (PAIR + "step = 'driver 0 stores'", ":4: do[1].step: 0 is out of range: 1 to 1,000,000"),
        (PAIR + "step = '0 packets'", ":4: do[1].step: 0 is out of range: 1 to 10000"),
        (PAIR + "until = 'quite'", ":4: do[1].until: 'quite' is not known; did you mean quiet?"),
        (PAIR + "until = 'quiet'\nby = 'me'", ":5: do[1].by: 'me' is not known"),
        (PAIR + "until = 'quiet'\nlimit = 0", ":5: do[1].limit: 0 is out of range: 1 to 200000"),
        (PAIR + "run = 11", ":4: do[1].run: 11 is out of range: 0.001 to 10"),
        (PAIR + "run = nan", ":4: do[1].run: nan is out of range: 0.001 to 10"),
        (PAIR + "fault = 'lose_kik'", ":4: do[1].fault: 'lose_kik' is not known; did you mean lose_kick?"),
        (PAIR + "fault = 'drop_store'", ":3: do[1]: by is missing"),
        (PAIR + "fault = 'lose_kick'\nby = 'device'", ":4: do[1].fault: lose_kick is a fault of the driver"),
        (PAIR + "fault = 'drop_store'\nby = 'driver'\narea = 'x'", ":6: do[1].area: 'x' is not known"),
        (PAIR + "fault = 'lose_kick'\nname = 'A b'", ":5: do[1].name: 'A b' is no name"),
        (PAIR + "fault = 'lose_kick'\n[[do]]\nfault = 'lose_kick'", ":5: do[2]: there is a lose_kick alread"),
        (PAIR + "heal = 'x'", ":4: do[1].heal: there is no 'x'; there is all"),
        (PAIR + "probe = 'nudge'", ":4: do[1].probe: 'nudge' is not known; there are kick and call"),
        (PAIR + "reset = 'tx9'", ":4: do[1].reset: there is no queue 'tx9'"),
        (PAIR + "command = 'RX_PROMIS'", ":4: do[1].command: 'RX_PROMIS' is not known"),
        (PAIR + "command = 'RX_PROMISC'\ndata = 'x'", ":5: do[1].data: hexadecimal is wanted"),
        (PAIR + "announce = false", ":4: do[1].announce: true is the only value there is"),
        (PAIR + "trace = 'all'", ":4: do[1].trace: 'all' is not known; there are off, operations and stores"),
        (PAIR + "break = 'tx0 publsh'", ":4: do[1].break: "),
        (PAIR + "break = 'finding'", ":4: do[1].break: the engine cannot look at this by itself"),
        (PAIR + "break = 'bpf udp'", ":4: do[1].break: "),
        (RING + "driver = 'next'", ":4: do[1].driver: 'next' is no verb of the driver; there are add"),
        (RING + "driver = 'add 12'", ':4: do[1].driver: a buffer is written "add readable 12, writable'),
        (RING + "driver = 'add writable 1, readable 1'", ":4: do[1].driver: readable pieces stand before"),
        (RING + "driver = 'add readable 0'", ":4: do[1].driver: a piece of 0 bytes is out of range"),
        (RING + "driver = 'publish 3'", ":4: do[1].driver: nothing stands after publish: not '3'"),
        (RING + "device = 'complete id x'", ":4: do[1].device: after complete stands nothing, a number"),
        (RING + "driver = 'publish'\ntable = true", ":5: do[1].table: no such key"),
        (RING + "driver = 'publish'\nqueue = 'ring1'", ":5: do[1].queue: there is no queue 'ring1'"),
    ],
)  # fmt: skip
def test_mistakes(text: str, said: str) -> None:
    assert wrong(text).startswith(f"q.toml{said}"), wrong(text)


@pytest.mark.parametrize(
    "expected, said",
    [
        ("", "an expectation is empty"),
        ("1 == 1", "it asks for nothing of the rings"),
        ("tx1.used == 0", "there is no tx1; did you mean tx0?"),
        ("tx0.usd == 0", "tx0 has no usd; did you mean used?"),
        ("tx0 == 0", "tx0 has several fields"),
        ("tx0.desc == 0", "tx0.desc has 4 rows: which? tx0.desc[0]"),
        ("tx0.desc[0] == 0", "tx0.desc[0] has several fields; there are addr, len, flags and next"),
        ("tx0.desc[4].len == 0", "tx0.desc has no row 4; they are numbered 0 to 3"),
        ("tx0.used[1] == 0", "tx0.used has no rows to number"),
        ("tx0.used.x == 0", "tx0.used is a number and has no x"),
        ("tx0.desc[0].id == 0", "tx0.desc[0] has no id"),
        ("tx0.desc[x].id == 0", "the number of a row is wanted after tx0.desc["),
        ("tx0.desc[0", "a ] is missing after tx0.desc[0"),
        ("tx0.used = 1", "'=' has no place in an expectation"),
        ("tx0.used == ", "a name or a number is wanted, and nothing comes after '=='"),
        ("tx0.used == 1 == 1", "what is '==' after '1'? one comparison each"),
        ("tx0.used == 0x", "what is 'x' after '0'? one comparison each"),
        ("tx0.used == one", "one is no word for tx0.used; it is a number"),
        ("tx0.kick.answer == snt", "snt is no word for tx0.kick.answer; did you mean sent?"),
        ("tx0.owner[0] == availble", "availble is no word for tx0.owner[0]; did you mean available?"),
        ("tx0.desc[0].flags has NXT", "NXT is no word for tx0.desc[0].flags"),
        ("tx0.used has NEXT", "has asks for flags, and tx0.used has none"),
        ("tx0.used == 99999999999999999999999", "99999999999999999999999 is larger than anything in a ring"),
        ("hits.x == 0", "there is no hits"),
        ("tx0.used == " + "1 + " * 200 + "1", "an expectation of"),
        ("tx0.driver_off == 0", "tx0 has no driver_off"),
        ("tx0.used == 0; import os", "';' has no place in an expectation"),
        ("tx0.__class__ == 0", "tx0 has no __class__"),
        ("step.moved == 0", "there is no step"),
    ],
)  # fmt: skip
def test_expectations_that_cannot_be(expected: str, said: str) -> None:
    text = f"{PAIR}say = 'x'\nexpect = [\n  'status has DRIVER_OK',\n  '{expected}',\n]"
    assert wrong(text).startswith(f"q.toml:7: do[1].expect[2]: {said}"), wrong(text)


def test_too_much() -> None:
    assert "20,000 frames at most" in wrong(PAIR + "send='udp 64'\ncount=10000\n[[do]]\n" * 2 + "send='arp'")
    assert "30 seconds at most" in wrong(PAIR + "run = 10.0\n[[do]]\n" * 3 + "run = 1")
    assert "1001 steps are too many: 1000 at most" in wrong(PAIR + "say = 'x'\n[[do]]\n" * 1000 + "say = 'x'")


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    with pytest.raises(FileNotFoundError):
        load(file)
    file.write_bytes(b"[pair]\n\xff\n")
    with pytest.raises(ScenarioError, match=r"a\.toml:2: this is not UTF-8 text"):
        load(file)
    file.write_bytes("\ufeff# as some editors begin a file\n[pair]\n[[do]]\nsay = 'x'".encode())
    assert len(load(file).steps) == 1
    file.write_bytes(b"#" * (TEXT_MAX + 1))
    with pytest.raises(ScenarioError, match="a scenario of more than 1,048,576 bytes is none"):
        load(file)


_PIECES = st.sampled_from(
    [
        "[pair]", "[ring]", "[[do]]", "[frames]", "queue_size = 4", "send = 'udp 64'", "until = 'quiet'",
        "say = 'x'", "expect = ['tx0.used == 0']", "expect = 'ring0.size'", "step = 'driver 2 stores'",
        "driver = 'publish'", "device = 'next all'", "count = 3", "queue = 'tx0'", "by = 'driver'",
        "name = 'a'", "fault = 'drop_store'", "layout = 'packed'", "features = '+in_order'", "title = 3",
        "x = {}", "do = []", "pcap = '/etc/passwd'", "break = 'kick'", "heal = 'all'",
        "driver = 'add readable 3'", "limit = 5", "table = true", "\0", "'", "=",
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(_PIECES, max_size=14))
def test_whatever_is_written(pieces: list[str]) -> None:
    """It plays, or is refused in one line."""
    try:
        scenario = load("\n".join(pieces))
    except ScenarioError as error:
        assert "\n" not in str(error)
        return
    with scenario.open() as played:
        while not played.done:
            played.step()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_whatever_is_expected(expected: str) -> None:
    import json

    text = f"{PAIR}say = 'x'\nexpect = {json.dumps(expected)}\n"
    try:
        load(text)
    except ScenarioError as error:
        assert "\n" not in str(error)
