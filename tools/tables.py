"""`python -m tools tables`: the tables of README and docs, written from `pretrained/`.

Nobody types a measured number twice. A document holds a place between two comments,
`<!-- NAME -->` and `<!-- /NAME -->`; `write_tables` fills it, `stale_tables` says where it no
longer is what the manifest says (a test asks).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from core import checkpoints
from core.checkpoints import Checkpoint
from core.checkpoints.by_recipe import Collected, by_stem, collect, is_trial, on_one_set, own_data
from core.checkpoints.entry import Derivation
from core.cli.answer import NOT_OK, OK, Answer
from core.collection.homework import NetworkRow, network_rows
from core.collection.latency import LatencyTable
from core.collection.reproduce import STEPS, Step
from core.errors import UserError
from core.export.stack import Stack
from core.i18n import _
from core.not_food.chart import FOOD, changes
from core.not_food.method import DECIDES, ScoreName
from core.not_food.pictures import KINDS
from core.not_food.rows import INT8, OTHERS, PUBLISHED, NotFood
from core.paths import REPO, read_json, write_atomic
from core.provenance import commit_text
from core.results import results_dir
from core.stats import wilson


class Place(NamedTuple):
    """Where a table stands, and what makes it."""

    file: str
    name: str
    make: Callable[[], str]


def results_table() -> str:
    """Every recipe with its accuracy, interval and costs, as Markdown: a table a data set."""
    main, others = on_one_set(collect(checkpoints.load_manifest().values()))
    if not main:
        return "No network is published yet."
    tables = [*_trained_then_made(main)]
    while others:
        same, others = on_one_set(others)
        first, *rest = _trained_then_made(same)
        tables += [f"Measured on other photographs, not to be compared:\n\n{first}", *rest]
    return "\n\n".join(tables)


def _trained_then_made(groups: Sequence[Collected]) -> Iterator[str]:
    """The table of one set's trainings, then that of the networks that were made from them."""
    made = [group for group in groups if not group.is_trained]
    trained = [group for group in groups if group.is_trained]
    if trained:
        yield _results(trained)
    if made:
        yield f"Made from trained networks, the same photographs:\n\n{_results(made)}"


def _results(groups: Sequence[Collected]) -> str:
    """One set's table and what its columns mean."""
    networks = network_rows(by_stem(groups).values(), LatencyTable.load())
    rows = [_result(row) for row in sorted(networks, key=lambda row: row.family != "teacher")]
    heads = ("network", "right", "95 % interval", "seeds", "parameters", "MACs", "file", "time")
    name = own_data(group.first for group in groups).name
    counts = " / ".join(f"{n:,}" for n in dict.fromkeys(row.n for row in networks))
    return (
        f"{markdown(heads, rows, 'llllrrrr')}\n\n"
        f"Right on {counts} test photographs of the {name}; the mean where there are several "
        "seeds. The interval covers the choice of photographs and, with several seeds, the luck of "
        "training. File: the weights in float16. Time: one picture through ONNX Runtime, one "
        "thread, median."
    )


def _result(row: NetworkRow) -> tuple[str, ...]:
    return (
        row.title,
        f"{row.accuracy:.1%}",
        f"{row.low:.1%} to {row.high:.1%}",
        ", ".join(map(str, row.seeds)),
        f"{row.params:,}",
        f"{row.macs / 1e6:,.1f} M",
        f"{row.size_bytes / 1e6:,.2f} MB",
        "not timed" if row.latency_ms is None else f"{row.latency_ms:.2f} ms",
    )


def remake_table() -> str:
    """Every checkpoint with the command and the minutes that made it, as Markdown."""
    rows = [_remade(checkpoint) for checkpoint in checkpoints.load_manifest().values()]
    minutes = sum(checkpoint.wall_s for checkpoint in checkpoints.load_manifest().values()) / 60
    heads = ("checkpoint", "made by", "after", "minutes", "on", "commit", "date")
    return (
        f"{markdown(heads, rows, 'lllrlll')}\n\n"
        f"{len(rows)} checkpoints, {minutes / 60:,.1f} hours of training in all."
    )


