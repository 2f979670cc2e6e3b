"""Check the README, docs/ and CONTRIBUTING.md: links, names, commands, programs, records and tables."""

from __future__ import annotations

import ast
import json
import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from documented_program import documented
from packaging.version import Version
from prepared import OldRelease
from programs import TESTS, Completed, Forks

import onenter_deadlock_fix
from onenter_deadlock_fix import _guard
from onenter_deadlock_fix.cli import arguments
from onenter_deadlock_fix.environment.pins import pins

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))

from compatibility import data, results  # noqa: E402  # no package that is installed

PAGES = ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"]
PAGES += [f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md")) if page != data.PAGE]

# files of the reader's, of other programs, or of what is written when something is run
NOT_OURS = {"agent.py", "src/agent.py"}
FILES = re.compile(r"(?<![\w./-])[\w./-]+(?:\.(?:py|md|json|toml|yml)|(?<=\w)/)(?![\w.*/-])")

Played = Callable[..., Any]


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", read(page))


def code(page: str) -> Iterator[str]:
    """Yield the lines of what is to be typed, and what is code within the text."""
    for language in ("console", "bash", "dockerfile", "ini"):
        for block in blocks(page, language):
            yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", without_blocks(page))


def without_blocks(page: str) -> str:
    return re.sub(r"(?ms)^```.*?^```$", "", read(page))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(page: str) -> list[list[str]]:
    """Return the rows of the first table of a page, without its head."""
    found = re.search(r"(?m)(?:^\|.*\n)+", read(page))
    assert found
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in found[0].splitlines()[2:]]


def alike(text: str) -> str:
    """Return a record or an answer without what differs from run to run: names of speeches, versions, paths."""
    speeches: dict[str, str] = {}
    text = re.sub(r"speech_\w+", lambda match: speeches.setdefault(match[0], f"speech {len(speeches)}"), text)
    text = re.sub(r"\S*/agent\.py", "agent.py", text)
    return re.sub(r"environment: \S+|(onenter-deadlock-fix|Python|wrapt) \d[\w.]*", "", text).strip()


@pytest.fixture
def played(tmp_path: Path, play: Callable[..., Any]) -> Played:
    """Play the nth program of a page, and return its outcome and what was logged."""

    def played(page: str, nth: int, agent: str, tool: str, mode: str = "off", **options: Any) -> Any:
        file = tmp_path / "agent.py"
        file.write_text(blocks(page, "python")[nth])
        seen = play(documented, mode, **options, file=str(file), agent=agent, tool=tool)
        log = []
        for record in seen["records"]:
            text = f"{record['level']} {record['json']['name']} - {record['message']}"
            fields = [name for name in ("deadlock", "wait", "release") if name in record["json"]]
            log.append({"text": text, "fields": fields})
        return {"outcome": "completed" if seen["over"] else "hung", "log": log}

    return played


def test_readme_is_a_page_and_has_two_commands() -> None:
    assert len(read("README.md").splitlines()) <= 130
    assert len(blocks("README.md", "bash")) == 2  # .ci/run runs them, each in a clone of its own


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", without_blocks(page)):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_are_there(page: str) -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.check_output(command, cwd=ROOT, text=True).splitlines()
    for name in FILES.findall(" ".join(code(page))):
        if name not in NOT_OURS and not name.startswith(("/", "-")):
            is_folder = name.endswith("/")
            paths = (f"/{path}" for path in listed)
            assert any(f"/{name}" in path if is_folder else path.endswith(f"/{name}") for path in paths), name


@pytest.mark.parametrize("page", PAGES)
def test_variables_and_functions_that_are_named_are_there(page: str) -> None:
    package = ROOT / "onenter_deadlock_fix"
    source = "".join(file.read_text(encoding="utf-8") for file in package.rglob("*.py"))
    for name in re.findall(r"\bONENTER_DEADLOCK_FIX\w*", read(page)):
        assert f'"{name}"' in source, name
    for function in re.findall(r"onenter_deadlock_fix\.([a-z_]+)\(.*?\)", read(page)):
        assert function in onenter_deadlock_fix.__all__


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_are_named_are_there_and_programs_compile(page: str) -> None:
    sessions = {node.name for node in ast.parse(read("noxfile.py")).body if isinstance(node, ast.FunctionDef)}
    for line in code(page):
        for session in re.findall(r"\bnox -s (\w+)", line):
            assert session in sessions, line
        for words in re.findall(r'onenter-deadlock-fix ((?:[a-z]|--)[^&|;()$"]*)', line):
            arguments.parse(shlex.split(words))  # or it exits
    for program in blocks(page, "python"):
        compile(program, page, "exec")


def test_code_that_hangs_works_with_the_import_and_logs_that_it_is_active(played: Played) -> None:
    (code_that_hangs, one_import, *_), (shown,) = blocks("README.md", "python"), records("README.md", "INFO")
    assert one_import.startswith("import onenter_deadlock_fix ")
    assert "hangs here" in code_that_hangs
    without = played("README.md", 0, "FrontDesk", "collect_address", fix=False)
    assert without == {"outcome": "hung", "log": []}
    with_the_shim = played("README.md", 0, "FrontDesk", "collect_address", level=logging.INFO)
    assert with_the_shim["outcome"] == "completed"
    assert [kept["text"] for kept in with_the_shim["log"]] == shown.splitlines()


