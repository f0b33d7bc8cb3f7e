"""Export: one network as every file it can be shipped as, and the whole way to a 300 KB file."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.runtime import get_instance

from core.charts import numbers
from core.charts.theme import role_of
from core.checkpoints import Checkpoint
from core.course import CLASSES, SIZE_LIMITS_BYTES
from core.data.dreams import MARK, SHOW_PX, DreamSet, sheet_jpeg, tiles
from core.errors import CheckpointError, ClassroomError, DataError
from core.export import chart
from core.export.browser import ENGINE, BrowserFormat, browser_file
from core.export.card import shipping_card
from core.export.chart import Measure, file_rows, format_about, format_title, stack_rows
from core.export.files import RUNS, FilePoint, FileRow, Shipping, file_name, obstacle, shipped
from core.export.stack import FORMATS, RUNTIMES, STEPS, Format, Stack
from core.i18n import _, food_class, labelled, language, ngettext, paragraph, set_language
from core.pruning.chart import method_title
from core.pruning.rows import PruningGrid
from core.source_text import source_of
from pages.kit import frame, guess, networks, photos, quiz, room, url_state
from pages.kit.figure import data_button, show, source, table
from pages.kit.live import LivePoint
from pages.kit.provenance import provenance
from pages.kit.url_state import one_of

KEY = "export"
_device = st.components.v2.component(
    "small_plates_device",
    css=Path(__file__).with_suffix(".css").read_text(encoding="utf-8"),
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
)


def main() -> None:
    """Draw the page."""
    st.title(frame.entry(KEY).question)
    st.markdown(
        _(
            "One trained network, five files. They differ in bytes, in speed, and a little in "
            "their answers. Choose one and download it."
        )
    )
    checkpoints = networks.checkpoints()
    if not checkpoints:
        networks.explain_empty()
        st.stop()
    files(checkpoints)
    frame.foot(KEY)


class Known(NamedTuple):
    """Rows to show, and where they were measured: shipped with the app, or here, just now."""

    rows: tuple[FileRow, ...]
    shipping: Shipping | None
    """The shipped rows; None if the rows are from here."""


@frame.section
def files(checkpoints: list[Checkpoint]) -> None:
    """The files of a network as bars, hidden until there is a guess; the rest in tabs."""
    with frame.instrument() as (controls, picture):
        with controls:
            checkpoint = choose_network(checkpoints)
            measures: dict[Measure, str] = {"bytes": _("Bytes"), "time": _("Time")}
            measure = one_of(
                st.segmented_control, _("Compare by"), measures, "measure", default="bytes",
                required=True,
            )  # fmt: skip
        known = known_rows(checkpoint)
        with picture:
            is_open = bars(checkpoint, known, measure) if known else explain_missing()
    stack = partial(Stack.first_of, checkpoints, say_damage)

    def half_the_time() -> None:
        trap(known if is_open and measure == "time" or guess.is_revealed() else None)

    def limits() -> None:
        homework(known if is_open else None, stack())

    frame.tabs(
        [
            frame.Tab("take", _("Download"), partial(downloads, checkpoint, known)),
            frame.Tab(
                "device",
                _("On your device"),
                partial(on_this_device, checkpoint, checkpoints),
                settings=("device_networks", "device_weights"),
            ),
            frame.Tab("way", _("Step by step"), lambda: whole_way(checkpoints, stack())),
            frame.Tab("figures", _("All figures"), partial(figures, checkpoint, known, is_open)),
            frame.Tab("why", _("Why"), partial(why, checkpoint)),
            frame.Tab("trap", _("Trap"), half_the_time),
            frame.Tab("homework", _("Homework"), limits),
            quiz.tab(partial(_quiz, known), checkpoint.id, guess.Guess(None, is_open)),
        ]
    )


def choose_network(checkpoints: list[Checkpoint]) -> Checkpoint:
    """The menu of networks: a distilled student, the best ones and the visitor's; then all."""
    students = [
        checkpoint.id
        for checkpoint in checkpoints
        if checkpoint.recipe == "distilled" and role_of(checkpoint) == "distilled"
    ][:1]
    best = networks.best_student(checkpoints)
    first = {*students, *networks.starters(checkpoints), *networks.own()}
    first |= {best.id} if best else set()
    ordered = sorted(checkpoints, key=lambda checkpoint: checkpoint.id not in students)
    return networks.choose_one(_("Network"), ordered, "network", first)


