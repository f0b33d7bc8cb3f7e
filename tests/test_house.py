"""The house rules that a machine can check: who imports whom, nothing unpickled.

The rules are read from the source with `ast`; what only shows at run time (torch staying out of a
page) is tried in a fresh interpreter.
"""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import REPO, run_python

CORE = sorted((REPO / "core").rglob("*.py"))
PAGES = sorted((REPO / "pages").glob("[!_]*.py"))
KIT = sorted((REPO / "pages" / "kit").rglob("*.py"))
TOOLS = sorted((REPO / "tools").rglob("*.py"))
OURS = [REPO / "app.py", *PAGES, *KIT, *CORE]

ROOMS = (
    "distillation", "convolutions", "pruning", "quantization", "low_rank", "export", "not_food",
    "collection", "own", "report",
)  # fmt: skip
"""Folders of core that hold one concept each; all else is the floor, which knows none."""
LOOK_AT_ALL = {"export", "not_food", "collection", "own", "report", "cli", "__main__"}
"""What may import rooms: what ships or shows every technique, and the command line."""

TORCH_FREE = (
    "core.checkpoints",
    "core.charts",
    "core.collection.check",
    "core.cli.main",
    "core.cli.serve",
    "core.course",
    "core.limited",
    "core.data.dreams",
    "core.data.find",
    "core.data.pixels",
    "core.stats",
    "core.models.registry",
    "core.photos",
    "core.distillation.against_scratch",
    "core.low_rank.network",
    "core.inference.predict",
    "core.quantization.upload",
    "core.quantization.graph",
    "core.quantization.measure",
    "core.training.config",
    "core.low_rank.rows",
    "core.quantization.rows",
    "core.training.runs",
    "core.i18n",
    "core.convolutions.chart",
    "core.distillation.chart",
    "core.export.browser",
    "core.export.card",
    "core.export.command",
    "core.export.files",
    "core.not_food.measure",
    "core.own.command",
    "core.own.network",
    "core.pruning.rows",
    "core.pruning.chart",
    "core.results",
    "core.report.command",
    "core.report.write",
    "core.live",
)

Nodes = list[ast.AST]
Rule = Callable[[Nodes], Iterator[str]]


def where(path: Path) -> str:
    return path.relative_to(REPO).as_posix()


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a name or an attribute; what stands before the dots may be an expression."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def imports(nodes: Nodes) -> Iterator[str]:
    """Dotted names of all modules imported anywhere in a file, also inside functions."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def unpickles(nodes: Nodes) -> Iterator[str]:
    """Ways to run what a file says: pickle and its kin, torch.load and numpy.load set loose."""
    for name in imports(nodes):
        if name.split(".")[0] in {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}:
            yield f"imports {name}"
    for node in nodes:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        given = {
            word.arg: ast.unparse(word.value)
            for word in node.keywords
            if word.arg in ("weights_only", "allow_pickle")
        }
        if dotted(node.func) == "torch.load" and given.get("weights_only") != "True":
            yield f"line {node.lineno}: torch.load without weights_only=True"
        if given.get("allow_pickle", "False") != "False":
            yield f"line {node.lineno}: allow_pickle={given['allow_pickle']}"


def untranslated_errors(nodes: Nodes) -> Iterator[str]:
    """Messages for the user that do not pass through `_()`."""
    errors = {
        "UserError", "PhotoError", "DataError", "CheckpointError", "ConfigError", "ClassroomError",
    }  # fmt: skip
    for node in nodes:
        if isinstance(node, ast.Call) and dotted(node.func) in errors:
            for argument in node.args:
                if isinstance(argument, ast.JoinedStr) or (
                    isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                ):
                    yield f"line {node.lineno}: {ast.unparse(node)[:60]}"


def reads_in_the_locale(nodes: Nodes) -> Iterator[str]:
    """Text opened, read or written without an encoding: on Windows, or under an ASCII locale,
    that is another one. Ruff's rule knows a `Path` only where it is made; this one goes by name."""
    for node in nodes:
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func).split(".")[-1]
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        words = [str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)]
        modes = [word for word in words if re.fullmatch(r"[rwax][bt+]*", word)]
        if name in ("fdopen", "open"):  # `x.open()` without a mode may be anything's
            mode = given.get("mode") or "".join(modes)
            is_file = isinstance(node.func, ast.Name) or name == "fdopen" or bool(mode)
            text = is_file and "b" not in mode
        else:
            path_text = {"read_text": 0, "write_text": 1}  # what comes before the encoding
            text = len(node.args) <= path_text.get(name, -1) or "True" in (
                given.get("text"),
                given.get("universal_newlines"),
            )
        if text and not {"encoding", "errors"} & given.keys():
            yield f"line {node.lineno}: {ast.unparse(node)[:70]}"


