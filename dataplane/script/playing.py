"""Playing a scenario: one step at a time, and what each came to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from dataplane.bare import Bare
from dataplane.pair import Pair
from dataplane.records import Side
from dataplane.script import actions as a
from dataplane.script.expect import Expectation, Verdict, judge
from dataplane.script.facts import Moment
from dataplane.script.hands import Hands
from dataplane.script.moving import Failed, Moving, Stopped
from dataplane.script.table import ScenarioError
from dataplane.script.watched import Watched
from dataplane.script.wire import Wire
from dataplane.snapshot import Array

if TYPE_CHECKING:
    from dataplane.script.document import Scenario


@dataclass(frozen=True)
class Result:
    """One expectation and how it was found."""

    line: int
    key: str
    text: str
    holds: bool
    there: str  #: what is there, in words


@dataclass(frozen=True)
class Outcome:
    """What one step came to. `failure` is one line with file, line and key, "" where all is well."""

    step: a.Step
    results: tuple[Result, ...]
    failure: str
    stopped: tuple[str, ...]  #: breakpoints that ended it
    rows: Array  #: its events (`records.EVENT`) without the words of a side's own, the newest 4096


class Played:
    """A scenario being played: `step` does the next `[[do]]`."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.outcomes: list[Outcome] = []
        self.moving: Moving | None = None
        self.hands: Hands | None = None
        self._wire: Wire | None = None
        self.beat: Callable[[], None] | None = (
            None  #: called 15 times a second while both sides are at liberty
        )
        self._watched: Watched | None = None  #: where something is expected to be found
        try:
            self.source: Pair | Bare = self._bare() if scenario.bare else self._pair()
        except (ValueError, RuntimeError, OSError) as error:
            self.close()
            table = "ring" if scenario.bare else "pair"
            raise ScenarioError(scenario.file, scenario.line, table, str(error)) from None

    def _pair(self) -> Pair:
        self.source = pair = Pair(frozen=True, **self.scenario.options)
        self._wire = Wire(pair)
        pair.start()
        self.moving = Moving(pair, self._wire)
        if any(one.diagnosed for step in self.scenario.steps for _, _, one in step.expect):
            self._watched = Watched(pair)
        if self.scenario.settle:
            try:
                self.moving.settle()
            except Failed as error:
                raise RuntimeError(f"the pair does not come to rest: {error}") from None
        return pair

    def _bare(self) -> Bare:
        self.source = rings = Bare(**self.scenario.options)
        self.hands = Hands(rings)
        return rings

    @property
    def pair(self) -> Pair:
        """The pair; RuntimeError where the scenario is about bare rings."""
        if not isinstance(self.source, Pair):
            raise RuntimeError("these are bare rings: there is no pair")
        return self.source

    @property
    def at(self) -> int:
        """Steps done."""
        return len(self.outcomes)

    @property
    def next(self) -> a.Step | None:
        """The step that comes next."""
        return None if self.done else self.scenario.steps[self.at]

    @property
    def failed(self) -> bool:
        return bool(self.outcomes and self.outcomes[-1].failure)

    @property
    def done(self) -> bool:
        """Whether the last step is done, or one has failed."""
        return self.failed or self.at >= len(self.scenario.steps)

    @property
    def expectations(self) -> tuple[Result, ...]:
        """Everything that was looked at so far."""
        return tuple(result for outcome in self.outcomes for result in outcome.results)

    def step(self) -> Outcome:
        """Does the next step and looks at what it expects. IndexError behind the last one.

        A pair that somebody has let go meanwhile is brought to rest before.
        """
        step = self.scenario.steps[self.at]
        if isinstance(self.source, Pair) and not self.source.frozen:
            self.source.freeze()
        mover = self.moving or self.hands
        assert mover is not None
        mover.journal.begin()
        failure = ""
        results: tuple[Result, ...] = ()
        try:
            if step.action is not None:
                self._act(step.action)
        except Stopped:
            pass
        except (Failed, RuntimeError, ValueError, LookupError) as error:
            there = ScenarioError(self.scenario.file, step.key_line, step.key, str(error))
            failure = f"{there}, in step {step.number}"
        if self._wire is not None:
            self._wire.pump()
        if self._watched is not None:
            self._watched.look()
        if not failure and step.expect:
            results = self._look(step)
            failure = next((self._broken(step, one) for one in results if not one.holds), "")
        stopped = self.moving.stopped if self.moving else ()
        outcome = Outcome(step, results, failure, stopped, mover.journal.rows)
        self.outcomes.append(outcome)
        return outcome

    def _look(self, step: a.Step) -> tuple[Result, ...]:
        moment = self.moment([one for _, _, one in step.expect])
        found = []
        for line, key, one in step.expect:
            verdict = judge(one, self.scenario.stage.tree, moment)
            found.append(Result(line, key, one.text, verdict.holds, verdict.there))
        return tuple(found)

    def _broken(self, step: a.Step, one: Result) -> str:
        after = f"after step {step.number}" + (f", {step.text}" if step.text else "")
        what = f"expected {one.text}: {one.there}, {after}"
        return str(ScenarioError(self.scenario.file, one.line, one.key, what))

    def moment(self, asked: Iterable[Expectation] | None = None) -> Moment:
        """What expectations are held against now; the rows of those queues that they name, None: of all."""
        snapshot = self.source.snapshot(None if asked is None else self._named(asked))
        if self.moving is None or self._wire is None:
            assert self.hands is not None
            return Moment(snapshot, self.hands.journal.counts, {}, {}, self.hands.step)
        ways = self._wire.ways
        traffic = {"to_device": ways[Side.DRIVER].count(), "to_driver": ways[Side.DEVICE].count()}
        moving = self.moving
        found = self._watched.found if self._watched is not None else ()
        return Moment(snapshot, moving.journal.counts, traffic, moving.hits, {"ack": moving.ack}, found)

    def _named(self, asked: Iterable[Expectation]) -> set[int]:
        queues = self.scenario.stage.queues
        return {queues[name].index for one in asked for name in one.names if name in queues}

    def _act(self, action: a.Action) -> None:
        if self.hands is not None:
            assert isinstance(action, a.Hand)
            self.hands.act(action)
            return
        moving = self.moving
        assert moving is not None
        match action:
            case a.Send():
                moving.send(action)
            case a.Walk(items):
                moving.walk(items)
            case a.Whole():
                moving.whole(action)
            case a.Until(condition, sides, limit):
                self._until(condition, sides, limit)
            case a.Free(seconds):
                moving.free(seconds, self._watched, self.beat)
            case a.Inject():
                moving.inject(action)
            case a.Heal(name):
                moving.heal(name)
            case a.Break(name, rule, _):
                moving.set_break(name, rule)
            case a.Clear(name):
                moving.clear(name)
            case a.Probe(what, queue, _):
                (self.pair.kick if what == "kick" else self.pair.call)(queue)
            case a.Reset(queue, _):
                self.pair.reset_queue(queue)
            case a.Command():
                moving.command(action)
            case a.Announce():
                self.pair.announce()
            case a.Trace(level):
                self.pair.trace(level)

    def _until(self, condition: Expectation | None, sides: tuple[Side, ...], limit: int) -> None:
        assert self.moving is not None
        if condition is None:
            self.moving.until(sides, None, limit)
            return

        def verdict() -> Verdict:
            return judge(condition, self.scenario.stage.tree, self.moment([condition]))

        try:
            self.moving.until(sides, lambda: verdict().holds, limit)
        except Failed as error:
            raise Failed(f"{error}: {verdict().there}") from None

    def close(self) -> None:
        """Ends the rings."""
        if hasattr(self, "source"):
            self.source.close()
        if self._wire is not None:
            self._wire.close()

    def __enter__(self) -> Played:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