def known_rows(checkpoint: Checkpoint) -> Known | None:
    """What was measured of this network's files: here, just now, or else what is shipped."""
    for job in RUNS.finished(checkpoint.id, checkpoint.weights_sha256):
        return Known(job.rows, None)
    shipping = networks.measured_rows(Shipping, [checkpoint]).get(checkpoint.id)
    return Known(shipping.rows, shipping) if shipping else None


def say_damage(error: CheckpointError) -> None:
    """A stored file that cannot be read is named; the page goes on without it."""
    st.error(str(error), icon=":material/error:")


def explain_missing() -> bool:
    """Say that nothing was measured yet and how to get it, and what each file is."""
    st.info(
        _(
            "The files of this network are not measured yet. “Make it here” under *All figures* "
            "measures them now; this command measures all networks:"
        ),
        icon=":material/query_stats:",
    )
    st.code("python -m core reproduce --steps shipping", language="bash")
    lines = [
        "- " + labelled(f"**{format_title(format)}**", format_about(format)) for format in FORMATS
    ]
    st.markdown("\n".join(lines))
    return False


def bars(checkpoint: Checkpoint, known: Known, measure: Measure) -> bool:
    """The bars, the guess that opens them, what they say; whether the answer is open."""
    rows, fastest = known.rows, chart.fastest(known.rows)
    if measure == "time" and not fastest:
        st.info(_("These files were not timed: python -m core reproduce --steps shipping"))
        return True
    if measure == "bytes":
        offered, right, key = FORMATS, [chart.smallest(rows)], "guess_smallest"
        question = _("Guess: which of these files is the smallest?")
    else:
        offered = tuple(format for format in FORMATS if RUNTIMES[format] != "none")
        right, key = fastest, "guess_fastest"
        question = _("Guess: which one answers fastest, one photo at a time?")
    place = st.container()
    answer = guess.ask(
        question, {format: format_title(format) for format in offered}, key, checkpoint.id
    )
    table = file_rows(checkpoint, rows)
    shown = FORMATS if answer.is_open else ("onnx",)
    with place:
        show(
            chart.files_chart(table, measure, shown),
            chart.files_alt(table, measure, shown),
            key="sizes" if measure == "bytes" else "times",
        )
        if measure == "bytes":
            st.caption(_("Short lines: HW7's limits for a file."))
    words = chart.guess_answer(rows, answer.value, right, measure)
    guess.verdict(answer, answer.value in right, words)
    if not answer.is_open:
        return False
    lines = chart.size_lines(rows) if measure == "bytes" else chart.time_lines(rows)
    st.markdown(_("**What you see.** {lines}").format(lines=paragraph(lines)))
    if measure == "time":
        st.caption(
            _(
                "Median and quartiles of repeated calls for one photo; one thread, all in turn, on "
                "{device}. safetensors runs in torch, the others in ONNX Runtime. HW7's file is "
                "decoded to float32 first, so it has no time of its own."
            ).format(device=known.shipping.device if known.shipping else _("this machine"))
        )
    return True


def downloads(checkpoint: Checkpoint, known: Known | None) -> None:
    """The chosen file and its card; where it cannot be made here, why."""
    titles = {format: format_title(format) for format in FORMATS}
    format: Format = one_of(
        st.pills, _("Which file?"), titles, "file", default="onnx", required=True
    )
    name = file_name(checkpoint.id, format)
    st.markdown(format_about(format))

    def card(language: str) -> bytes:
        set_language(language)  # a file is made outside of the page's run
        data, measured = shipped(checkpoint.id, format), known.shipping if known else None
        return shipping_card(checkpoint, format, name, data, measured).encode()

    if reason := obstacle(checkpoint.id, format):
        st.caption(reason)
    else:
        with st.container(horizontal=True):  # side by side on a phone, too
            st.download_button(
                _("File"),
                partial(shipped, checkpoint.id, format),
                file_name=name,
                mime="application/octet-stream",
                icon=":material/download:",
                key=f"file_{format}",
                on_click="ignore",
                help=name,
            )
            st.download_button(
                _("Model card"),
                partial(card, language()),
                file_name=f"{name}.md",
                mime="text/markdown",
                icon=":material/description:",
                key=f"card_{format}",
                on_click="ignore",
            )
    st.caption(
        _(
            "A file is made at the first download, then kept for everybody. The model card says "
            "what the network was trained on, how often it is right, and its licence."
        )
    )
    st.code(f"python -m core export {checkpoint.id} --format {format}", language="bash")


