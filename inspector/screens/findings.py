"""What is wrong, where, why, and what now?

The findings of the moment shown, then those that are over; below them the way of a buffer through the queue
of the chosen one, and all that is known of it. Where nothing is wrong: what is being watched, and how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import Screen

from dataplane.rules import manners, standing
from dataplane.rules.doctor import STUCK
from dataplane.rules.finding import Finding, Level
from inspector import leading
from inspector.past.travel import Place
from inspector.tick import Selection, Tick
from inspector.widgets.findingrows import calm, lasted, rows, sign
from inspector.widgets.findings import FindingList, FindingPage
from inspector.widgets.flow import Flow
from inspector.widgets.keys import key

if TYPE_CHECKING:
    from inspector.app import RingscopeApp
    from inspector.session import Session

_RULES = tuple(rule.__name__.replace("_", " ").strip() for rule in (*standing.RULES, *manners.RULES))


class Body(Vertical):
    """Everything between the first line and the last ones."""

    def on_resize(self, event: events.Resize) -> None:
        cast("FindingsScreen", self.screen).fit()


class FindingsScreen(Screen[None]):
    """The findings of one source."""

    HELP = "What is wrong, where, why, and what now?"
    BINDING_GROUP_TITLE = "Findings"
    FOOT_FIRST = ("findings.open", "finding.go", "finding.back", "findings.moment", "findings.probe")
    BINDINGS: ClassVar[list[BindingType]] = [
        key("findings.pane", "tab,shift+tab", "pane", "pane", "The list, or the page of the chosen finding"),
        key("findings.moment", "m", "moment", "when", "Go to the moment it began", show=True),
        key("findings.probe", "P", "app.open('probe')", "probe", "Send one spare kick or call", show=True),
    ]
    DEFAULT_CSS = """
    FindingsScreen {
        #body { height: 1fr; }
        FindingList { height: 3; }
        Flow { height: 2; }
        FindingPage { height: 1fr; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: Tick | None = None
        self._of: tuple[object, ...] | None = None  #: the finding on the page
        self._came = False  #: whether a finding was there to be chosen since the screen came up

    def compose(self) -> ComposeResult:
        with Body(id="body"):
            yield FindingList(id="found")
            yield Flow(id="flow")
            yield FindingPage(id="page")

    def on_mount(self) -> None:
        self.query_one(Flow).titled = False
        self.query_one(FindingList).focus()

    @property
    def ringscope(self) -> RingscopeApp:
        return cast("RingscopeApp", self.app)

    @property
    def chosen(self) -> Finding | None:
        """The finding on the page."""
        return self.query_one(FindingList).chosen

    # what is shown

    def show(self, tick: Tick) -> None:
        """Show a newer reading, or a moment of the past."""
        self._shown = tick
        listed = self.query_one(FindingList)
        now = tick.snapshot.time
        past = self.ringscope.session.doctor.past
        over = tuple(one for one in reversed(tuple(past)) if one.until <= now)
        listed.put((*tick.findings, *over), now, self._named)
        if tick.findings and not self._came:
            self._came = True
            self._first(listed, tick)
        self.fit()
        self._page()

    def _first(self, listed: FindingList, tick: Tick) -> None:
        """Of the queue that is selected, if something is wrong with it; else the gravest."""
        queue = self.ringscope.session.selection.queue
        wrong = [at for at, one in enumerate(tick.findings) if one.queue == queue and one.level > Level.INFO]
        listed.choose(wrong[0] if wrong else 0)

    def _named(self, queue: int | None) -> str:
        return "device" if queue is None else self.ringscope.session.queue_name(queue)

    def _page(self) -> None:
        tick, listed, page = self._shown, self.query_one(FindingList), self.query_one(FindingPage)
        flow = self.query_one(Flow)
        if tick is None:
            return
        chosen = listed.chosen
        width = max(page.size.width, 20)
        if chosen is None:
            session = self.ringscope.session
            told = calm(tick.snapshot, dict(tick.meters), STUCK, _RULES, width)
            page.put(
                [("watching", "text"), (f"  {session.source.identity.name}", "muted")],
                told,
                self._of is not None,
            )
            self._of = None
        else:
            name = self._named(chosen.queue)
            of = (*chosen.key, chosen.since)
            mark, meaning = sign(chosen)
            ago = "over, lasted" if chosen.until else "for"
            head = [
                (f"{mark} {chosen.code}", meaning),
                (f"  {name}", "strong"),
                (f" · {ago} {lasted(chosen, tick.snapshot.time)} · {chosen.confidence}", "muted"),
            ]
            page.put(head, rows(chosen, name, tick.snapshot.time, width), of != self._of)
            self._of = of
        selected = self.ringscope.session.selection.queue
        flow.selected = chosen.queue if chosen is not None and chosen.queue is not None else selected
        flow.show(tick)

    def fit(self) -> None:
        """As many lines of the list as there are findings, up to a third of the screen."""
        listed, height = self.query_one(FindingList), self.query_one("#body").size.height
        listed.styles.height = 1 + max(1, min(len(listed.all), max(height // 3 - 2, 2)))

    def selection_changed(self, selection: Selection) -> None:
        """Another queue may be selected: the way of its buffers is shown where nothing is wrong."""
        self._page()

    def copy_text(self) -> str | None:
        """The page of the finding as text."""
        page = self.query_one(FindingPage)
        head = "".join(f"{text} " for text, _ in page.head).strip()
        return "\n".join((head, *(row.text.rstrip() for row in page.rows)))

    def explanations(self) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        """What the signs of the list mean."""
        signs = (
            ("✗", "the queue does not do what it is for"),
            ("▲", "costs something, or will"),
            ("·", "worth knowing, nothing is wrong"),
            ("✓", "is over; it stays in the list with how long it lasted"),
            ("certain", "nothing else explains what is seen"),
            ("likely", "nothing explains it better; possible: one of several"),
        )
        return (("A finding", signs),)

    # what keys and clicks do

    @on(FindingList.Moved)
    def _moved(self, message: FindingList.Moved) -> None:
        message.stop()
        chosen = self.chosen
        if chosen is not None and chosen.queue is not None:
            self.ringscope.select(queue=chosen.queue, slot=None)
        self._page()

    @on(FindingList.Opened)
    def _opened(self, message: FindingList.Opened) -> None:
        message.stop()
        page = self.query_one(FindingPage)
        page.focus()
        page.to_evidence()

    @on(FindingPage.Left)
    def _left(self, message: FindingPage.Left) -> None:
        message.stop()
        self.query_one(FindingList).focus()

    @on(FindingPage.Followed)
    async def _followed(self, message: FindingPage.Followed) -> None:
        message.stop()
        chosen, evidence = self.chosen, message.evidence
        if chosen is None:
            await leading.show_slot(self.ringscope, None, None)
            return
        await leading.show_slot(self.ringscope, chosen.queue, evidence.slot if evidence is not None else None)

    def action_moment(self) -> None:
        """The whole app goes to the moment since which the chosen finding stood."""
        chosen = self.chosen
        if chosen is None:
            self.ringscope.tell("nothing was found, so there is no moment to go to", "muted")
            return
        since, code = chosen.since, chosen.code

        def lead(session: Session, _: int | None) -> Place:
            number = session.history.number_at(since)
            return Place(
                number, f"{code}: nothing has moved there since this moment; 3 shows what came before"
            )

        self.ringscope.seek(lead)

    def action_pane(self) -> None:
        page, listed = self.query_one(FindingPage), self.query_one(FindingList)
        (listed if page.has_focus else page).focus()
