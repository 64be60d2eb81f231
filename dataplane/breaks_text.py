"""The language of breakpoints: one line each, read and written.

    tx0 published > 500          the count passes 500          kick quiet tx0     a kick was not wanted
    tx0 slot 7                   a buffer over slot 7 moves    wrap flips rx0     a wrap counter flips
    tx0 head 7                   a buffer with head 7 moves    broken             a side gives a queue up
    driver chain > 4             a buffer of 5 elements        drop filtered      a frame is dropped, and why
    bpf udp port 53              a frame matches (pcap-filter) filter dns         a frame matches (display)

Side, queue, `once`, `after N` and `if NAME < N and NAME > N` may stand before or behind what is waited for; a
filter takes the rest of its line, so that with a filter they stand before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from dataplane.breaks import (
    CONDITIONS_MAX,
    COUNTS,
    INDICES,
    OPERATORS,
    BreakRule,
    Condition,
    What,
)
from dataplane.records import DEVICE_STATE, DRIVER_STATE, Kind, Reason, Side
from dataplane.rules.codes import CODES, UnknownCode, find

EXAMPLES: tuple[tuple[str, str], ...] = (
    ("tx0 published > 500", "a count of buffers passes a value"),
    ("tx0 avail.idx > 65530", "so does a 16-bit index, every lap"),
    ("tx0 lap", "as many buffers as there are slots"),
    ("tx0 slot 7", "a buffer that holds slot 7 moves on"),
    ("rx0 head 7 once", "one with head 7; the first time only"),
    ("chain > 4", "a buffer has more than 4 elements"),
    ("kick sent tx0", "the driver sends a kick"),
    ("call quiet after 10", "no call is sent; 10 times let pass"),
    ("tx0 publish if free < 3", "an operation, and a condition"),
    ("wrap flips rx0", "a wrap counter of a packed queue"),
    ("bpf udp port 53", "a frame matches a capture filter"),
    ("filter dns", "a frame matches a display filter"),
    ("broken", "a side gives a queue up"),
    ("drop no_buffer", "a frame is dropped, for this reason"),
    ("finding", "something is found wrong"),
    ("finding kick_missing tx0", "this is found in this queue"),
)


#: Words for events that need no more: an operation of a side, or a change of the device.
EVENTS: Mapping[str, tuple[Kind, ...]] = MappingProxyType(
    {
        "add": (Kind.ADD,),
        "publish": (Kind.PUBLISH,),
        "next": (Kind.NEXT,),
        "complete": (Kind.COMPLETE,),
        "flush": (Kind.FLUSH,),
        "collect": (Kind.COLLECT,),
        "kick": (Kind.KICK, Kind.KICK_QUIET),
        "kick sent": (Kind.KICK,),
        "kick quiet": (Kind.KICK_QUIET,),
        "call": (Kind.CALL, Kind.CALL_QUIET),
        "call sent": (Kind.CALL,),
        "call quiet": (Kind.CALL_QUIET,),
        "notify on": (Kind.NOTIFY_ON,),
        "notify off": (Kind.NOTIFY_OFF,),
        "sleep": (Kind.WAIT,),
        "wake": (Kind.WAKE,),
        "status": (Kind.STATUS,),
        "control": (Kind.CONTROL,),
        "broken": (Kind.BROKEN,),
        "drop": (Kind.DROP,),
    }
)
_SECOND = {"kick": ("sent", "quiet"), "call": ("sent", "quiet"), "notify": ("on", "off")}
_REASONED = ("broken", "drop")
_SIDES = {"driver": Side.DRIVER, "device": Side.DEVICE}
_FILTERS = {"bpf": What.FRAME, "filter": What.FILTER}
_NUMBERED = {"slot": What.SLOT, "head": What.HEAD}
_SPELLED = {"avail_idx": "avail.idx", "used_idx": "used.idx"}
_STARTS = (
    "slot",
    "head",
    "chain",
    "lap",
    "wrap",
    "bpf",
    "filter",
    "finding",
    "kick",
    "call",
    "notify",
    *COUNTS,
    *INDICES,
    *(word for word in EVENTS if " " not in word),
)
_MODIFIERS = ("once", "after", "if", "and")
_TOKEN = re.compile(r"==|!=|<=|>=|[<>=]|[^\s<>=!]+|!")
_QUEUE = re.compile(r"[a-z]{1,8}\d{1,5}|ctl")
_MOST = (1 << 64) - 1
LONGEST = 4096  #: characters of a rule


class BreakError(ValueError):
    """A line that is no rule; characters `start` to `end` (not included) of it are wrong."""

    def __init__(self, message: str, start: int, end: int) -> None:
        first, last = start + 1, max(end, start + 1)
        where = f"character {first}" if last == first else f"characters {first} to {last}"
        super().__init__(f"{where}: {message}")
        self.message = message
        self.start, self.end = start, max(end, start + 1)


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class _Line:
    """The words of a line, taken one after the other."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [_Token(m.group(), m.start()) for m in _TOKEN.finditer(text)]
        self.at = 0

    def peek(self) -> _Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, wanted: str) -> _Token:
        token = self.peek()
        if token is None:
            end = len(self.text.rstrip())
            raise BreakError(f"here {wanted} is missing", end, end + 1)
        self.at += 1
        return token

    def word_is(self, *words: str) -> bool:
        token = self.peek()
        return token is not None and token.text.lower() in words

    def number(self, wanted: str, most: int = _MOST) -> int:
        token = self.take(wanted)
        try:
            value = int(token.text.replace(",", "").replace("_", ""), 0)
        except ValueError:
            raise BreakError(f"{wanted} is a number, not {token.text!r}", token.start, token.end) from None
        if not 0 <= value <= most:
            raise BreakError(f"{value} is out of range: 0 to {most}", token.start, token.end)
        return value

    def operator(self) -> tuple[str, _Token]:
        token = self.take("a comparison such as >")
        found = "==" if token.text == "=" else token.text
        if found not in OPERATORS:
            words = ", ".join(OPERATORS)
            raise BreakError(f"{token.text!r} is no comparison; there are {words}", token.start, token.end)
        return found, token


