"""Moving bare rings by the verbs of a scenario, as two careful hands would."""

from __future__ import annotations

from dataplane.bare import BURST, Bare, Done, Piece, Taken
from dataplane.records import Side
from dataplane.script.actions import Hand
from dataplane.script.moving import Failed, Journal
from dataplane.snapshot import Array
from dataplane.source import Cursor


class Hands:
    """Bare rings, and what the device has taken from each and not completed."""

    def __init__(self, rings: Bare) -> None:
        self.rings = rings
        self.journal = Journal(self._pull)
        self.step = dict.fromkeys(("moved", "answer", "length", "id"), 0)
        self._held: dict[int, list[Taken]] = {}

    def _pull(self, cursor: Cursor) -> tuple[Array, Cursor]:
        events = self.rings.events(cursor, most=1 << 16)
        return events.rows, events.cursor

    def act(self, hand: Hand) -> None:
        """Does one verb; what it gave is in `step`. Failed where it cannot be done."""
        self.step = dict.fromkeys(self.step, 0)
        try:
            if hand.side == Side.DRIVER:
                self._driver(hand)
            else:
                self._device(hand)
        except (ValueError, RuntimeError) as error:
            raise Failed(str(error)) from None
        finally:
            self.journal.read()

    def _driver(self, hand: Hand) -> None:
        rings, ring = self.rings, hand.ring
        match hand.verb:
            case "add":
                for _ in range(hand.count):
                    pieces = [Piece(rings.place(length), length, w) for length, w in hand.pieces]
                    head = rings.add(pieces, hand.table, ring)
                    if head is None:
                        break
                    self.step["moved"] += 1
                    self.step["id"] = head
            case "publish":
                rings.publish(ring)
            case "kick_needed":
                self.step["answer"] = rings.kick_needed(ring)
            case "calls_on":
                self.step["answer"] = rings.calls_on(ring)
            case "calls_off":
                rings.calls_off(ring)
            case "collect":
                while self._more(hand) and (back := rings.collect(ring)):
                    self.step["moved"] += 1
                    self.step["length"], self.step["id"] = back.length, back.head

    def _device(self, hand: Hand) -> None:
        rings, ring = self.rings, hand.ring
        match hand.verb:
            case "next":
                while self._more(hand) and (taken := rings.next(ring)):
                    self._held.setdefault(ring, []).append(taken)
                    self.step["moved"] += 1
                    self.step["length"], self.step["id"] = taken.writable, taken.id
            case "complete":
                self._complete(hand)
            case "flush":
                rings.flush(ring)
            case "call_needed":
                self.step["answer"] = rings.call_needed(ring)
            case "kicks_on":
                self.step["answer"] = rings.kicks_on(ring)
            case "kicks_off":
                rings.kicks_off(ring)

    def _more(self, hand: Hand) -> bool:
        """Whether one more is wanted; a ring has at most 32,768, so that "all" ends."""
        return self.step["moved"] < (hand.count or 32768)

    def _complete(self, hand: Hand) -> None:
        held = self._held.setdefault(hand.ring, [])
        if hand.id >= 0:
            chosen = [taken for taken in held if taken.id == hand.id]
            if not chosen:
                raise Failed(f"the device holds no buffer with id {hand.id}")
        else:
            chosen = held[: hand.count or len(held)]
        if len(chosen) < hand.count:
            raise Failed(
                f"the device holds {len(held)} buffer{'s' if len(held) != 1 else ''}: take some first"
            )
        done: list[Done] = [taken.done(hand.length) for taken in chosen]
        if hand.batch and len(done) > BURST:
            raise Failed(f"a batch has at most {BURST} buffers")
        for at in range(0, len(done), BURST):
            self.rings.complete(done[at : at + BURST], hand.batch, hand.ring)
        for taken in chosen:
            held.remove(taken)
        self.step["moved"] = len(chosen)
