"""The tables in the documents are the manifest's; a stale one is found, a lost place said."""

import json
import re
from pathlib import Path

import pytest

from core.checkpoints import load_manifest
from core.cli.main import main
from core.paths import REPO
from tests import results_shelf
from tools import tables


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A README and a docs/remake.md with empty places, over a made-up collection."""
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path / "pretrained"))
    results_shelf.fill({"dwpw_256k-scratch": (640, 655), "plain_2m-scratch": (760,)})
    for place in tables.PLACES:
        path = tmp_path / place.file
        path.parent.mkdir(exist_ok=True)
        before = path.read_text() if path.exists() else "# Title\n"
        path.write_text(
            f"{before}\n<!-- {place.name} -->\n<!-- /{place.name} -->\nend {place.name}\n"
        )
    return tmp_path


def test_the_repositorys_tables_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stale after a checkpoint was published? `python -m tools tables` writes them."""
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(REPO / "pretrained"))
    assert tables.stale_tables() == []


def test_tables_are_written_once_and_noticed_when_stale(documents: Path) -> None:
    assert tables.stale_tables(documents) == [
        "README.md",
        "remake.md",
        "students.md",
        "not_food.md",
    ]
    assert tables.write_tables(documents) == [
        "README.md",
        "remake.md",
        "students.md",
        "not_food.md",
    ]
    assert tables.stale_tables(documents) == [] == tables.write_tables(documents)
    text = (documents / "README.md").read_text()
    assert text.startswith("# Title\n") and text.endswith("end results\n")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 4  # heads, rule, two recipes
    mean = f"{(640 + 655) / 2400:.1%}"
    assert any(f"| {mean} |" in row and "| 0, 1 |" in row and "256,779" in row for row in rows)

    results_shelf.publish("dwpw_256k-scratch", 2, 900)
    assert tables.stale_tables(documents) == ["README.md", "remake.md", "students.md"]
    tables.write_tables(documents)
    assert mean not in (documents / "README.md").read_text()


def test_each_checkpoint_says_how_it_is_made(documents: Path) -> None:
    results_shelf.publish(
        "dwpw_256k-distilled_narrow_bn_gamma22p6_ft1x5", 0, 700,
        config={"pruned_from": "dwpw_256k-distilled-s0"},
    )  # fmt: skip
    table = tables.remake_table()
    for one in load_manifest().values():
        (row,) = [line for line in table.splitlines() if line.startswith(f"| `{one.id}` |")]
        step = "pruning" if "narrow" in one.id else "training"
        assert f"--steps {step}" in row and f"| {round(one.wall_s / 60)} |" in row
        made = re.search(r"--only (\S+)", row)
        assert made and made[1].strip("`") == one.config.get("pruned_from", one.id)
    assert f"{4 * 1230 / 3600:.1f} hours" in table
    assert "`results/latency.json` | `reproduce --steps latency`" in tables.cached_table()


def test_code_that_was_not_committed_is_not_hidden(documents: Path) -> None:
    results_shelf.publish("dwpw_256k-scratch", 0, 640, commit="0123456789ab+")
    facts = {"device": "A", "commit": "fedcba9876543210+", "date": "2026-11-22T"}
    path = documents / "pretrained" / "results" / "sweep-dwpw_256k.json"
    path.write_text(json.dumps(facts))
    table = tables.remake_table()
    assert table.count("uncommitted") == 1
    assert "| `0123456789ab+` with uncommitted changes |" in table
    assert "| `fedcba987654+` with uncommitted changes |" in tables.cached_table()


def test_every_printed_command_knows_what_it_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever copies a command from the documents gets that step of that network, not an error."""
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(REPO / "pretrained"))
    text = (REPO / "docs" / "remake.md").read_text()
    commands = sorted(set(re.findall(r"\| `(reproduce [^`]*)` \|", text)))
    assert len(commands) > 60
    assert "reproduce --only dwpw_256k-distilled-s0 --steps stack" in commands  # cut by that step
    for command in commands:
        assert main([*command.split(), "--list", "--json"]) == 0, command
        rows = json.loads(capsys.readouterr().out)["trainings"]
        step = re.search(r"--steps (\S+)", command)
        only = re.search(r"--only (\S+)", command)
        assert step and rows and {row["step"] for row in rows} == {step[1]}, command
        assert only is None or [row["checkpoint"] for row in rows] == [only[1]], command


def test_each_data_set_has_its_own_table(documents: Path) -> None:
    data = load_manifest()["plain_2m-scratch-s0"].data
    other = data.model_copy(update={"name": "Another set", "fingerprint": "f" * 16})
    results_shelf.publish("best_100k-scratch", 0, 1199, data=other)
    first, rest = tables.results_table().split("Measured on other photographs")
    assert "99.9%" in rest and "Another set" in rest and rest.count("\n| ") == 3
    assert "99.9%" not in first and "Another set" not in first and data.name in first


def test_how_often_a_network_is_unsure_is_counted_from_its_flags(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The cells against the flags of the shipped file, counted here."""
    monkeypatch.setenv("SMALL_PLATES_PRETRAINED", str(REPO / "pretrained"))
    id_ = "dwpw_256k-distilled-s0"
    rows = json.loads((REPO / f"pretrained/results/not_food-{id_}.json").read_text())["rows"]
    by_version = {row["version"]: row for row in rows}

    def share(version: str, kinds: set[str]) -> float:
        flags = "".join(
            each["flags"] for kind, each in by_version[version]["pictures"].items() if kind in kinds
        )
        return 100 * flags.count("1") / len(flags)

    made = set(by_version["published"]["pictures"]) - {"scikit-image"}
    line = next(line for line in tables.not_food_table().splitlines() if id_ in line)
    shown = [float(cell.split(" (")[0]) for cell in line.split(" | ")[1:4]]
    expected = [share("published", kinds) for kinds in (made, {"invoice"}, {"scikit-image"})]
    assert shown == [round(value, 1) for value in expected]
    change = next(
        line
        for line in tables.not_food_changes_table().splitlines()
        if f"| `{id_}` | 90 % pruned" in line
    )
    points = float(change.split(" | ")[2].split(" (")[0].replace("−", "-"))
    assert points == pytest.approx(share("l1-90", made) - share("published", made), abs=0.06)