def on_this_device(checkpoint: Checkpoint, checkpoints: list[Checkpoint]) -> None:
    """Students that run in the visitor's own browser, on its camera or a picture, and how fast."""
    students = [each for each in checkpoints if each.family == "student"]
    if not students:
        st.info(_("No trained student is here: teachers are too large to load for a look."))
        return
    best = networks.best_student(students)
    first = [each.id for each in (checkpoint, best) if each in students]
    chosen = networks.choose(students, first or [students[0].id], "device_networks")
    weights: BrowserFormat = one_of(
        st.segmented_control, _("Weights"), networks.weights_titles(), "device_weights",
        default="safetensors", required=True,
    )  # fmt: skip
    listed = []
    for number, network in enumerate(chosen):
        try:
            made = browser_file(network, weights)
        except CheckpointError as error:
            st.error(labelled(network.id, str(error)), icon=":material/error:")
            continue
        listed.append(
            {
                "id": network.id,
                "name": networks.name_of(network),
                "crop": network.crop,
                "plan": _address(made.plan.encode(), "application/json", f"plan-{number}"),
                "weights": _address(made.weights, "application/octet-stream", f"net-{number}"),
            }
        )
    if not listed:
        return
    _device(
        key="device",
        on_measured_change=partial(send_to_class, weights, [str(each["id"]) for each in listed]),
        data={
            "networks": listed,
            "in_room": room.seat() is not None,
            "classes": [food_class(name) for name in CLASSES],
            "engine": _address(ENGINE.read_bytes(), "text/javascript", "engine"),
            "pictures": _generated_pictures(),
            "text": _device_words(),
        },
    )
    if problem := st.session_state.pop("device_problem", ""):
        st.error(problem, icon=":material/error:")
    class_devices(f"{listed[0]['id']} {weights}")
    st.caption(
        _(
            "Your camera's pictures stay on this device: the files are loaded once, then nothing "
            "is sent. Milliseconds: median of up to 31 pictures in this browser, one after the "
            "other. The browser scales a photo slightly differently from the server, so answers "
            "can differ a little; for equal pixels they are equal."
        )
    )
    lesson = st.expander(
        _("The whole engine: {n} lines of JavaScript").format(
            n=len(ENGINE.read_text(encoding="utf-8").splitlines())
        ),
        key="engine_source",
        on_change="rerun",
    )
    if lesson.open:
        lesson.markdown(
            _(
                "No library: this file does all the computing in your browser. Read `convolve` "
                "first: it takes nearly all the time."
            )
        )
        lesson.code(ENGINE.read_text(encoding="utf-8"), language="javascript", height=500)


def send_to_class(weights: BrowserFormat, ids: Sequence[str]) -> None:
    """The visitor has sent what this browser measured: the room keeps a time for each network.

    `ids`: the networks on the screen. The browser can send anything; what is not a time of one of
    them is refused.
    """
    sent = st.session_state["device"].get("measured")
    times = sent.get("times") if isinstance(sent, dict) else None
    try:
        for id in ids:
            if isinstance(times, dict) and id in times:
                room.report(f"{id} {weights}", sent.get("device"), times[id])
    except ClassroomError as error:
        st.session_state["device_problem"] = str(error)


@frame.section
def class_devices(about: str) -> None:
    """The devices of the class, where the visitor is in a room; drawn anew when one comes in."""
    place = room.seat()
    if place is None:
        return
    pulse = room.rooms().pulse(place.room.door)
    room.devices(about)
    room.listen("room_devices", pulse)


def _address(data: bytes, mimetype: str, place: str) -> str:
    """Where the browser finds these bytes; a place holds one file of a session at a time."""
    manager = get_instance().media_file_mgr
    return manager.add(data, mimetype, f"export-device-{place}")


@st.cache_resource(max_entries=2, show_spinner=False)
def _row(px: int, sheets: tuple[tuple[str, int], ...], _chosen: DreamSet) -> bytes:
    """The first generated picture of each class, one beside the other: a JPEG file, shared by all.

    `px` and `sheets` (hash and class of each) are the key of the cache.
    """
    row = [tiles(_chosen, label)[0] for _sha256, label in sheets]
    return sheet_jpeg(np.stack(row), len(row), 92)


