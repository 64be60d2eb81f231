"""`ringscope play`: a scenario checked without a screen, and on the screens with `;`."""

from __future__ import annotations

import json
import struct
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from dataplane.scenario import Played, load
from inspector.commands import playing
from inspector.commands.playing import DOORS
from inspector.screens.playing import PlayingApp, ScriptLines
from inspector.widgets.step import StepPanel
from tests.screens.by_hand import ByHand, text
from tests.screens.command import ringscope

SCENARIOS = Path(__file__).parents[1] / "scenarios"
SIZES = [(80, 24), (120, 40), (200, 60)]


# ---- without a screen ----------------------------------------------------------------------------------


def test_a_check_tells_what_is_done_and_found() -> None:
    done = ringscope("play", "--check", "tests/scenarios/lost_kick.toml")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "tests/scenarios/lost_kick.toml: A lost kick"
    assert lines[1] == "  1 fault lose_kick of the driver on tx0"
    assert "      ok  tx0.finding == KICK_MISSING" in lines
    assert "      until quiet" in lines and "      ok  hits.lose_kick == 1" in lines
    assert lines[-1] == "8 steps, 17 expectations: all hold"


def test_what_does_not_hold_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(
        "[pair]\n[[do]]\nsend = 'udp 64'\nexpect = [\n'tx0.used == 0',\n'tx0.used == 1']\n[[do]]\nsay='x'"
    )
    done = ringscope("play", "--check", str(file))
    assert done.returncode == 1
    assert done.stderr == (
        f"ringscope: {file}:6: do[1].expect[2]: expected tx0.used == 1: tx0.used is 0, "
        "after step 1, send udp 64 on tx0\n"
    )
    assert "      NOT tx0.used == 1: tx0.used is 0" in done.stdout and "  2 x" not in done.stdout


@pytest.mark.parametrize(
    "text, said",
    [
        ("[pair]\nqueue_sise = 4\n", ":2: pair.queue_sise: no such key; did you mean queue_size?"),
        ("[pair\n", ":1: not TOML: "),
        ("[pair]\n[[do]]\nsay = '\\x1b'\n[[do]]\nx\x7f = 1", ":5: "),
    ],
)
def test_mistakes(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "a.toml"
    file.write_text(text)
    done = ringscope("play", "--check", str(file))
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"ringscope: {file}{said}") and done.stderr.count("\n") == 1


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    done = ringscope("play", "--check", str(tmp_path / "none.toml"))
    assert (done.returncode, done.stderr) == (
        2,
        f"ringscope: {tmp_path}/none.toml: No such file or directory\n",
    )
    done = ringscope("play", "--check", str(tmp_path))
    assert (done.returncode, done.stderr) == (2, f"ringscope: {tmp_path}: Is a directory\n")


def test_without_a_terminal() -> None:
    done = ringscope("play", "tests/scenarios/chain.toml")
    assert done.returncode == 2 and "ringscope play --check" in done.stderr
    done = ringscope("play", "no/such.toml")
    assert (done.returncode, done.stderr) == (2, "ringscope: no/such.toml: No such file or directory\n")


def test_a_failure_on_the_screens_is_told_when_they_are_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[pair]\n[[do]]\nexpect = 'tx0.used == 1'\n")

    def shown(script: Played) -> int:
        script.step()
        return 1

    monkeypatch.setattr("inspector.screens.playing.run", shown)
    monkeypatch.setattr(playing, "has_terminal", lambda: True)
    assert playing.play(Namespace(file=str(file), check=False)) == 1
    assert capsys.readouterr().err.startswith(f"ringscope: {file}:3: do[1].expect: expected tx0.used == 1")


def test_as_json() -> None:
    done = ringscope("play", "--json", "tests/scenarios/chain.toml")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["ok"] and found["failure"] is None and found["left"] == 0
    assert [step["number"] for step in found["steps"]] == [1, 2, 3, 4, 5, 6, 7]
    first = found["steps"][0]
    assert first["does"] == "driver add readable 12, readable 1500, writable 1 on ring0"
    assert first["expect"][0] == {"line": 12, "text": "step.id == 0", "holds": True, "there": "step.id is 0"}


