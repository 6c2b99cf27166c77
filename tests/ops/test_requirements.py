import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "ops" / "requirements"
SETS = ["bench", "build", "embedded", "gateway", "lint", "peers", "test"]


def names(lines: list[str]) -> set[str]:
    """What these requirements are for, whatever they say about versions, extras and platforms."""
    found = (re.match(r"[a-z][\w.-]*", line.lower()) for line in lines)
    return {match.group() for match in found if match}


def declared(file: str) -> set[str]:
    return names((REQUIREMENTS / file).read_text().splitlines())


@pytest.mark.parametrize("name", SETS)
def test_what_is_asked_for_is_pinned(name: str) -> None:
    assert declared(f"{name}.in") <= declared(f"{name}.txt")


@pytest.mark.parametrize("name", SETS)
def test_every_pinned_package_has_hashes(name: str) -> None:
    pins = (REQUIREMENTS / f"{name}.txt").read_text().replace("\\\n", "").splitlines()

    assert pins
    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []


@pytest.mark.parametrize("path", sorted(REQUIREMENTS.glob("*.*")), ids=lambda path: path.name)
def test_no_file_names_an_index_or_a_place_on_a_machine(path: Path) -> None:
    lines = path.read_text().splitlines()

    assert [line for line in lines if re.search(r"(index-url|find-links|file:|^-[fi]\b)", line)] == []


def test_the_sets_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert names(project["dependencies"]) == declared("gateway.in")
    assert names(project["optional-dependencies"]["embedded"]) == declared("embedded.in")


def test_no_two_sets_pin_different_versions() -> None:
    pins: dict[str, set[str]] = {}
    for name in SETS:
        for package, version in re.findall(
            r"(?m)^([\w.-]+)==([\w.]+)", (REQUIREMENTS / f"{name}.txt").read_text()
        ):
            pins.setdefault(package, set()).add(version)

    # numpy has one version for Python 3.11 and one for later ones.
    assert {package for package, versions in pins.items() if len(versions) > 1} <= {"numpy"}