def cached_table() -> str:
    """Every file of cached measurements with the command that makes it, as Markdown."""
    rows = [_cached(path) for path in sorted(results_dir().glob("*.json"))]
    heads = ("file", "made by", "on", "commit", "date")
    return markdown(heads, rows, "lllll") if rows else "Nothing is measured yet."


def _cached(path: Path) -> tuple[str, ...]:
    """What a file of measurements says of its making."""
    try:
        measured = read_json(path)
        return (
            f"`results/{path.name}`", f"`{_command(path.stem)}`", measured["device"],
            commit_text(measured["commit"]), measured["date"][:10],
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            _("results/{file} cannot be read. Get it again with git.").format(file=path.name)
        ) from error


def aims_table() -> str:
    """What was aimed for and what is reached, as Markdown."""
    heads = ("what", "aim", "best so far", "reaches", "95 % interval", "missing")
    return markdown(heads, aims_rows(trained()), "lrlrll")


def students_table() -> str:
    """Every way in which the students were trained, as Markdown."""
    heads = ("student", "epochs", "seeds", "validation", "test", "95 % interval")
    rows = student_rows(trained())
    return markdown(heads, rows, "lrlrrl") if rows else "No student is published yet."


def not_food_table() -> str:
    """How often each network is unsure: of pictures that are no food, and of food, as Markdown."""
    heads = (
        "network", "made pictures", "invoices", "scikit-image", "false alarms", "made, by energy",
        "made, by maximum logit", "false alarms, by energy",
    )  # fmt: skip
    rows = [(f"`{id_}`", *_unsure(measured)) for id_, measured in _measured_not_food()]
    return markdown(heads, rows, "l" * len(heads)) if rows else "Nothing is measured yet."


def _unsure(measured: NotFood) -> Iterator[str]:
    """The cells of one network: per cent with the 95 % Wilson interval."""
    row = measured.row(PUBLISHED)
    assert row is not None, "every file has the published network"

    def pictures(kinds: Sequence[str], score: ScoreName = DECIDES) -> str:
        shown = [row.pictures[kind] for kind in kinds if kind in row.pictures]
        return _share(sum(each.unsure[score] for each in shown), sum(each.n for each in shown))

    yield from (pictures(KINDS), pictures(["invoice"]), pictures([OTHERS]))
    yield _share(row.alarms[DECIDES], row.n)
    yield from (pictures(KINDS, "energy"), pictures(KINDS, "max_logit"))
    yield _share(row.alarms["energy"], row.n)


def _share(count: int, n: int) -> str:
    if not n:
        return "not measured"
    low, high = wilson(count, n)
    return f"{100 * count / n:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def not_food_changes_table() -> str:
    """How compression changes how often a network is unsure, as Markdown."""
    rows: list[tuple[str, ...]] = []
    for id_, measured in _measured_not_food():
        whole = measured.row(PUBLISHED)
        assert whole is not None, "every file has the published network"
        for version in measured.rows:
            if version.key != PUBLISHED:
                percent = version.key.removeprefix("l1-")
                name = "8 bits" if version.key == INT8 else f"{percent} % pruned"
                rows.append((f"`{id_}`", name, *_change(changes(whole, version))))
        made_from = checkpoints.get(id_).derived_from
        base_id = made_from.id if made_from else None
        base = NotFood.load(base_id) if base_id else None
        if base and (before := base.row(PUBLISHED)):
            rows.append((f"`{base_id}`", f"`{id_}`", *_change(changes(before, whole))))
    heads = ("whole network", "version", "made pictures", "photographs of food")
    return markdown(heads, rows, "llll") if rows else "Nothing is measured yet."


