"""Report: what the visitor guessed and measured, under the homeworks' questions, and his words."""

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from core import i18n
from core.errors import UserError
from core.i18n import _, bracketed, paragraph
from core.report import (
    MOST_BYTES,
    QUESTIONS,
    Answer,
    Measurement,
    QuestionKey,
    Report,
    question_text,
    read,
)
from core.report.record import LONGEST_WORDS
from core.report.write import (
    in_markdown,
    missing,
    photo_html,
    settings_text,
    summary,
    to_html,
    to_markdown,
    verdict,
)
from pages.kit import frame, lab
from pages.kit.figure import table
from pages.kit.url_state import one_of

KEY = "report"
FIRST = ("convolutions", "temperature", "pruning", "quantization")
"""Pages to begin with, in an empty report."""


def main() -> None:
    """Draw the page."""
    st.title(frame.entry(KEY).question)
    st.markdown(
        _(
            "Your lab report collects what you guess and measure on every page, under the "
            "homeworks' questions. It lasts as long as this tab: download it before you leave."
        )
    )
    if refused := st.session_state.pop("report_refused", ""):
        st.error(refused, icon=":material/error:")
    notebook()
    frame.foot(KEY)


@frame.section
def notebook() -> None:
    """The questions beside what stands under the chosen one; the files; the rest in tabs."""
    report = lab.report()
    with frame.instrument(picture_first=False) as (controls, page):
        with controls:
            left = report.unanswered()
            marks = {key: key if key in left else f"{key} ✓" for key in QUESTIONS}
            key = one_of(st.pills, _("Question"), marks, "question", default="HW7 Q1", wrap=True)
        with page:
            question(report, key)
    report = lab.report()
    if report.is_empty():
        begin()
    else:
        lines = filter(None, [summary(report), missing(report)])
        st.markdown(_("**What you see.** {lines}").format(lines=paragraph(lines)))
    take_along(report)
    frame.tabs(
        [
            frame.Tab("quizzes", _("Quizzes"), partial(quizzes, report)),
            frame.Tab("others", _("Other pages"), partial(evidence, *report.under(None))),
        ]
    )


def question(report: Report, key: QuestionKey) -> None:
    """One question, what the visitor has for it, and room for his words."""
    st.markdown(f"**{key}** {question_text(key)}")
    evidence(*report.under(key))
    widget = f"report_words_{list(QUESTIONS).index(key)}"
    if widget not in st.session_state:
        st.session_state[widget] = report.words.get(key, "")
    st.text_area(
        _("Your answer"), key=widget, max_chars=LONGEST_WORDS, height=160,
        on_change=_write, args=(widget, key),
    )  # fmt: skip
    with st.container(horizontal=True):
        for entry in map(frame.entry, QUESTIONS[key]):
            frame.page_link(entry, entry.name)


def _write(widget: str, key: QuestionKey) -> None:
    lab.keep(lab.report().with_words({key: st.session_state[widget]}))


def evidence(answers: Sequence[Answer], measured: Sequence[Measurement]) -> None:
    """Guesses and measurements as tables; a sentence where there are none."""
    if answers:
        table(
            {
                _("Question"): [in_markdown(each.question) for each in answers],
                _("Your guess"): [in_markdown(each.said or "–") for each in answers],
                _("Answer"): [in_markdown(verdict(each)) for each in answers],
            },
            n_text=3,
        )
    if measured:
        table(
            {
                _("Measured"): [in_markdown(settings_text(each)) for each in measured],
                _("Result"): [in_markdown(each.result) for each in measured],
            },
            n_text=2,
        )
    if photos := [each for each in measured if each.picture]:
        pictures = "".join(map(photo_html, photos))
        st.html(f"<div style='display: flex; flex-wrap: wrap; gap: 1rem'>{pictures}</div>")
    if not (answers or measured):
        st.caption(_("No guess and no measurement yet."))


def quizzes(report: Report) -> None:
    """Every answer in a quiz."""
    evidence([each for each in report.answers if each.is_quiz], ())


def begin() -> None:
    """What to do while the report is empty."""
    st.markdown(_("Nothing is in it yet. Begin with a guess, or open a report again:"))
    with st.container(horizontal=True):
        for entry in map(frame.entry, FIRST):
            frame.page_link(entry, entry.name)


def take_along(report: Report) -> None:
    """The report's files, and the way back in."""
    address = (st.context.url or "").split("?", 1)[0].rstrip("/").removesuffix(f"/{KEY}")
    files: list[tuple[str, str, str, str, Callable[[], bytes]]] = [
        ("html", _("To print"), "text/html", ":material/print:",
         lambda: to_html(report, address).encode()),
        ("md", _("Markdown"), "text/markdown", ":material/description:",
         lambda: to_markdown(report).encode()),
        ("json", _("To open again"), "application/json", ":material/save:", report.to_json),
    ]  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for kind, label, mime, icon, make in files:
            st.download_button(
                bracketed(label, f".{kind}"), partial(_in_language, i18n.language(), make),
                mime=mime, file_name=f"small-plates-report.{kind}", icon=icon,
                key=f"report_{kind}", on_click="ignore", disabled=report.is_empty(),
            )  # fmt: skip
        with st.popover(_("Name, open again"), icon=":material/folder_open:"):
            if "report_author" not in st.session_state:
                st.session_state["report_author"] = report.author
            st.text_input(
                _("Your name, if your lecturer wants it"), key="report_author", max_chars=100,
                on_change=_sign,
            )  # fmt: skip
            number = st.session_state.get("report_files", 0)  # another key empties the uploader
            widget = f"report_file_{number}"
            st.file_uploader(
                _("Open a report again (.json): it is added to this one"), type=["json"],
                key=widget, max_upload_size=MOST_BYTES // 1_000_000,
                on_change=_open, args=(widget,),
            )  # fmt: skip


def _in_language(language: str, make: Callable[[], bytes]) -> bytes:
    """`make()` in the visitor's language: a file is made outside of the page's run."""
    i18n.set_language(language)
    return make()


def _sign() -> None:
    lab.keep(lab.report().with_words({}, st.session_state["report_author"]))


def _open(widget: str) -> None:
    """Add an uploaded report to the session's, or say why not."""
    file = st.session_state.get(widget)
    if file is None:
        return
    try:
        lab.keep(lab.report().merged(read(file.getvalue())))
    except UserError as error:
        st.session_state["report_refused"] = str(error)
    st.session_state["report_files"] = st.session_state.get("report_files", 0) + 1
    for key in ("report_author", *(f"report_words_{at}" for at in range(len(QUESTIONS)))):
        st.session_state.pop(key, None)  # they show the report as it is now


if __name__ == "__main__":
    main()
