"""The snippets that quickstart prints, pasted into a shell as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import LAST_LINE, binary, cache

# The start of each headline, and a pattern of what its snippet must answer.
SNIPPETS = {
    "Python, pyarrow": r"'1-URGENT'.*'5-LOW'",
    "Python, ADBC": r"'nation': \['[A-Z ]+'(, '[A-Z ]+'){4}\].*Decimal",
    # The snippets ask as the viewer, to whom the policies show the customers of one market segment.
    "Java, JDBC": r"\ABUILDING \d+ \d+\.\d\d\n\Z",
    "curl, REST": r"(?s)l_shipmode,lines,discount\s+AIR,\d+,0\.0\d+.*TRUCK,\d+,0\.0\d+",
    "lakegate, interactive": r"(?s)Brand#\d\d.*Brand#\d\d",
    "Records in": r"(?s)\"records\":10.*kind is none of the allowed values.*2026-01-06.*view",
}


def snippets(printed: list[str]) -> dict[str, str]:
    """The text under each headline."""
    found: dict[str, list[str]] = {}
    current = None
    for line in printed:
        if re.search(LAST_LINE, line):
            break
        headline = next((name for name in SNIPPETS if line.startswith(f"# {name}")), None)
        if headline:
            current = found.setdefault(headline, [])
        elif current is not None:
            current.append(line)
    return {name: "\n".join(lines).strip() + "\n" for name, lines in found.items()}


def test_every_kind_of_client_has_a_snippet(printed):
    assert snippets(printed).keys() == SNIPPETS.keys()


def test_the_ready_line_comes_first(printed, door):
    assert re.fullmatch(f"ready flight={door.flight} rest={door.rest} ingest=http://127.0.0.1:[0-9]+", printed[0])


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_snippet_answers_when_it_is_pasted(printed, tmp_path, name):
    downloads = cache() / "clients" / "snippets"
    downloads.mkdir(parents=True, exist_ok=True)
    commands = f"{Path(sys.executable).parent}:{Path(binary()).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": commands, "TMPDIR": str(downloads)}
    pasted = subprocess.run(["bash"], input=snippets(printed)[name], cwd=tmp_path, env=environment, timeout=300,
                            capture_output=True, text=True)
    assert pasted.returncode == 0, pasted.stderr
    assert re.search(SNIPPETS[name], pasted.stdout), pasted.stdout + pasted.stderr


def test_the_snippets_give_nobodys_password_but_the_viewers(printed, door):
    text = "\n".join(printed)
    assert door.users["viewer"] in text
    assert not any(password in text for user, password in door.users.items() if user != "viewer")