def _change(change: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """Percentage points with their 95 % interval."""
    for kind in ("made", FOOD):
        mean, low, high = change[kind]
        yield f"{100 * mean:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})".replace("-", "−")


def _measured_not_food() -> Iterator[tuple[str, NotFood]]:
    for path in sorted(results_dir().glob("not_food-*.json")):
        id_ = path.stem.removeprefix("not_food-")
        if measured := NotFood.load(id_):
            yield id_, measured


def _remade(checkpoint: Checkpoint) -> tuple[str, ...]:
    made, step = checkpoint.derived_from, "training"
    if made is not None:
        step = "stack" if _in_stack(checkpoint) else _STEPS[made.kind]
    base = made.id if made else None
    command = f"reproduce --only {base or checkpoint.id} --steps {step}"
    needs = [checkpoint.config.get("start_from"), checkpoint.config.get("teacher"), base]
    after = ", ".join(f"`{name}`" for name in needs if name)
    return (
        f"`{checkpoint.id}`", f"`{command}`", after, f"{checkpoint.wall_s / 60:,.0f}",
        checkpoint.device, commit_text(checkpoint.commit), checkpoint.date[:10],
    )  # fmt: skip


def _in_stack(checkpoint: Checkpoint) -> bool:
    """Whether a student's whole way leads over this network: then that step makes it."""
    stack = Stack.load((checkpoint.derived_from and checkpoint.derived_from.id) or "")
    return stack is not None and any(
        row.step == "tuned" and row.checkpoint == checkpoint.id for row in stack.rows
    )


def _command(stem: str) -> str:
    """What makes `results/<stem>.json`; steps of `reproduce` are the beginnings of these names."""
    if stem == "latency":
        return LatencyTable.command.removeprefix("python -m core ")
    step, _dash, checkpoint = stem.partition("-")
    if step == "sweep":  # one for all; its name says whom it taught
        return "reproduce --steps sweep"
    step = {"layers": "quantization"}.get(step, step)
    steps = f" --steps {step}" if step in STEPS else ""
    return f"reproduce{steps}" + (f" --only {checkpoint}" if checkpoint else "")


_STEPS: dict[Derivation, Step] = {
    "pruned": "pruning",
    "narrow": "pruning",
    "factored": "lowrank",
    "quantised": "quantization",
}
"""Steps of `reproduce` that make networks from others."""

PLACES: tuple[Place, ...] = (
    Place("README.md", "results", results_table),
    Place("docs/remake.md", "checkpoints", remake_table),
    Place("docs/remake.md", "cached", cached_table),
    Place("docs/students.md", "aims", aims_table),
    Place("docs/students.md", "students", students_table),
    Place("docs/not_food.md", "not_food", not_food_table),
    Place("docs/not_food.md", "not_food_changes", not_food_changes_table),
)


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]], sides: str) -> str:
    """A Markdown table; `sides` has an l or an r per column."""
    rule = ["---:" if side == "r" else "---" for side in sides]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def filled(text: str, tables: Mapping[str, str]) -> str:
    """`text` with each table in its place. Raises UserError where a place is missing."""
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _begin, rest = text.partition(begin)
        _old, ending, after = rest.partition(end)
        if not ending:
            raise UserError(
                _("There is no place for the table {name}: {mark}.").format(
                    name=name, mark=f"{begin}{end}".replace("\n", " ")
                )
            )
        text = f"{before}{begin}{table}\n{end}{after}"
    return text


def _documents(root: Path) -> dict[Path, tuple[str, str]]:
    """File -> what it says, what it should say."""
    documents = {}
    for file in dict.fromkeys(place.file for place in PLACES):
        text = (root / file).read_text(encoding="utf-8")
        tables = {place.name: place.make() for place in PLACES if place.file == file}
        documents[root / file] = (text, filled(text, tables))
    return documents