def reads_json_by_itself(nodes: Nodes) -> Iterator[str]:
    """JSON files parsed without `core.paths.read_json`, which knows their encoding and limits."""
    for node in nodes:
        if isinstance(node, ast.Call) and dotted(node.func) in ("json.load", "json.loads"):
            inside = ast.unparse(node)
            if inside.startswith("json.load(") or ".read_text(" in inside or ".read_byt" in inside:
                yield f"line {node.lineno}: {inside[:70]}"


WORDS = {"_", "ngettext", "food_class"}
CACHES = {"lru_cache", "cache", "cached_property", "st.cache_data", "st.cache_resource"}


def _translations(node: ast.AST, skip: tuple[type[ast.AST], ...]) -> Iterator[ast.Call]:
    """Calls that translate, below `node` but not inside nodes of the types `skip`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, skip):
            continue
        if isinstance(child, ast.Call) and dotted(child.func).removeprefix("i18n.") in WORDS:
            yield child
        yield from _translations(child, skip)


def translates_for_all(nodes: Nodes) -> Iterator[str]:
    """Words put into the language of whoever comes first, for every visitor after: at import, in a
    default or a decorator, or in a function whose result a process keeps under a key without the
    language. An error that it raises is not kept."""
    function = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    found = [*_translations(nodes[0], function)]
    for node in nodes:
        if not isinstance(node, function):
            continue
        before = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
        before += getattr(node, "decorator_list", [])
        for part in before:
            found += _translations(ast.Expression(part), ())
        marks = {
            dotted(mark.func if isinstance(mark, ast.Call) else mark).removeprefix("functools.")
            for mark in getattr(node, "decorator_list", [])
        }
        names = {argument.arg.lstrip("_") for argument in node.args.args}
        if marks & CACHES and "language" not in names:
            found += _translations(node, (ast.Raise,))
    for call in found:
        yield f"line {call.lineno}: {ast.unparse(call)[:60]}"


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def walked(path: Path) -> Nodes:
    return list(ast.walk(parsed(path)))


def check(files: list[Path], rule: Rule) -> None:
    problems = [f"{where(path)}: {problem}" for path in files for problem in rule(walked(path))]
    assert not problems, "\n".join(problems)


def test_nothing_is_unpickled() -> None:
    check([*OURS, *TOOLS], unpickles)
    could = re.compile(r"pickle|dill|joblib|shelve|torch\s*\.\s*load")  # words of the rule
    tests = (REPO / "tests").rglob("*.py")
    check([path for path in tests if could.search(path.read_text(encoding="utf-8"))], unpickles)


def test_messages_for_the_user_can_be_translated() -> None:
    check([*OURS, *TOOLS], untranslated_errors)


def test_no_language_is_frozen_for_all_visitors() -> None:
    check([*OURS, *TOOLS], translates_for_all)


def counts_cores_by_itself(nodes: Nodes) -> Iterator[str]:
    """All of the machine's cores where those that this process may use are meant."""
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr in ("cpu_count", "sched_getaffinity"):
            yield f"line {node.lineno}: {ast.unparse(node)}: ask core.cores.cores()"


def test_cores_are_counted_in_one_place() -> None:
    ours = [path for path in [*OURS, *TOOLS] if path != REPO / "core/cores.py"]
    check(ours, counts_cores_by_itself)


