"""`python -m tools words`: the catalogues hold exactly the words of the app, and are compiled.

A translator edits `core/locale/<language>/LC_MESSAGES/smallplates.po`; `update` brings it to what
the code says now (what is new has no translation yet, what is gone goes) and writes the .mo beside
it, which is what the app reads. `faults` says what a catalogue lacks.
"""

import ast
import difflib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from core.checkpoints import load_manifest
from core.cli.answer import NOT_OK, OK, Answer
from core.i18n import DOMAIN, LANGUAGES, LOCALE_DIR, SOURCE_LANGUAGE, _, locale_of
from core.models.registry import MODELS
from core.paths import REPO, write_atomic

KEYWORDS = {"_": 1, "ngettext": 2}
"""Function -> how many texts it takes first."""
SOURCES = ("app.py", "core", "pages", "tools")

MARKUP = re.compile(
    r"\{[^{}]*\}"  # a placeholder with its format
    r"|\*\*|`[^`]*`|\$[^$]+\$|:[a-z_]+/[a-z_0-9]+:|\]\([^)]*\)|^#+ |^[-*] |\n"
    r"|</?[a-z]+[0-9]?(?: [^<>]*=[^<>]*)?>",
    re.MULTILINE,
)
"""What must stand in a translation as often as in its source."""
HAN = "\u3400-\u9fff"
LOOKALIKES = frozenset("体机万与听适胜云广儿么术几")
"""Simplified characters that Big5, Taiwan's character set, has too, for other, rare words."""
MAINLAND = re.compile(
    "信息|視頻|網絡|數據|默認|軟件|硬件|服務器|內存|屏幕|鼠標|設置|打印|用戶|加載|緩存|線程|進程|字節"
    "|比特|過擬合|激活|批量|質量|圖像|點擊|鏈接|數組|變量|保存|優化|信道|精度|調用|循環|文件夾|運行"
    "|全連接|分辨率|像素點|菜單|采樣|反饋|博客"
)
"""Words that a reader in Taiwan would not use: 資訊, 影片, 網路, 資料, 預設, 軟體, 檔案 ... are."""


class _Words(Catalog):
    """With a header of no date and no version of Babel: the same words make the same files."""

    def __iter__(self) -> Iterator[Message]:
        _header, *messages = super().__iter__()
        facts = {
            "MIME-Version": "1.0",
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Transfer-Encoding": "8bit",
            "Language": self.locale_identifier,
            "Plural-Forms": self.plural_forms,
        }
        yield Message("", "\n".join(f"{name}: {text}" for name, text in facts.items()))
        yield from messages


@dataclass(frozen=True)
class Fault:
    """What is wrong with one message of a catalogue."""

    message: str
    what: str

    def __str__(self) -> str:
        return f"{self.what}: {self.message!r}"


def po_file(code: str) -> Path:
    """The catalogue of a language that its translator edits."""
    return LOCALE_DIR / locale_of(code) / "LC_MESSAGES" / f"{DOMAIN}.po"


def translated_languages() -> list[str]:
    """All languages but the source's."""
    return [code for code in LANGUAGES if code != SOURCE_LANGUAGE]


def messages_of(source: str) -> Iterator[str | tuple[str, str]]:
    """The messages that a program passes to `KEYWORDS`, those inside f-strings too.

    Babel's own extraction passes over f-strings before Python 3.12.
    """
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node.func, ast.Name) else name
        first = node.args[: KEYWORDS.get(name, 0)]
        texts = [each.value for each in first if isinstance(each, ast.Constant)]
        match [text for text in texts if isinstance(text, str)]:
            case [text] if text and name == "_":
                yield text
            case [text, many]:
                yield text, many


def words(code: str) -> Catalog:
    """Every message of the code, every network's title and data set, without translations."""
    catalogue = _Words(locale=locale_of(code), domain=DOMAIN, fuzzy=False)
    catalogue.header_comment = "# The words of Small Plates. `python -m tools words` keeps them."
    for source in SOURCES:
        top = REPO / source
        for file in sorted(top.rglob("*.py")) if top.is_dir() else [top]:
            place = [(file.relative_to(REPO).as_posix(), 1)]
            for message in messages_of(file.read_text(encoding="utf-8")):
                catalogue.add(message, locations=place)
    for key in MODELS:
        catalogue.add(MODELS[key].title, locations=[("core/models/registry.py", 1)])
    for checkpoint in load_manifest().values():
        more = checkpoint.data.more
        names = [checkpoint.title, checkpoint.data.name, *([more.name] if more else [])]
        for name in names:
            catalogue.add(name, locations=[("pretrained/manifest.json", 1)])
    for entry in catalogue:
        entry.locations = sorted(set(entry.locations))
        entry.flags.clear()  # Babel's guess at a format: checked here instead
    return catalogue


def read(code: str) -> Catalog:
    """A language's catalogue as its translator left it; empty where there is none."""
    try:
        return read_po(BytesIO(po_file(code).read_bytes()), locale=locale_of(code), domain=DOMAIN)
    except FileNotFoundError:
        return Catalog(locale=locale_of(code), domain=DOMAIN)


def updated(code: str) -> Catalog:
    """`words` with the translations that the catalogue has for them."""
    catalogue, kept = words(code), read(code)
    for message in catalogue:
        if message.id and (former := kept.get(message.id)) is not None:
            message.string = former.string
            message.flags |= former.flags & {"fuzzy"}
    return catalogue