def _near(word: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def parse(
    line: str,
    *,
    compile: Callable[[str], bytes] | None = None,
    queues: Iterable[str] | None = None,
) -> BreakRule:
    """A line as a rule. `compile` makes a BPF program of a capture filter (what it raises passes through);
    `queues` are the names that exist. BreakError says which characters are wrong."""
    if len(line) > LONGEST:
        raise BreakError(f"a rule has at most {LONGEST} characters", LONGEST, len(line))
    words = _Line(line)
    if words.peek() is None:
        raise BreakError("a rule is missing: 'kick sent', 'tx0 slot 7', 'chain > 4' are some", 0, 1)
    rule: BreakRule | None = None
    side: Side | None = None
    queue: str | None = None
    once, skip = False, 0
    conditions: list[Condition] = []
    known = None if queues is None else tuple(queues)
    while (token := words.peek()) is not None:
        word = token.text.lower()
        if word == "once":
            words.at += 1
            once = True
        elif word == "after":
            words.at += 1
            skip = words.number("how many hits to let pass", (1 << 32) - 1)
        elif word == "if" or (word == "and" and conditions):
            words.at += 1
            if len(conditions) == CONDITIONS_MAX:
                raise BreakError(f"at most {CONDITIONS_MAX} conditions", token.start, len(line))
            conditions.append(_condition(words))
        elif word in _SIDES:
            words.at += 1
            if side is not None:
                raise BreakError("a side was named already", token.start, token.end)
            side = _SIDES[word]
        elif _starts(word):
            if rule is not None:
                raise BreakError("a rule waits for one thing", token.start, token.end)
            rule = _what(words, compile)
        else:
            words.at += 1
            if queue is not None and _QUEUE.fullmatch(word):
                raise BreakError("a queue was named already", token.start, token.end)
            if not _QUEUE.fullmatch(word):
                hint = _near(word, (*_STARTS, *_SIDES, *_MODIFIERS, *(known or ())))
                raise BreakError(f"{token.text!r} is not understood{hint}", token.start, token.end)
            if known is not None and word not in known:
                names = ", ".join(known)
                raise BreakError(f"no queue is called {word!r}; there are {names}", token.start, token.end)
            queue = word
    if rule is None:
        end = len(line.rstrip())
        raise BreakError(
            "what to wait for is missing: 'kick sent', 'slot 7', 'published > 500'", end, end + 1
        )
    return replace(rule, side=side, queue=queue, once=once, skip=skip, conditions=tuple(conditions))


def _starts(word: str) -> bool:
    return _SPELLED.get(word, word) in _STARTS


def _condition(words: _Line) -> Condition:
    token = words.take("a number of a side's own, such as free")
    name, side = token.text.lower(), None
    for prefix, each in _SIDES.items():
        if name.startswith(f"{prefix}."):
            name, side = name.removeprefix(f"{prefix}."), each
    fields = {Side.DRIVER: DRIVER_STATE.names or (), Side.DEVICE: DEVICE_STATE.names or ()}
    found = [each for each in ((side,) if side is not None else Side) if name in fields[each]]
    if not found:
        hint = _near(name, {*fields[Side.DRIVER], *fields[Side.DEVICE]})
        raise BreakError(f"{token.text!r} is no number of a side's own{hint}", token.start, token.end)
    operator, _ = words.operator()
    return Condition(found[0], name, operator, words.number("a number"))


def _more_than(words: _Line, most: int = _MOST) -> int:
    """What must be exceeded: `> 5`, `>= 6`, `passes 5`, `= 6`."""
    if words.word_is("passes"):
        words.at += 1
        return words.number("a number", most)
    operator, token = words.operator()
    at = words.peek()
    value = words.number("a number", most)
    if operator == ">":
        return value
    if operator in (">=", "=="):
        if value == 0:
            start = at.start if at else token.start
            raise BreakError("a count is never below 0, so it cannot come to 0", start, start + 1)
        return value - 1
    raise BreakError("a count only grows: > or >= is meant", token.start, token.end)


def _what(words: _Line, compile: Callable[[str], bytes] | None) -> BreakRule:
    token = words.take("what to wait for")
    word = _SPELLED.get(token.text.lower(), token.text.lower())
    if word in COUNTS:
        return BreakRule(What.PASSES, word, _more_than(words))
    if word in INDICES:
        return BreakRule(What.PASSES, word, _more_than(words, 0xFFFF))
    if word in _NUMBERED:
        return BreakRule(_NUMBERED[word], "", words.number("the number of a slot", 32767))
    if word in _FILTERS:
        start = token.end
        expression = words.text[start:].strip()
        if not expression:
            raise BreakError(
                f"a filter is missing behind {word!r}", len(words.text.rstrip()), len(words.text)
            )
        words.at = len(words.tokens)
        made = compile(expression) if compile is not None and word == "bpf" else b""
        return BreakRule(_FILTERS[word], expression=expression, program=made)
    match word:
        case "lap":
            return BreakRule(What.PASSES, "lap")
        case "chain":
            return BreakRule(What.CHAIN, "", _more_than(words, 1 << 20))
        case "finding":
            return BreakRule(What.FINDING, expression=_code(words))
        case "wrap":
            which = words.take("avail, used or flips").text.lower() if words.word_is("avail", "used") else ""
            flips = words.take("'flips'")
            if flips.text.lower() != "flips":
                raise BreakError("'flips' is what a wrap counter does", flips.start, flips.end)
            return BreakRule(What.WRAP, which)
    if word in _SECOND and words.word_is(*_SECOND[word]):
        word = f"{word} {words.take('').text.lower()}"
    if word not in EVENTS:
        following = words.take(" or ".join(_SECOND[word]))
        hint = " or ".join(_SECOND[word])
        raise BreakError(f"behind {word!r} stands {hint}", following.start, following.end)
    value = _reason(words) if word in _REASONED else 0
    kinds = sum(1 << kind for kind in EVENTS[word])
    return BreakRule(What.EVENT, word, value, kinds=kinds)


def _reason(words: _Line) -> int:
    """A reason by name behind `broken` or `drop`; 0 where none is given."""
    token = words.peek()
    name = token.text.upper().replace("-", "_") if token is not None else ""
    if name in Reason.__members__:
        words.at += 1
        return int(Reason[name])
    return 0


def _code(words: _Line) -> str:
    """The code of a finding behind `finding`; "" for any."""
    token = words.peek()
    if token is None or not ("_" in token.text or "-" in token.text or token.text.upper() in CODES):
        return ""
    words.at += 1
    try:
        return find(token.text).name
    except UnknownCode as error:
        raise BreakError(str(error), token.start, token.end) from None


def _waited(rule: BreakRule) -> str:
    match rule.what:
        case What.PASSES:
            return "lap" if rule.name == "lap" else f"{rule.name} > {rule.value}"
        case What.SLOT | What.HEAD:
            return f"{rule.what.name.lower()} {rule.value}"
        case What.CHAIN:
            return f"chain > {rule.value}"
        case What.FRAME:
            return f"bpf {rule.expression}"
        case What.FILTER:
            return f"filter {rule.expression}"
        case What.FINDING:
            return f"finding {rule.expression}" if rule.expression else "finding"
        case What.WRAP:
            return f"wrap {rule.name} flips" if rule.name else "wrap flips"
        case What.EVENT:
            return f"{rule.name} {Reason(rule.value).name.lower()}" if rule.value else rule.name


def text(rule: BreakRule) -> str:
    """The line of a rule in its plainest spelling: `parse(text(rule))` is the rule again."""
    before = [
        rule.side.name.lower() if rule.side is not None else "",
        rule.queue or "",
    ]
    behind = [f"{'and' if i else 'if'} {each.text}" for i, each in enumerate(rule.conditions)]
    behind += ["once"] if rule.once else []
    behind += [f"after {rule.skip}"] if rule.skip else []
    waited = _waited(rule)
    parts = [*before, *behind, waited] if rule.expression else [*before, waited, *behind]
    return " ".join(part for part in parts if part)
