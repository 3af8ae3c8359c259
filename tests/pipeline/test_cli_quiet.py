"""What libraries print is hushed, and how far the work is shows on a terminal only."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
from command_line import python

from pipeline.cli.quiet import hushed, working

NOISE = """\
import os, sys, warnings, logging
def noise():
    print("noise"); print("noise", file=sys.stderr); os.write(1, b"noise\\n"); os.write(2, b"noise\\n")
    warnings.warn("noise"); logging.getLogger("x").error("noise")
"""


def test_what_libraries_print_is_not_shown() -> None:
    ran = python(
        f"{NOISE}\n"
        "from pipeline.cli.quiet import working\n"
        "for _ in range(2):\n"
        "    with working('training') as progress: noise(); progress(0.5, 'half')\n"
        "print('ours'); print('ours', file=sys.stderr)",
        TABLEWATCH_DEBUG="",
    )
    assert (ran.stdout, ran.stderr) == ("ours\n", "ours\n")


def test_what_libraries_print_is_shown_when_debugging() -> None:
    code = f"{NOISE}\nfrom pipeline.cli.quiet import working\nwith working('training'): noise()"
    ran = python(code, TABLEWATCH_DEBUG="1")
    assert (ran.stdout.count("noise"), ran.stderr.count("noise")) == (2, 4)


def test_the_streams_come_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), hushed():
        os.write(2, b"noise\n")
        raise KeyError
    os.write(2, b"after\n")
    print("after")
    assert capfd.readouterr() == ("after\n", "after\n")


def test_a_terminal_shows_how_far_the_work_is() -> None:
    leader, follower = pty.openpty()
    code = (
        f"{NOISE}\nfrom pipeline.cli.quiet import working\n"
        "with working('training nights') as progress: noise(); progress(0.5, 'loss [b]0.125')"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=follower) as ran:
        os.close(follower)
        shown = b""
        while True:
            try:
                read = os.read(leader, 4096)
            except OSError:  # Linux ends a terminal so
                break
            if not read:
                break
            shown += read
        assert ran.communicate()[0] == b""
    os.close(leader)
    assert ran.returncode == 0
    assert b"training nights: loss [b]0.125" in shown
    assert b"noise" not in shown


def test_progress_goes_nowhere_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with working("training") as progress:
        progress(0.5, "half")
    assert capsys.readouterr() == ("", "")