@pytest.mark.parametrize("release", ["1.2.8", data.LAST_AFFECTED])
def test_symptoms_are_what_livekit_agents_logs(
    forks: Forks, prepared: Callable[..., OldRelease], tmp_path: Path, release: str
) -> None:
    folder = tmp_path if release == data.LAST_AFFECTED else prepared(OldRelease).folder
    (tmp_path / "agent.py").write_text(blocks("README.md", "python")[0])
    program = [str(TESTS / "documented_program.py"), "agent.py"]
    ended = forks.run(program, cwd=tmp_path, env={"PYTHONPATH": str(folder), "ONENTER_DEADLOCK_FIX": "off"})
    (shown,) = records("README.md", "WARNING livekit")
    assert json.loads(ended.stdout or "[]") == shown.splitlines()[:-1], ended.stderr
    # the last line comes at the end of a job: tests/e2e/test_console.py


def test_records_of_a_hang_are_what_the_docs_have(played: Played) -> None:
    (error,), (warning,) = records("docs/detection.md", "ERROR"), records("docs/detection.md", "WARNING")
    without_its_last_line = error.rpartition("\n")[0]
    for mode, outcome, texts, fields in [
        ("off", "hung", [], []),
        ("report", "hung", [error], [["deadlock"]]),
        ("resolve", "completed", [without_its_last_line, warning], [["deadlock"], ["release"]]),
    ]:
        seen = played("docs/detection.md", 0, "Operator", "arrange_call", mode)
        assert seen["outcome"] == outcome
        assert [alike(record["text"]) for record in seen["log"]] == list(map(alike, texts))
        assert [record["fields"] for record in seen["log"]] == fields
    (in_the_readme,) = records("README.md", "ERROR")
    assert alike(error) == alike(in_the_readme)


def records(page: str, begin: str) -> list[str]:
    return [block.rstrip("\n") for block in blocks(page, "text") if block.startswith(begin)]


def test_status_is_what_the_readme_has(command: Callable[..., Completed], tmp_path: Path) -> None:
    (transcript,) = (block for block in blocks("README.md", "console") if block.startswith("$ "))
    typed, shown = transcript.split("\n", 1)
    (tmp_path / "agent.py").write_text(blocks("README.md", "python")[1])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ended = command(*shlex.split(typed)[2:], env={"PATH": path})
    assert ended.returncode == 0, ended.stderr
    assert alike(ended.stdout) == alike(shown)


def test_table_of_releases_is_what_the_guard_has() -> None:
    first, fixed = _guard.FIRST_AFFECTED, _guard.FIRST_FIXED
    # upstream removed the other waits with 1.2.4 and 1.2.6 (docs/how-it-works.md)
    assert Version("1.2.6") == _guard.FIRST_WITHOUT_OTHER_WAITS
    assert table("README.md") == [
        [f"before {first}", "has no `AgentTask`", "left alone (`predates`)"],
        [f"{first} to 1.2.3", "hangs, for three reasons; four with a realtime model", "works (`patched`)"],
        ["1.2.4, 1.2.5", "hangs, for two reasons", "works (`patched`)"],
        [f"1.2.6 to {data.LAST_AFFECTED}", "hangs, for one reason", "works (`patched`)"],
        [f"{fixed} and later", "works", "left alone (`fixed-upstream`)"],
    ]


def test_what_an_affected_release_needs_beside_it_is_what_the_command_says() -> None:
    needed = {f"'{pin}'" for pin in pins(Version(data.LAST_AFFECTED))}
    assert set(re.findall(r"'(?:openai|opentelemetry)[^']*'", read("docs/activation.md"))) == needed
    assert "From 1.3.6 to 1.6.9, install `'openai<3'`" in read("README.md")
    assert pins(Version("1.3.6")) == pins(Version("1.6.9")) == ["openai<3"]
    assert pins(Version("1.6.10")) == []


def test_pythons_that_are_played_are_in_the_metadata_and_the_workflows() -> None:
    pythons = {*data.PYTHONS, *data.NEWEST_PYTHONS}
    assert set(re.findall(r"Python :: (3\.\d+)", read("pyproject.toml"))) == pythons
    for workflow in ("ci", "compatibility"):
        played = re.findall(r"(?m)^ +(3\.\d+)$", read(f".github/workflows/{workflow}.yml"))
        assert set(played) == pythons
        assert played[-1] == data.PYTHONS[0]  # which is python3


def test_hang_of_the_docs_is_there_on_every_release() -> None:
    known = results.read()
    ways = known["scenarios"]["a_tool_awaits_a_reply"]["ended"]
    assert {row for way in ways for row in way["on"]} == known["rows"].keys()
    assert {(way["with"], way.get("reported"), way["resolve"]) for way in ways} == {("hangs", True, "completes")}
