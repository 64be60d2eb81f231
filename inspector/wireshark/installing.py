"""`ringscope extcap --install`: put the executable that Wireshark runs where Wireshark looks for it.

Wireshark 4.2 and later read a folder of the user; older ones only that of the system, or the one that
WIRESHARK_EXTCAP_DIR names. Which it is here is asked of tshark or wireshark itself, and said.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from inspector.cli import FAILED, OK
from inspector.commands.opening import Refused

NAME = "ringscope"
MARK = "# written by: ringscope extcap --install"
_PERSONAL = Path(".local/lib/wireshark/extcap")
_PERSONAL_KEY, _SYSTEM_KEY = "Personal Extcap path", "Extcap path"


def install(options: argparse.Namespace) -> int:
    """Write the script, take it away, or say where it is; the exit code. Refused in one line."""
    folders = _folders()
    where = Path(options.dir).expanduser() if options.dir else _personal(folders)
    script = where / NAME
    if options.uninstall:
        return _uninstall(script)
    if not options.install:
        return _tell(folders, where)
    if (script.exists() or script.is_symlink()) and not _ours(script):
        raise Refused(f"{script} is not a script of ours; move it away first, or choose another --dir")
    try:
        where.mkdir(parents=True, exist_ok=True)
        _write(script)
    except OSError as error:
        raise Refused(f"cannot write {script}: {error.strerror}") from None
    print(f"installed {script}")
    print(_advice(where, folders))
    return OK


def _uninstall(script: Path) -> int:
    if not script.exists():
        print(f"nothing is installed at {script}")
        return OK
    if not _ours(script):
        raise Refused(f"{script} is not a script of ours; it stays")
    try:
        script.unlink()
    except OSError as error:
        raise Refused(f"cannot remove {script}: {error.strerror}") from None
    print(f"removed {script}")
    return OK


def _tell(folders: dict[str, str], personal: Path) -> int:
    places = dict.fromkeys([personal, *(Path(folders[key]) for key in folders)])
    found = [place for place in places if _ours(place / NAME)]
    for place in found:
        print(f"installed at {place / NAME}")
        print(_advice(place, folders))
    if not found:
        print(f"not installed; ringscope extcap --install writes {personal / NAME}")
    return OK if found else FAILED


def _folders() -> dict[str, str]:
    """The extcap folders that the Wireshark of this machine reads, by its own names for them."""
    for program in ("tshark", "wireshark"):
        path = shutil.which(program)
        if path is None:
            continue
        try:
            told = subprocess.run(
                [path, "-G", "folders"],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=20,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        lines = (line.partition(":") for line in told.stdout.splitlines())
        known = {key.strip().lower(): value.strip() for key, _, value in lines}
        return {key: known[key.lower()] for key in (_PERSONAL_KEY, _SYSTEM_KEY) if known.get(key.lower())}
    return {}


def _personal(folders: dict[str, str]) -> Path:
    told = folders.get(_PERSONAL_KEY)
    return Path(told) if told else Path.home() / _PERSONAL


def _advice(where: Path, folders: dict[str, str]) -> str:
    if not folders:
        return "no Wireshark is installed here; one that is will list it from this folder (4.2 and later)"
    if str(where) in folders.values():
        return f"its interfaces are listed by: tshark -D, and are called {NAME}-..."
    variable = f"WIRESHARK_EXTCAP_DIR={shlex.quote(str(where))}"
    if _PERSONAL_KEY in folders:
        return f"this Wireshark does not read that folder by itself; run it with {variable}"
    system = shlex.quote(folders.get(_SYSTEM_KEY, ""))
    everybody = f"ringscope extcap --install --dir {system}"
    if os.geteuid() == 0:  # whom Wireshark lets name no folder
        return f"this Wireshark is older than 4.2 and lets root name no folder of extcaps; use {everybody}"
    return (
        f"this Wireshark is older than 4.2 and reads no folder of a user by itself: run it with {variable}, "
        f"or install for everybody, as root: {everybody}"
    )


def _ours(script: Path) -> bool:
    try:
        return MARK in script.read_text(errors="replace")[:200]
    except OSError:
        return False


def _write(script: Path) -> None:
    """The script whole or not at all: Wireshark may look just now."""
    root = Path(__file__).resolve().parents[2]
    begin = "import sys; sys.path.append(sys.argv.pop(1))"
    boot = f"{begin}; from inspector.wireshark.extcap import main; sys.exit(main())"
    words = [sys.executable, "-P", "-c", boot, str(root)]
    text = f'#!/bin/sh\n{MARK}\nexec {shlex.join(words)} "$@"\n'
    fd, name = tempfile.mkstemp(prefix=f".{NAME}-", dir=script.parent)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o755)
        os.replace(name, script)
    except OSError:
        os.unlink(name)
        raise