def test_text_files_are_utf_8_on_every_machine() -> None:
    check([*OURS, *TOOLS], reads_in_the_locale)
    check([*OURS, *TOOLS], reads_json_by_itself)


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (unpickles, "import pickle"),
        (unpickles, "def f():\n    from joblib import load"),
        (unpickles, "torch.load(file)"),
        (unpickles, "torch.load(file, weights_only=False)"),
        (unpickles, "np.load(file, allow_pickle=True)"),
        (counts_cores_by_itself, "os.cpu_count() or 1"),
        (counts_cores_by_itself, "len(os.sched_getaffinity(0))"),
        (counts_cores_by_itself, "psutil.cpu_count()"),
        (reads_in_the_locale, "path.read_text()"),
        (reads_in_the_locale, "path.write_text(words)"),
        (reads_in_the_locale, "open(path)"),
        (reads_in_the_locale, "open(path, 'w')"),
        (reads_in_the_locale, "path.open('a')"),
        (reads_in_the_locale, "os.fdopen(handle, 'w', buffering=1)"),
        (reads_in_the_locale, "subprocess.run(command, text=True)"),
        (reads_json_by_itself, "json.loads(path.read_text(encoding='utf-8'))"),
        (reads_json_by_itself, "json.loads((folder / 'run.json').read_bytes())"),
        (reads_json_by_itself, "json.load(file)"),
        (translates_for_all, "NAMES = {'a': _('Bread')}"),
        (translates_for_all, "class A:\n    name = i18n._('Bread')"),
        (translates_for_all, "def f(name=food_class('Bread')): pass"),
        (translates_for_all, "def f(*, name=_('Bread')): pass"),
        (translates_for_all, "@marked(_('Bread'))\ndef f(): pass"),
        (translates_for_all, "@functools.lru_cache(maxsize=2)\ndef f(x): return [_('Bread'), x]"),
        (translates_for_all, "@st.cache_data(ttl=9)\ndef f(x): return ngettext('a', 'b', x)"),
        (untranslated_errors, "raise DataError('no')"),
        (untranslated_errors, "raise UserError(f'no {x}') from None"),
    ],
)
def test_the_rules_find_what_breaks_them(rule: Rule, source: str) -> None:
    assert list(rule(list(ast.walk(ast.parse(source)))))


def test_core_knows_no_screen() -> None:
    def screen(nodes: Nodes) -> Iterator[str]:
        for name in imports(nodes):
            if name.split(".")[0] in {"streamlit", "pages", "app", "tests", "tools"}:
                yield f"imports {name}"

    check(CORE, screen)


def test_the_app_does_without_the_tools() -> None:
    """What makes `pretrained/` and measures the project may be left out of an installation."""

    def tools(nodes: Nodes) -> Iterator[str]:
        yield from (f"imports {name}" for name in imports(nodes) if name.split(".")[0] == "tools")

    check(OURS, tools)
    assert list(tools(list(ast.walk(ast.parse("def f():\n    from tools.tables import x")))))


def module_of(path: Path) -> str:
    """The dotted name of a file of ours."""
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The first folder or file below core."""
    return (module.split(".") + [""])[1]


def imports_of_ours(files: list[Path]) -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports, anywhere but for annotations only."""
    ours = {module_of(path) for path in files}
    graph: dict[str, set[str]] = {}
    for path in files:
        annotations = {
            node
            for part in parsed(path).body
            if isinstance(part, ast.If) and dotted(part.test) == "TYPE_CHECKING"
            for node in ast.walk(part)
        }
        graph[module_of(path)] = set()
        for node in walked(path):
            names: list[str] = []
            if node in annotations:
                continue
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [name if name in ours else node.module for name in whole]
            graph[module_of(path)] |= {name for name in names if name in ours}
    return graph


def breaks_the_house(module: str, imported: str) -> bool:
    """Whether this import enters a room from where it may not be entered."""
    room = room_of(imported)
    return room in ROOMS and room_of(module) not in LOOK_AT_ALL | {room}