def _generated_pictures() -> dict[str, Any]:
    """What stands in where there is no camera: a row of pictures, and what they were made as.

    First those that the independent network recognises, and of which the teacher is sure.
    """
    dreams = photos.dreams_here()
    chosen = dreams.of(SHOW_PX) if dreams else None
    sheets = sorted(
        (sheet for sheet in (chosen.sheets if chosen else ()) if sheet.teacher_sure),
        key=lambda sheet: (sheet.checker_answers[:1] != (sheet.label,), -sheet.teacher_sure[0]),
    )
    if chosen is None or not sheets:
        return {"sheet": "", "px": 0, "made_as": []}
    try:
        row = _row(chosen.px, tuple((sheet.sha256, sheet.label) for sheet in sheets), chosen)
    except DataError as error:
        st.error(str(error), icon=":material/error:")
        return {"sheet": "", "px": 0, "made_as": []}
    return {
        "sheet": _address(row, "image/jpeg", "pictures"),
        "px": chosen.px,
        "made_as": [food_class(CLASSES[sheet.label]) for sheet in sheets],
    }


def _device_words() -> dict[str, str]:
    """What `export.js` says, in the visitor's language."""
    mark = MARK()
    return {
        "start": _("Start the camera"),
        "stop": _("Stop the camera"),
        "turn": _("Use the other camera"),
        "photo": _("Use a photo of yours"),
        "generated": _("Use a generated picture"),
        "next": _("Next generated picture"),
        "ready": _("Start the camera, or use a photo: it stays on this device."),
        "asking": _("Your browser asks whether this page may use the camera."),
        "running": _("Live. Point the camera at food; the networks see the square in the middle."),
        "stopped": _("Stopped."),
        "loading": _("Loading {name} ..."),
        "insecure": _(
            "No camera: browsers allow it only on https pages or on the server's own machine, and "
            "this page uses plain http. Use a photo instead."
        ),
        "refused": _(
            "The camera was refused. Allow it for this page in your browser's settings, or use a "
            "photo instead."
        ),
        "no_camera": _("No camera was found on this device. Use a photo instead."),
        "busy": _("Another program is using the camera. Close it, or use a photo instead."),
        "unreadable": _("Your browser cannot read this file. JPEG, PNG and WebP work everywhere."),
        "not_fetched": _("A file could not be loaded. Reload the page."),
        "broken": _("The engine does not run in this browser. Reload the page, or update it."),
        "your_photo": _("Your photo; it stays on this device."),
        "made_as": labelled(f"{mark[:1].upper()}{mark[1:]}", _("made as {food}.")),
        "camera_picture": _("The camera's picture, its middle square"),
        "live": _("{fps} pictures a second, camera and all networks together"),
        "answer": _("{name}: {food}, {share}."),
        "share": _("{number}\u202f%"),
        "figures": _("{ms}\u202fms a picture on this device: {fps} a second."),
        "send": _("Send my times to the class"),
        "sent": _("Sent: your times stand in the class's chart."),
        "between": paragraph(["", ""]),  # two sentences
        "loaded": _("{kb}\u202fKB loaded."),
        "not_loaded": _("Nothing loaded yet."),
    }


def whole_way(checkpoints: list[Checkpoint], stack: Stack | None) -> None:
    """Teacher, distilled, cut, fine-tuned, 8 bits: the chart, what it says, and every figure."""
    if stack is None:
        st.info(
            _("Not measured yet: distil, cut, fine-tune, 8 bits. This needs photographs."),
            icon=":material/route:",
        )  # fmt: skip
        st.code("python -m core reproduce --steps stack", language="bash")
        return
    epochs = stack.key.finetune_epochs * stack.key.rounds
    st.caption(
        _(
            "`{student}` learned from `{teacher}`. Then {ratio} % of its channels were cut "
            "({method}), it was fine-tuned ({epochs}), and its weights were stored in 8 bits, in "
            "two ways."
        ).format(
            student=stack.student,
            teacher=stack.teacher,
            ratio=f"{100 * stack.key.ratio:.3g}",
            method=method_title(stack.key.method),
            epochs=ngettext("{n} epoch", "{n} epochs", epochs).format(n=epochs),
        )
    )
    rows = stack_rows(stack.rows)
    measured = [row for row in rows if row["accuracy"] is not None]
    if not measured:
        st.info(_("These steps were measured without photographs: no accuracy, so no picture."))
    else:
        show(chart.stack_chart(rows), chart.stack_alt(rows), key="stack")
        data_button(lambda: pd.DataFrame(rows).drop(columns=["role", "text"]), "whole-way")
        st.caption(
            _(
                "Bars: 95 % interval, n = {n}. The dashed line goes from step 1 to {last}; step 3 "
                "is a shorter way from step 2. Times: one photo in ONNX Runtime, one thread, all "
                "in turn, on {device}."
            ).format(
                n=numbers.count(max(row["n"] for row in measured)),
                last=len(STEPS),
                device=stack.device,
            )
        )
    students = [checkpoint for checkpoint in checkpoints if checkpoint.id == stack.student]
    grid = networks.measured_rows(PruningGrid, students).get(stack.student)
    lines = [*chart.stack_lines(stack), *chart.stack_time_lines(stack, grid)]
    st.markdown("\n".join(f"- {line}" for line in lines))
    columns = chart.stack_table(stack.rows)
    table(columns, 3, [_("File"), _("Parameters"), _("MACs")], "steps")
    if len(rows) < len(STEPS):
        st.caption(_("Some steps are not measured: python -m core reproduce --steps stack"))
    kept = {row.checkpoint for row in stack.rows}
    provenance([checkpoint for checkpoint in checkpoints if checkpoint.id in kept])


