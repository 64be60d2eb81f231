"""Our ends for the tests against real peers: the doctor looks all the time, and counts are taken together."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from dataplane.network import Network
from dataplane.records import Role
from dataplane.rules.doctor import Doctor
from dataplane.rules.finding import Finding, Level
from dataplane.source import RingSource
from inspector.diagnosis import HERTZ, Diagnosis

FULL = os.environ.get("RINGSCOPE_FULL") == "1"  #: the long forms are asked for
both_layouts = pytest.mark.parametrize("layout", ["split", "packed"])
#: Of what is long and hardly knows the layout: both in the long forms.
one_layout = pytest.mark.parametrize("layout", ["split", "packed"] if FULL else ["packed"])


class Watch:
    """Reads a source as the screens do, and shows each reading to the doctor, in a thread of its own."""

    def __init__(self, source: RingSource) -> None:
        self.diagnosis = Diagnosis()
        self._source = source
        self._doctor = Doctor()
        self._failure: Exception | None = None
        self._news = threading.Condition()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="doctor", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        try:
            while not self._over.wait(1 / HERTZ):
                findings = self._doctor.look(self._source.snapshot())
                with self._news:
                    self.diagnosis.take(findings)
                    self._news.notify_all()
        except Exception as error:
            self._failure = error

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    @property
    def findings(self) -> list[Finding]:
        """All that was ever found and is more than worth knowing."""
        with self._news:
            return [one for one in self.diagnosis.found.values() if one.level > Level.INFO]

    def wait(self, code: str, seconds: float = 60.0) -> Finding:
        """The finding of this code once it is there; AssertionError with what was found instead."""

        def present() -> Finding | None:
            keys = [key for key in self.diagnosis.present if key[0] == code]
            return self.diagnosis.found[keys[0]] if keys else None

        with self._news:
            self._news.wait_for(lambda: present() is not None or not self._thread.is_alive(), seconds)
            found = present()
            told = [(one.code, one.queue, one.verdict) for one in self.diagnosis.found.values()]
        assert found is not None, f"{code} was not found in {seconds:g} s, but {told or 'nothing'}"
        return found


@contextmanager
def watched(source: Network) -> Iterator[Watch]:
    """The doctor looks meanwhile, and must have looked and found nothing at the end."""
    watch = Watch(source)
    try:
        yield watch
    finally:
        watch.close()
    assert watch.diagnosis.readings
    assert not watch.findings, [(one.code, one.queue, one.verdict) for one in watch.findings]


@dataclass(frozen=True, slots=True)
class Count:
    """What an end of ours has moved since it began, over all its queues; no connection ends these counts."""

    sent: int = 0
    received: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    drops: int = 0

    def __sub__(self, other: Count) -> Count:
        return Count(
            self.sent - other.sent,
            self.received - other.received,
            self.sent_bytes - other.sent_bytes,
            self.received_bytes - other.received_bytes,
            self.drops - other.drops,
        )


def counted(source: Network) -> Count:
    """Of whichever side is ours: the driver sends on transmit queues, the device on receive queues."""
    total = dict.fromkeys(("sent", "received", "sent_bytes", "received_bytes", "drops"), 0)
    for queue in source.snapshot(()).queues:
        half = queue.driver or queue.device
        assert half is not None
        assert not half.broken, f"{queue.name}: {half.broken!r}"
        way = "sent" if (queue.role == Role.TRANSMIT) == (queue.driver is not None) else "received"
        total[way] += half.frames
        total[f"{way}_bytes"] += half.bytes
        total["drops"] += half.drops
    return Count(**total)
