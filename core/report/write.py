"""A report as a page to print and as Markdown, laid out under the homeworks' questions.

Whatever stands in a report may have been typed by anybody: both files show it as plain text.
"""

import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from core.charts.theme import glyph
from core.i18n import _, bracketed, language, paragraph
from core.report.chart import charts
from core.report.questions import QUESTIONS, QuestionKey, question_text
from core.report.record import Answer, Entry, Measurement, Report

_STYLE = """
body {font: 16px/1.5 sans-serif; color: #2b2320; max-width: 46rem; margin: 2rem auto;
  padding: 0 1rem}
h1, h2 {font-family: serif; line-height: 1.2} h2 {margin: 2rem 0 0.3rem}
table {border-collapse: collapse; width: 100%; margin: 0.6rem 0; font-size: 0.9rem}
th, td {text-align: left; vertical-align: top; padding: 0.25rem 0.6rem 0.25rem 0;
  border-bottom: 1px solid #ddd0be; overflow-wrap: anywhere}
th, td:last-child {white-space: nowrap} td:nth-child(2):not(:last-child) {min-width: 5rem}
.words {white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid #a8431f;
  padding-left: 0.8rem}
.quiet {color: #6a5e56} svg {max-width: 100%; height: auto}
@media print {body {margin: 0; max-width: none; font-size: 11pt}
  section, tr, figure {break-inside: avoid}
  h2 {break-after: avoid} a {color: inherit; text-decoration: none}}
"""


Table = list[tuple[str, ...]]
"""A heading and rows of as many cells; the last cell is a link, or empty."""


class _Part(NamedTuple):
    """A heading, and what stands under it."""

    heading: str
    text: str
    """What is asked; empty for what belongs to no question."""
    words: str | None
    """The visitor's own; None where none are asked for."""
    tables: list[Table]
    charts: list[str]
    photos: list[Measurement]


def summary(report: Report) -> str:
    """How much was done, in a sentence."""
    guesses, quizzes = report.guesses(), report.quizzes()
    return _(
        "Questions answered: {answered} of {questions}. Guesses right: {right} of {guesses}. Quiz "
        "answers right: {quiz} of {quizzes}. Measured: {measured}."
    ).format(
        answered=len(QUESTIONS) - len(report.unanswered()),
        questions=len(QUESTIONS),
        right=sum(each.right is True for each in guesses),
        guesses=len(guesses),
        quiz=sum(each.right is True for each in quizzes),
        quizzes=len(quizzes),
        measured=len(report.measured),
    )


def missing(report: Report) -> str:
    """Which questions have no words yet; empty where all have."""
    left = report.unanswered()
    return _("Not answered yet: {names}.").format(names=_(", ").join(left)) if left else ""


def verdict(answer: Answer) -> str:
    """What became of a guess: its mark and the answer as the page gave it."""
    if not answer.said:
        return _("looked at the answer")
    if answer.right is None:
        return _("answer not shown yet")
    slot, words = ("correct", _("Right.")) if answer.right else ("wrong", _("Not quite."))
    return f"{glyph(slot)} {paragraph([words, answer.truth])}"


def setting_titles() -> dict[str, str]:
    """What a reader calls the settings that something is measured with."""
    return {
        "in_channels": _("input channels"),
        "out_channels": _("output channels"),
        "groups": _("groups"),
        "map_size": _("map size"),
        "kernel_size": _("kernel size"),
        "stride": _("stride"),
        "padding": _("padding"),
        "ratio": _("ratio"),
        "bits": _("bits"),
        "energy": _("energy"),
        "epochs": _("epochs"),
        "temperature": _("temperature"),
    }


def page_title(key: str) -> str:
    """What the contents call a page of which there are measurements."""
    return {
        "compare": _("Compare"),
        "convolutions": _("Convolutions"),
        "architecture": _("Architecture"),
        "training": _("Training"),
        "pruning": _("Pruning"),
        "quantization": _("Quantisation"),
        "low_rank": _("Low rank"),
        "export": _("Export"),
    }.get(key, key)


def settings_text(entry: Measurement) -> str:
    """With which settings something was measured, short; numbers with the setting's name."""
    titles = setting_titles()
    texts = (
        f"{titles.get(name, name.replace('_', ' '))} {text}"
        if re.fullmatch(r"[\d.]+|True|False", text)
        else text
        for name, text in entry.settings.items()
    )
    return _(", ").join(texts) or entry.about