def stale_tables(root: Path = REPO) -> list[str]:
    """Documents whose tables are not those of the manifest. Raises UserError as `filled`."""
    return [path.name for path, (is_now, should) in _documents(root).items() if is_now != should]


def write_tables(root: Path = REPO) -> list[str]:
    """Write every table that is stale; returns the documents that changed."""
    changed = []
    for path, (is_now, should) in _documents(root).items():
        if is_now != should:
            write_atomic(path, should.encode())
            changed.append(path.name)
    return changed


# -- what was aimed for ----------------------------------------------------------------------------


class Aim(NamedTuple):
    """A test accuracy to reach on the stand-in photographs, and the recipes that count."""

    title: str
    accuracy: float
    """Fraction of the test photographs."""
    counts: Callable[[str, str], bool]
    """(model, recipe) -> whether such a training may fulfil it."""


AIMS: tuple[Aim, ...] = (
    Aim("the strong teacher", 0.83, lambda model, recipe: model.startswith("efficientnet_lite")),
    Aim(
        "a distilled student of 256,779 parameters",
        0.68,
        lambda model, recipe: model == "dwpw_256k" and "distilled" in recipe,
    ),
    Aim("a student under 100,000 parameters", 0.68, lambda model, recipe: model == "best_100k"),
)
STUDENTS = ("dwpw_256k", "best_100k")
"""The students of which docs/students.md lists every way of training."""


def trained() -> list[Collected]:
    """Every recipe trained to its end at full side, on the photographs of most; no versions."""
    same, _others = on_one_set(collect(checkpoints.load_manifest().values()))
    return [group for group in same if group.is_trained and not is_trial(group.first.recipe)]


def aims_rows(groups: Sequence[Collected]) -> list[tuple[str, ...]]:
    """For each aim: what, aim, best recipe, what it reaches, its interval, what is missing."""
    rows: list[tuple[str, ...]] = []
    for aim in AIMS:
        fit = [group for group in groups if aim.counts(group.first.model, group.first.recipe)]
        if not fit:
            rows.append((aim.title, f"{aim.accuracy:.1%}", "not trained yet", "", "", ""))
            continue
        best = max(fit, key=lambda group: group.interval()[0])
        mean, low, high = best.interval()
        gap = aim.accuracy - mean
        rows.append(
            (
                aim.title, f"{aim.accuracy:.1%}", best.first.title, f"{mean:.1%}",
                f"{low:.1%} to {high:.1%}",
                "reached" if gap <= 0 else f"{100 * gap:.1f} points",
            )
        )  # fmt: skip
    return rows


def student_rows(groups: Sequence[Collected]) -> list[tuple[str, ...]]:
    """Every way in which STUDENTS were trained, best last: epochs, seeds, validation, test."""
    chosen = [group for group in groups if group.first.model in STUDENTS]
    chosen.sort(key=lambda group: (STUDENTS.index(group.first.model), group.interval()[0]))
    rows: list[tuple[str, ...]] = []
    for group in chosen:
        mean, low, high = group.interval()
        right = [seed.validation.accuracy for seed in group.seeds if seed.validation]
        rows.append(
            (
                group.first.title, str(group.first.epochs),
                ", ".join(str(seed.seed) for seed in group.seeds),
                f"{fmean(right):.1%}" if right else "", f"{mean:.1%}", f"{low:.1%} to {high:.1%}",
            )
        )  # fmt: skip
    return rows


# -- the command -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tables:
    """Write the tables of README.md and of docs/ from the shipped checkpoints."""

    check: bool = False
    """Only say which documents are out of date; exit code 1 if there are any."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        names = stale_tables() if self.check else write_tables()
        if self.check:
            message = _("Out of date: {names}. Write them with: python -m tools tables")
        else:
            message = _("Written: {names}.")
        text = message.format(names=", ".join(names)) if names else _("All tables are up to date.")
        document = {"stale" if self.check else "written": names}
        return Answer(document, text, NOT_OK if self.check and names else OK)