def texts_of(catalogue: Catalog) -> tuple[bytes, bytes]:
    """The .po and .mo files of a catalogue."""
    po, mo = BytesIO(), BytesIO()
    write_po(po, catalogue, width=100, sort_output=True, include_lineno=False)
    write_mo(mo, catalogue)
    return po.getvalue(), mo.getvalue()


def update(code: str) -> list[Fault]:
    """Write both files of a language; returns what they lack."""
    catalogue = updated(code)
    po, mo = texts_of(catalogue)
    po_file(code).parent.mkdir(parents=True, exist_ok=True)
    write_atomic(po_file(code), po)
    write_atomic(po_file(code).with_suffix(".mo"), mo)
    return list(faults(catalogue))


def faults(catalogue: Catalog) -> Iterator[Fault]:
    """What a reader would stumble over: no translation, lost markup, another script's words."""
    for message in catalogue:
        if message.id:
            yield from _faults_of(message)


def _faults_of(message: Message) -> Iterator[Fault]:
    sources = [message.id] if isinstance(message.id, str) else list(message.id)
    string = message.string or ""
    texts = [string] if isinstance(string, str) else list(string)
    if not texts or not all(texts):
        yield Fault(sources[0], "no translation")
        return
    if message.fuzzy:
        yield Fault(sources[0], "fuzzy")
    allowed = [Counter(MARKUP.findall(source)) for source in sources]
    for text in texts:
        if (markup := Counter(MARKUP.findall(text))) not in allowed:
            lost = "differs"
            for wanted in allowed[-1:]:
                lost = f"lacks {dict(wanted - markup)}, has more {dict(markup - wanted)}"
            yield Fault(sources[0], f"markup or placeholder {lost}")
        yield from (Fault(sources[0], what) for what in style_faults(text))


def style_faults(text: str) -> Iterator[str]:
    """What a sentence in Traditional Chinese of Taiwan does not hold."""
    yield from _broken_emphasis(text)
    plain = MARKUP.sub("\N{WORD JOINER}", text)
    if simplified := sorted(filter(_is_simplified, set(plain))):
        yield f"simplified characters {''.join(simplified)}"
    yield from (f"the word {word}" for word in sorted(set(MAINLAND.findall(plain))))
    for pattern, what in (
        (rf"[{HAN}][A-Za-z0-9]|[A-Za-z0-9%][{HAN}]", "no space between Han and Latin characters"),
        (r"[\d}] %", "space before a percent sign"),
        (rf"[{HAN}] ?[,;:?!()]|[,;:?!(] ?[{HAN}]|[{HAN}]\.(?!\.)", "half-width punctuation"),
        (
            r" [，。；：？！、）」]|[，。；：？！、（「] (?=\S)",
            "space beside full-width punctuation",
        ),
    ):
        for match in re.finditer(pattern, plain):
            yield f"{what} at {match[0]!r}"


def _broken_emphasis(text: str) -> Iterator[str]:
    """Marks that Markdown leaves as they are: between a punctuation mark inside and a word outside.

    A reader of "**甲。**乙" sees the asterisks; "**甲**。乙" and "**甲？** 乙" are bold.
    """
    parts = re.split(r"\*\*|(?<!\\)\*", re.sub(r"`[^`]*`|\$[^$]+\$", "x", text))
    for before, inside, after in zip(parts[::2], parts[1::2], parts[2::2], strict=False):
        opens = not (inside[:1].isalnum() or inside[:1] == "{") and before[-1:].isalnum()
        closes = not (inside[-1:].isalnum() or inside[-1:] == "}") and after[:1].isalnum()
        if inside and (opens or closes or (inside[-1:] in "。：" and after[:1] == "{")):
            yield f"emphasis that does not show: {inside[:20]}"


def _is_simplified(letter: str) -> bool:
    if not "\u3400" <= letter <= "\u9fff":
        return False
    return letter in LOOKALIKES or not letter.encode("big5", "ignore")


@dataclass
class Words:
    """Bring the catalogues of core/locale to the words of the app, and compile them."""

    check: bool = False
    """Only say what they lack, and whether they are up to date; exit code 1 if not."""

    json: bool = False
    """Print one JSON document and nothing else."""

    def run(self) -> Answer:
        lines, document, good = [], {}, True
        for code in translated_languages():
            former = read(code)
            old = [message.id for message in former if isinstance(message.id, str) and message.id]
            problems = list(faults(updated(code))) if self.check else update(code)
            current = is_current(code)
            good = good and current and not problems
            document[code] = {
                "current": current,
                "faults": [{"message": each.message, "fault": each.what} for each in problems],
            }
            lines.append(_("{language}: {n} faults.").format(language=code, n=len(problems)))
            if not current:
                lines.append(_("Out of date. Bring it up to date with: python -m tools words"))
            for fault in problems:
                lines.append(f"  {fault}")
                near = difflib.get_close_matches(fault.message, old, 1, 0.85)
                if near and near[0] != fault.message:  # what it was before its words changed
                    lines.append(f"    {near[0]!r}: {former[near[0]].string!r}")
        return Answer(document, "\n".join(lines), NOT_OK if self.check and not good else OK)


def is_current(code: str) -> bool:
    """Whether both files are what `update` would write."""
    po, mo = texts_of(updated(code))
    file = po_file(code)
    try:
        return file.read_bytes() == po and file.with_suffix(".mo").read_bytes() == mo
    except FileNotFoundError:
        return False