def test_the_floor_imports_no_room_and_rooms_import_no_room() -> None:
    found = [
        f"{module} imports {name}"
        for module, names in imports_of_ours(CORE).items()
        for name in sorted(names)
        if breaks_the_house(module, name)
    ]
    assert not found, "\n".join(found)
    assert breaks_the_house("core.charts.curves", "core.pruning.rows")
    assert breaks_the_house("core.low_rank.measure", "core.pruning.rows")
    assert not breaks_the_house("core.export.stack", "core.pruning.rows")
    assert not breaks_the_house("core.pruning.measure", "core.pruning.rows")


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle; empty where there is none."""
    left = {name: set(names) - {name} for name, names in graph.items()}
    while ends := [name for name, names in left.items() if not names & left.keys()]:
        for name in ends:
            del left[name]
    return sorted(left)


def test_no_import_runs_in_a_circle() -> None:
    assert not circle(imports_of_ours([*CORE, *PAGES, *KIT]))
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})


@pytest.mark.slow
def test_core_works_without_streamlit() -> None:
    run_python(
        """
import importlib, pkgutil, sys
class Closed:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "streamlit":
            raise ImportError("streamlit is closed for this test")
sys.meta_path.insert(0, Closed())
import core
for found in pkgutil.walk_packages(core.__path__, "core."):
    importlib.import_module(found.name)
"""
    )


def test_what_serves_and_draws_imports_no_torch() -> None:
    run_python(
        f"""
import importlib, sys
for name in {TORCH_FREE!r}:
    importlib.import_module(name)
    heavy = {{"torch", "torchvision", "streamlit"}} & set(sys.modules)
    assert not heavy, f"{{name}} imports {{heavy}}"
"""
    )


@pytest.mark.slow
@pytest.mark.parametrize("page", [REPO / "app.py", *PAGES], ids=where)
def test_pages_draw_without_torch(page: Path) -> None:
    run_python(
        f"""
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(page)!r}, default_timeout=60).run()
assert not app.exception, app.exception
assert "torch" not in sys.modules
"""
    )


def test_file_names_say_something() -> None:
    empty = {"utils", "util", "helpers", "helper", "misc", "common", "stuff"}
    assert not [where(path) for path in OURS if path.stem in empty]


def test_modules_say_their_idea_and_public_functions_their_contract() -> None:
    def silent(nodes: Nodes) -> Iterator[str]:
        tree = nodes[0]
        if isinstance(tree, ast.Module) and tree.body and not ast.get_docstring(tree):
            yield "the module has no docstring"
        for node in ast.iter_child_nodes(tree):
            if (
                isinstance(node, ast.FunctionDef | ast.ClassDef)
                and not node.name.startswith("_")
                and not ast.get_docstring(node)
            ):
                yield f"{node.name} has no docstring"

    check(CORE, silent)


def test_what_moves_asks_whether_the_visitor_wants_that() -> None:
    """A component's styles and scripts are its own: the rule of `frame.style` does not reach in."""
    moves = re.compile(r"\b(?:transition|animation)\b|@keyframes|requestAnimationFrame|setInterval")
    files = [file for kind in ("css", "js") for file in (REPO / "pages").rglob(f"*.{kind}")]
    moving = [file for file in files if moves.search(file.read_text(encoding="utf-8"))]
    assert (
        moving
        and [
            file
            for file in moving
            if "prefers-reduced-motion" not in file.read_text(encoding="utf-8")
        ]
        == []
    )


def test_no_file_names_a_place_on_one_machine() -> None:
    """Paths of somebody's machine help nobody else, and tell more than they should."""
    place = re.compile(r"/(?:root|home/\w+|work|tmp/sp|Users/\w+)/")
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    kinds = {".py", ".md", ".toml", ".txt", ".json", ".yml", ".yaml", ".cfg", ""}
    found = [
        f"{name}:{number}"
        for name in filter(None, tracked)
        if Path(name).suffix in kinds and (REPO / name) != Path(__file__)
        for number, line in enumerate((REPO / name).read_text(errors="replace").splitlines(), 1)
        if place.search(line)
    ]
    assert not found, found