def figures(checkpoint: Checkpoint, known: Known | None, is_open: bool) -> None:
    """Every figure of every file, once the guess was made; files made and measured here."""
    if known is None:
        st.caption(_("The files of this network are not measured yet."))
    elif not is_open:
        st.info(_("This gives the answer away: guess first."), icon=":material/visibility_off:")
    else:
        columns = chart.files_table(known.rows)
        table(columns, 1, [_("Same class"), _("Largest logit gap")], "files")
        parity = next((row.parity for row in known.rows if row.parity), None)
        words = _("Compared with the original on the test split: {n} photographs.")
        if parity and parity.pictures == "made":
            words = _("Compared on {n} made-up pictures: there were no photographs, so no "
                      "accuracy.")  # fmt: skip
        st.caption(words.format(n=numbers.count(parity.n if parity else 0)))
        data_button(lambda: pd.DataFrame(file_rows(checkpoint, known.rows)), "files")
        scores = {row.format: row.parity and row.parity.score for row in known.rows}
        float32, eight_bits = scores.get("onnx"), scores.get("hw7-8bit")
        if float32 and eight_bits and eight_bits.ci95[1] < float32.ci95[0]:
            st.markdown(
                _(
                    "HW7's 8-bit file costs this network accuracy: it also rounds BatchNorm's "
                    "variances. Quantisation, “Traps”, shows why. Int8 leaves them in float32."
                )
            )
        if reason := obstacle(checkpoint.id, "onnx-int8"):
            st.caption(reason)
        provenance([checkpoint])
    LivePoint(
        RUNS,
        FilePoint(checkpoint.id, checkpoint.weights_sha256),
        _(
            "Makes the files of {network} on this machine, compares each with the original on all "
            "test photographs, where there are some, and times them. One run at a time; everybody "
            "sees the result."
        ).format(network=_(checkpoint.title)),
        start=_("Make it here"),
        again=_("Measured already: shown above"),
        steps={
            "start": (0.02, _("Starting ...")),
            "calibrate": (0.06, _("Measuring the ranges that int8 needs ...")),
            "make": (0.2, _("Making the files ...")),
            "compare": (0.25, _("Comparing file {at} of {of} with the original ...")),
            "time": (0.85, _("Timing each file ...")),
        },
        result_text=lambda job: _("{n} files, shown above").format(n=len(job.rows)),
        # who asks for the files wants to see what was measured of them
        on_start=partial(url_state.say, "reveal", "true"),
        key="make_live",
    ).draw()


def why(checkpoint: Checkpoint) -> None:
    """Bytes from parameters, parity from logits, and the functions that made and compared."""
    st.latex(r"B = \sum_t \frac{n_t\, b_t}{8} + H")
    st.markdown(
        _(
            "$B$: bytes of a file. $n_t$: numbers in tensor $t$; $b_t$: bits of each (32, 16, 8). "
            "$H$: names, shapes, scales and the graph. {params} parameters in 8 bits are at least "
            "{least}."
        ).format(params=numbers.count(checkpoint.params), least=numbers.size(checkpoint.params))
    )
    # two formulas, not one line of both: that is wider than a phone
    st.latex(r"\Delta = \max_{x, i} |z'_i(x) - z_i(x)|")
    st.latex(r"a = \frac{1}{N} \sum_x [\hat{y}'(x) = \hat{y}(x)]")
    st.markdown(
        _(
            "Parity: $z$ are the original's logits, $z'$ the file's, $\\hat{y}$ the class with the "
            "largest logit, on $N$ photos $x$. A file with the same numbers agrees except for the "
            "last digits (another program adds in another order); 8 bits may not agree. Equal "
            "accuracy is not parity: two networks can be right equally often on different photos."
        )
    )
    source(_("This function compared them:"), source_of("core.export.measure", "parity_of"))


