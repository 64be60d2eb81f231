"""Small expressions over one moment of a queue: what a lesson claims, asks and shows.

    evaluate("avail_idx == was.avail_idx + 1", facts(snapshot, "tx0", before))

The text is parsed by Python's own parser and then walked by hand: there are names of the ring, numbers,
arithmetic and comparisons, and nothing else. Nothing is looked up in an object, so nothing can be reached.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from dataplane import layout as spec
from dataplane.records import Owner
from dataplane.snapshot import AnyQueue, DeviceState, DriverState, Notify, Snapshot, SplitQueue

Scalar = int | str
Value = Any  #: a scalar, or a table of them: `Mapping` by name or `Sequence` by index

_MEMORY = "memory()"  #: no name that an expression can spell
_LONGEST = 400  #: characters of an expression
_BITS = 128  #: of any number on the way

OWNERS = {
    Owner.FREE: "free",
    Owner.AVAILABLE: "available",
    Owner.IN_USE: "in use",
    Owner.USED: "used",
    Owner.UNKNOWN: "unknown",
}
CONSTANTS: dict[str, int] = {
    "NEXT": spec.DESC_F_NEXT,
    "WRITE": spec.DESC_F_WRITE,
    "INDIRECT": spec.DESC_F_INDIRECT,
    "AVAIL": spec.PACKED_F_AVAIL,
    "USED": spec.PACKED_F_USED,
    "ENABLE": spec.EVENT_ENABLE,
    "DISABLE": spec.EVENT_DISABLE,
    "DESC": spec.EVENT_DESC,
    "NO_INTERRUPT": spec.AVAIL_F_NO_INTERRUPT,
    "NO_NOTIFY": spec.USED_F_NO_NOTIFY,
}


class FactError(ValueError):
    """An expression that cannot be read or worked out: one line."""


class _Rows(Sequence[Value]):
    """Rows of a table, made when they are asked for."""

    def __init__(self, length: int, row: Callable[[int], Value]) -> None:
        self._length, self._row = length, row

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Value:
        if not isinstance(index, int) or not 0 <= index < self._length:
            raise FactError(f"there is no row {index}; they are numbered 0 to {self._length - 1}")
        return self._row(index)


def _records(array: Any) -> _Rows:
    names = array.dtype.names
    return _Rows(len(array), lambda i: dict(zip(names, array[i].tolist(), strict=True)))


def _numbers(array: Any) -> _Rows:
    return _Rows(len(array), lambda i: int(array[i]))


def _state(state: DriverState | DeviceState | None, notify: str) -> Mapping[str, Value]:
    if state is None:
        return {}
    known = {name: value for name, value in asdict(state).items() if name != notify}
    return {name: int(value) for name, value in known.items()}


def _notify(notify: Notify | None) -> Mapping[str, Value]:
    return asdict(notify) if notify is not None else {}


def of_queue(queue: AnyQueue) -> dict[str, Value]:
    """The names of one queue."""
    driver, device = queue.driver, queue.device
    known: dict[str, Value] = {
        "size": queue.size,
        "published": queue.published,
        "seen": queue.seen,
        "used": queue.used,
        "collected": queue.collected,
        "desc": _records(queue.desc),
        "owner": _Rows(len(queue.owner), lambda i: OWNERS[Owner(int(queue.owner[i]))]),
        "head": _numbers(queue.head),
        "buffer": _numbers(queue.buffer),
        "table": {slot: _records(table) for slot, table in queue.tables.items()},
        "driver": _state(driver, "kick"),
        "device": _state(device, "call"),
        "kick": _notify(driver.kick if driver else None),
        "call": _notify(device.call if device else None),
        "generation": queue.generation,
    }
    if isinstance(queue, SplitQueue):
        known |= {
            "avail_flags": queue.avail_flags,
            "avail_idx": queue.avail_idx,
            "avail_ring": _numbers(queue.avail_ring),
            "used_event": queue.used_event,
            "used_flags": queue.used_flags,
            "used_idx": queue.used_idx,
            "used_ring": _records(queue.used_ring),
            "avail_event": queue.avail_event,
        }
    else:
        known |= {
            "driver_off": queue.driver_off_wrap & 0x7FFF,
            "driver_wrap": queue.driver_off_wrap >> 15,
            "driver_flags": queue.driver_flags,
            "device_off": queue.device_off_wrap & 0x7FFF,
            "device_wrap": queue.device_off_wrap >> 15,
            "device_flags": queue.device_flags,
        }
    return known


def facts(
    snapshot: Snapshot,
    name: str,
    before: Snapshot | None = None,
    memory: Callable[[int, int], bytes] | None = None,
) -> dict[str, Value]:
    """Every name an expression may use, for the queue called `name`; `was` speaks of `before`.

    `memory` reads guest memory for `load16`. FactError where there is no such queue.
    """
    queues = {queue.name: queue for queue in snapshot.queues}
    if name not in queues:
        raise FactError(f"no queue is called {name!r}; there are {', '.join(queues)}")
    known = of_queue(queues[name])
    known["queues"] = {other: of_queue(queue) for other, queue in queues.items()}
    known["was"] = facts(before, name) if before is not None else {}
    known[_MEMORY] = memory
    return known


def _u16(value: int) -> int:
    return value & 0xFFFF


def _passed(event: int, new: int, old: int) -> int:
    """vring_need_event (2.7.10.1): whether a move from old to new passes the event value."""
    return int(_u16(new - event - 1) < _u16(new - old))


_CALLS: dict[str, tuple[int, Callable[..., Value]]] = {
    "u16": (1, _u16),
    "bit": (2, lambda value, at: value >> (at & 63) & 1),
    "passed": (3, _passed),
    "min": (2, min),
    "max": (2, max),
    "abs": (1, abs),
    "count": (1, len),
}
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


@lru_cache(maxsize=2048)
def parse(text: str) -> ast.expr:
    """The tree of an expression; FactError where it is none."""
    if len(text) > _LONGEST:
        raise FactError(f"an expression of {len(text)} characters is too long: at most {_LONGEST}")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise FactError(f"{text.strip()!r} is no expression") from None


def evaluate(text: str, known: Mapping[str, Value]) -> Scalar:
    """The number or word that an expression stands for; FactError names what is wrong in it."""
    try:
        value = _walk(parse(text), known)
    except FactError as error:
        raise FactError(f"{text.strip()}: {error}") from None
    except (TypeError, ZeroDivisionError, OverflowError, RecursionError):
        raise FactError(f"{text.strip()}: cannot be worked out") from None
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, int | str):
        raise FactError(f"{text.strip()}: is a table; say which row and field")
    return value


def holds(text: str, known: Mapping[str, Value]) -> bool:
    """Whether an expression is true."""
    return bool(evaluate(text, known))


def _walk(node: ast.expr, known: Mapping[str, Value]) -> Value:
    match node:
        case ast.Constant(value=int() | str() as value):
            return value
        case ast.Name(id=name):
            if name in known:
                return known[name]
            if name in CONSTANTS:
                return CONSTANTS[name]
            raise FactError(f"nothing is called {name!r} here")
        case ast.Attribute(value=of, attr=name):
            table = _walk(of, known)
            if not isinstance(table, Mapping) or name not in table:
                raise FactError(f"nothing is called {name!r} there")
            return table[name]
        case ast.Subscript(value=of, slice=at):
            table, index = _walk(of, known), _walk(at, known)
            if isinstance(table, Mapping):
                if index not in table:
                    raise FactError(f"nothing stands at {index!r}")
                return table[index]
            if not isinstance(table, _Rows):
                raise FactError("only tables have rows")
            return table[index]
        case ast.BoolOp(op=op, values=values):
            all_of = isinstance(op, ast.And)
            return int(
                all(_walk(v, known) for v in values) if all_of else any(_walk(v, known) for v in values)
            )
        case ast.UnaryOp(op=ast.Not(), operand=one):
            return int(not _walk(one, known))
        case ast.UnaryOp(op=ast.USub(), operand=one):
            return -_walk(one, known)
        case ast.UnaryOp(op=ast.Invert(), operand=one):
            return ~_walk(one, known)
        case ast.IfExp(test=test, body=yes, orelse=no):
            return _walk(yes if _walk(test, known) else no, known)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return [_walk(part, known) for part in parts]
        case ast.BinOp(left=left, op=op, right=right):
            return _calculated(type(op), _walk(left, known), _walk(right, known))
        case ast.Compare(left=left, ops=ops, comparators=others):
            first = _walk(left, known)
            for how, other in zip(ops, others, strict=True):
                if type(how) not in _COMPARE:
                    raise FactError("only ==, !=, <, <=, >, >=, in and not in compare")
                second = _walk(other, known)
                if not _COMPARE[type(how)](first, second):
                    return 0
                first = second
            return 1
        case ast.Call(func=ast.Name(id="load16"), args=[address], keywords=[]):
            return _load16(_walk(address, known), known.get(_MEMORY))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _CALLS:
            wanted, act = _CALLS[name]
            if len(args) != wanted:
                raise FactError(f"{name}() takes {wanted} value{'s' if wanted > 1 else ''}")
            return act(*(_walk(arg, known) for arg in args))
    raise FactError(f"{ast.unparse(node)!r} is not understood here")


def _load16(address: Value, memory: Callable[[int, int], bytes] | None) -> int:
    """A little-endian number of 16 bits from guest memory."""
    if memory is None or not isinstance(address, int) or not 0 <= address < 1 << 64:
        raise FactError("there is no memory to read")
    try:
        return int.from_bytes(memory(address, 2), "little")
    except LookupError as error:
        raise FactError(str(error)) from None


def _calculated(op: type[ast.operator], a: Value, b: Value) -> int:
    if op not in _BINARY:
        raise FactError("only + - * // % & | ^ << >> calculate")
    if not isinstance(a, int) or not isinstance(b, int):
        raise FactError("only numbers can be calculated with")
    if op in (ast.LShift, ast.RShift) and not 0 <= b < _BITS:
        raise FactError(f"a shift by {b} is out of range")
    value: int = _BINARY[op](a, b)
    if value.bit_length() > _BITS:
        raise FactError("the number is too large")
    return value


def written(text: str, known: Mapping[str, Value]) -> str:
    """An expression as prose has it: "EXPR" in decimal, "EXPR:x" in hex, ":b" 16 bits, ":flags" by name."""
    expression, _, form = text.rpartition(":")
    if not expression:
        expression, form = text, ""
    value = evaluate(expression, known)
    if isinstance(value, str) or not form:
        return str(value)
    match form.strip():
        case "x":
            return f"0x{value:x}"
        case "b":
            return f"{value & 0xFFFF:016b}"
        case "flags":
            return " ".join(spec.desc_flag_names(value, "driver_off" in known)) or "none"
    raise FactError(f"{form.strip()!r} is no form: x, b or flags")
