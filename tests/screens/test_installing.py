"""`ringscope extcap`: the script for Wireshark is written, told of and taken away, and only that."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.screens.command import ringscope


def test_the_extcap_is_installed_told_of_and_removed(tmp_path: Path) -> None:
    script = tmp_path / "deep" / "er" / "ringscope"
    folder = str(script.parent)
    done = ringscope("extcap", "--install", "--dir", folder)
    assert done.returncode == 0 and done.stdout.startswith(f"installed {script}\n")
    assert script.stat().st_mode & 0o777 == 0o755
    again = ringscope("extcap", "--install", "--dir", folder)
    assert again.returncode == 0 and list(script.parent.iterdir()) == [script]
    told = subprocess.run(
        [script, "--extcap-interfaces"], capture_output=True, text=True, timeout=60, cwd="/"
    )
    assert "interface {value=ringscope-split}" in told.stdout
    assert ringscope("extcap", "--uninstall", "--dir", folder).stdout == f"removed {script}\n"
    assert not script.exists()
    done = ringscope("extcap", "--uninstall", "--dir", folder)
    assert done.returncode == 0 and "nothing is installed" in done.stdout


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    script = tmp_path / "ringscope"
    script.write_text("#!/bin/sh\necho mine\n")
    for what in ("--install", "--uninstall"):
        done = ringscope("extcap", what, "--dir", str(tmp_path))
        assert done.returncode == 2 and "is not a script of ours" in done.stderr
    assert script.read_text() == "#!/bin/sh\necho mine\n"


def test_the_personal_folder_is_the_default(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": str(tmp_path)}  # no tshark to be asked
    done = ringscope("extcap", "--install", env=environment)
    script = tmp_path / ".local/lib/wireshark/extcap/ringscope"
    assert done.returncode == 0 and script.exists() and str(script) in done.stdout
    assert ringscope("extcap", env=environment).stdout.startswith(f"installed at {script}")
    assert ringscope("extcap", "--uninstall", "--personal", env=environment).returncode == 0
    done = ringscope("extcap", env=environment)
    assert done.returncode == 1 and done.stdout.startswith("not installed")