def test_foreign_text_is_spelt_out(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(
        'title = "\\u001b[31m\\u202e"\n[pair]\n[[do]]\nsay = "a\\u0007b"\nexpect = ["tx0.used == 1"]'
    )
    done = ringscope("play", "--check", str(file))
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr and "\x07" not in done.stdout
    assert "\\x1b[31m\\u202e" in done.stdout and "a\\x07b" in done.stdout


def test_captures_and_filters_are_opened_by_the_command(tmp_path: Path) -> None:
    frames = [bytes.fromhex("525400000002525400000001") + b"\x08\x06" + bytes([i]) * 50 for i in range(3)]
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    packets = (struct.pack("<IIII", i, 0, len(frame), len(frame)) + frame for i, frame in enumerate(frames))
    (tmp_path / "a.pcap").write_bytes(head + b"".join(packets))
    file = tmp_path / "a.toml"
    body = "[pair]\n[[do]]\nbreak = 'bpf arp'\nname = 'arp'\n[[do]]\nsend = 'web'\n[[do]]\nuntil = 'quiet'\n"
    file.write_text("[frames]\nweb = { pcap = 'a.pcap', last = 2 }\n" + body + "expect = ['hits.arp == 1']\n")
    with load(file, doors=DOORS).open() as played:
        while not played.done:
            played.step()
        assert not played.failed, played.outcomes[-1].failure
        assert played.moment().traffic["to_device"]["sent"] == 2
    (tmp_path / "a.pcap").write_bytes(b"no capture at all")
    with pytest.raises(ValueError, match=r"a\.toml:2: frames\.web\.pcap: "):
        load(file, doors=DOORS)
    file.write_text("[pair]\n[[do]]\nbreak = 'bpf arpp'\n")
    with pytest.raises(ValueError, match=r"a\.toml:3: do\[1\]\.break: "):
        load(file, doors=DOORS)


# ---- on the screens ------------------------------------------------------------------------------------


class Screens(ByHand, PlayingApp):
    """The screens of a scenario, read by hand."""

    async def next(self, pilot: Pilot[Any]) -> list[str]:
        """Press `;`, wait for what it does, and look; what the script's lines say."""
        await pilot.press("semicolon")
        await self.workers.wait_for_complete()
        await self.look(pilot)
        return self.script

    @property
    def script(self) -> list[str]:
        return text(self.view.query_one(ScriptLines))


def played(name: str) -> Played:
    return load(SCENARIOS / f"{name}.toml").open()


@pytest.mark.parametrize(
    "name, size",
    [
        *[("goes_round_packed", size) for size in SIZES],
        ("in_order", (120, 40)),
        ("missing_barrier", (120, 40)),
        ("reference", (80, 24)),
    ],
)
async def test_from_start_to_end(name: str, size: tuple[int, int]) -> None:
    with played(name) as one:
        app = Screens(one)  # type: ignore[arg-type]
        async with app.run_test(size=size) as pilot:
            await app.look(pilot, 2)
            assert one.scenario.title in app.script[0] and f"0/{len(one.scenario.steps)}" in app.script[0]
            assert one.scenario.about.split()[0] in app.script[1] and "; next step" in app.script[0]
            for step in one.scenario.steps:
                lines = await app.next(pilot)
                assert f"{step.number}/{len(one.scenario.steps)}" in lines[0]
                if step.say:
                    assert " ".join(step.say.split()[:3]) in lines[1]
                assert all(len(line) == size[0] for line in lines)
            assert not one.failed and "the end" in app.script[0]
            assert (await app.next(pilot)) == app.script and one.at == len(one.scenario.steps)


async def test_the_step_is_told_and_marked() -> None:
    with played("goes_round") as one:
        app = Screens(one)  # type: ignore[arg-type]
        async with app.run_test(size=(120, 40)) as pilot:
            await app.look(pilot, 2)
            assert app.session.selection.queue == 1  # the queue of which the script speaks
            for _ in range(4):
                await app.next(pilot)
            panel = "\n".join(text(app.rings.query_one(StepPanel)))
            assert "script 4" in panel and "has made 1 buffer available" in panel
            assert ("avail_idx", 0, "") in app.areas.marks


async def test_a_failure_stays_on_the_screen(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[pair]\n[[do]]\nexpect = ['tx0.used == 3']\n[[do]]\nsay = 'never'\n")
    with load(file, name="a.toml").open() as one:
        app = Screens(one)  # type: ignore[arg-type]
        async with app.run_test(size=(120, 40)) as pilot:
            await app.look(pilot, 2)
            lines = await app.next(pilot)
            assert "failed" in lines[0] and "0 of 1 hold" in lines[0]
            assert "a.toml:3: do[1].expect[1]: expected tx0.used == 3: tx0.used is 0" in lines[1]
            await app.next(pilot)
            assert one.at == 1


async def test_by_hand_in_between_and_from_the_past() -> None:
    """The script goes on from wherever the rings are, and from the past back to now."""
    with played("index_wraps") as one:
        app = Screens(one)  # type: ignore[arg-type]
        async with app.run_test(size=(120, 40)) as pilot:
            await app.look(pilot, 2)
            await app.next(pilot)
            await app.next(pilot)
            await pilot.press("comma")
            await app.workers.wait_for_complete()
            await pilot.pause()
            lines = await app.next(pilot)
            assert app.session.past is None and "3/4" in lines[0] and "4 of 4 hold" in lines[0]


async def test_the_lines_are_on_every_screen() -> None:
    with played("goes_round") as one:
        app = Screens(one)  # type: ignore[arg-type]
        async with app.run_test(size=(120, 40)) as pilot:
            await app.look(pilot, 2)
            for key in ("2", "3", "1"):
                await pilot.press(key)
                await app.look(pilot)
                await pilot.pause()
                assert len(app.view.query(ScriptLines)) == 1
            await pilot.press("2")
            assert "1/11" in (await app.next(pilot))[0]