def trap(known: Known | None) -> None:
    """Bytes are not time: what the two smaller ONNX files measured."""
    st.markdown(
        _(
            "“Half the bytes, so half the time.” A file is read once; after that, only the "
            "arithmetic takes time. Float16 weights become float32 when the file is opened. Int8 "
            "is faster only if the processor has fast kernels for these layers: depthwise "
            "convolutions often have none, and every change between 8 bits and float costs time. "
            "Small differences change from run to run. Measured:"
        )
    )
    lines = chart.time_lines(known.rows) if known else []
    if lines:
        st.markdown("\n".join(f"- {line}" for line in lines))
    else:
        st.caption(_("Guess the fastest file above to see the measured times here."))
    st.markdown(
        _(
            "How to notice: time both files, in turn, on the device they are for. A phone has "
            "other kernels than this machine."
        )
    )


def homework(known: Known | None, stack: Stack | None) -> None:
    """HW7's two limits, and which files of this network keep them."""
    st.markdown(
        _(
            "**HW7** limits the file: about {one} for the architectures of question 4, and {three} "
            "for the compressed student in 8 bits."
        ).format(
            one=numbers.size(SIZE_LIMITS_BYTES["HW7 2020, about 1 MB"]),
            three=numbers.size(SIZE_LIMITS_BYTES["HW7 2020, 8 bit"]),
        )
    )
    if known is None:
        st.caption(_("Guess above to see here which files are small enough."))
    else:
        small, large = sorted(SIZE_LIMITS_BYTES.values())
        for row in known.rows:
            kept = (
                _("under both limits")
                if row.size_bytes <= small
                else _("under {limit}").format(limit=numbers.size(large))
                if row.size_bytes <= large
                else _("over both limits")
            )
            about = _(", ").join([f"{numbers.count(row.size_bytes)} B", kept])
            st.markdown(f"- {labelled(format_title(row.format), about)}")
    if stack is not None and (last := stack.row("tuned_8bit")) is not None:
        right = chart.accuracy_text(last.score) or _("accuracy not measured")
        st.markdown(
            _(
                "“Step by step” ends at {size} and {right}. The best published 8-bit file for HW7 "
                "has 263 KB and 0.85475 (self-reported, on the real Food-11). Other photographs: "
                "do not compare the two accuracies."
            ).format(size=numbers.count(last.size_bytes) + " B", right=right)
        )


def _quiz(known: Known | None) -> list[quiz.Question]:
    """On the files of this network: half precision, 8 bits, HW7's limit."""
    sizes = {row.format: row.size_bytes for row in known.rows} if known else {}
    if not {"onnx", "onnx-fp16", "onnx-int8"} <= sizes.keys():
        return []
    limit, whole = SIZE_LIMITS_BYTES["HW7 2020, 8 bit"], sizes["onnx"]
    small = sum(size <= limit for size in sizes.values())
    return [
        quiz.Question(
            "half",
            _("The ONNX file with float16 weights: what share of the float32 file's bytes?"),
            *quiz.among(sizes["onnx-fp16"] / whole, (0.25, 0.75, 1.0), numbers.share),
            _("Each weight takes 16 bits instead of 32; the graph stays as it is."),
        ),
        quiz.Question(
            "int8",
            _("The static int8 ONNX file: what share of the float32 file's bytes?"),
            *quiz.among(sizes["onnx-int8"] / whole, (1 / 8, 0.5, 1.0), numbers.share),
            _("Each weight takes 8 bits instead of 32; scales and a longer graph are added."),
        ),
        quiz.Question(
            "limit",
            _("How many of these {n} files keep HW7's limit of {size}?").format(
                n=len(sizes), size=numbers.size(limit)
            ),
            *quiz.among(small, range(len(sizes) + 1), numbers.count),
            _("The smallest has {least}, the float32 file {whole}.").format(
                least=numbers.size(min(sizes.values())), whole=numbers.size(whole)
            ),
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