def _tables(answers: Sequence[Answer], measured: Sequence[Measurement]) -> list[Table]:
    tables: list[Table] = []
    if answers:
        rows = [(each.question, each.said or "–", verdict(each), each.link) for each in answers]
        tables.append([(_("Question"), _("My guess"), _("Answer"), ""), *rows])
    if measured:
        rows = [
            (
                bracketed(settings_text(each), page_title(each.page)),
                each.result,
                _when(each),
                each.link,
            )
            for each in measured
        ]
        tables.append([(_("Measured"), _("Result"), _("When (UTC)"), ""), *rows])
    return tables


def photo_html(entry: Measurement) -> str:
    """The photo that a measurement is about, with its name."""
    name = escape(settings_text(entry))
    return (
        f'<figure><img src="data:image/jpeg;base64,{entry.picture}" alt="{name}">'
        f'<figcaption class="quiet">{name}</figcaption></figure>'
    )


def _when(entry: Entry) -> str:
    return f"{entry.when:%Y-%m-%d %H:%M}"


def _parts(report: Report, with_charts: bool) -> list[_Part]:
    drawn = charts(list(report.measured)) if with_charts else {}
    keys: list[QuestionKey | None] = [*QUESTIONS, None]
    parts = []
    for key in keys:
        answers, measured = report.under(key)
        pages = {each.page for each in measured}
        pictures = [svg for (page, *_rest), svg in drawn.items() if page in pages]
        if key is None and not (answers or measured):
            continue
        heading, text = (key, question_text(key)) if key else (_("Other pages"), "")
        words = report.words.get(key, "") if key else None
        photos = [each for each in measured if each.picture]
        parts.append(_Part(heading, text, words, _tables(answers, measured), pictures, photos))
    if quizzes := [each for each in report.answers if each.is_quiz]:
        parts.append(_Part(_("Quizzes"), "", None, _tables(quizzes, ()), [], []))
    return parts


def _title(report: Report) -> str:
    title = _("Lab report: how a big network becomes a small one")
    return bracketed(title, report.author) if report.author else title


def to_html(report: Report, base: str = "") -> str:
    """One file without scripts or anything from elsewhere; prints well.

    `base`: the address of the app, for links to each setting; without it, or where it is no web
    address, there are none.
    """
    is_web = re.match(r"https?://[^\s<>\"']+\Z", base) is not None
    body = [f"<h1>{escape(_title(report))}</h1>", f"<p>{escape(summary(report))}</p>"]
    if left := missing(report):
        body.append(f"<p><strong>{escape(left)}</strong></p>")
    for part in _parts(report, with_charts=True):
        body.append(f"<section><h2>{escape(part.heading)}</h2>")
        if part.text:
            body.append(f"<p>{escape(part.text)}</p>")
        if part.words is not None:
            words = escape(part.words) or f'<span class="quiet">{escape(_("No words yet."))}</span>'
            body.append(f'<div class="words">{words}</div>')
        for head, *rows in part.tables:
            cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
            body.append(f"<table><thead><tr>{cells}</tr></thead>")
            for *texts, link in rows:
                cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
                address = escape(f"{base.rstrip('/')}/{link}")
                go = f'<a href="{address}">{escape(_("open"))}</a>' if is_web else ""
                body.append(f"<tr>{cells}<td>{go}</td></tr>")
            body.append("</table>")
        body += map(photo_html, part.photos)
        for svg in part.charts:
            caption = _("Curve: shipped with the app. Stars: measured by me.")
            body.append(
                f'<figure>{svg}<figcaption class="quiet">{escape(caption)}</figcaption></figure>'
            )
        body.append("</section>")
    return (
        f'<!doctype html>\n<html lang="{language()}"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(_title(report))}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def in_markdown(text: str) -> str:
    """One line that Markdown, or a cell of its tables, shows as it is."""
    return re.sub(r"([\\`*_\[\]<>|#&~$:])", r"\\\1", " ".join(text.split()))


def to_markdown(report: Report) -> str:
    """The same without charts; the visitor's words as quotations."""
    lines = [f"# {in_markdown(_title(report))}", "", in_markdown(summary(report))]
    if left := missing(report):
        lines += ["", f"**{in_markdown(left)}**"]
    for part in _parts(report, with_charts=False):
        lines += ["", f"## {part.heading}", ""]
        if part.text:
            lines += [in_markdown(part.text), ""]
        if part.words is not None:
            words = [in_markdown(line) for line in part.words.split("\n")] if part.words else []
            lines += [f"> {line}".rstrip() for line in words or [_("No words yet.")]]
        for head, *rows in part.tables:
            lines += [
                "",
                f"| {' | '.join(map(in_markdown, head[:-1]))} |",
                "|" + " --- |" * (len(head) - 1),
            ]
            lines += [f"| {' | '.join(map(in_markdown, row[:-1]))} |" for row in rows]
    return "\n".join(lines) + "\n"
