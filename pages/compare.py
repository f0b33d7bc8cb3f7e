"""Compare: your photo through a large network and its small versions, side by side."""

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from core.charts import numbers
from core.charts.answers import Verdict, answer_chart, verdict_chart
from core.charts.names import versions
from core.charts.theme import glyph, role_of
from core.checkpoints import Checkpoint
from core.course import CLASSES
from core.errors import CheckpointError, PhotoError
from core.export.files import FilePredictor, int8_predictor
from core.i18n import _, food_class
from core.inference import compare, explain, predict
from core.photos import prepare
from pages.kit import frame, networks
from pages.kit.figure import data_button, show
from pages.kit.photos import Photo, Seen, look, pick
from pages.kit.provenance import accuracy_lines, provenance
from pages.kit.url_state import number_of, one_of, toggle

PER_ROW = 3
"""Photos in a row of the grid."""


def main() -> None:
    """Draw the page."""
    st.title(frame.entry("compare").question)
    st.markdown(
        _(
            "Add a photo of food: each network names one of eleven kinds of food and says how sure "
            "it is."
        )
    )
    shipped = networks.checkpoints()
    if not shipped:
        networks.explain_empty()
        st.stop()
    photographs(shipped)
    frame.foot("compare")


class Offer(NamedTuple):
    """What may be compared."""

    networks: list[Checkpoint]
    opened: dict[str, FilePredictor]
    """Of those that are no checkpoint of their own, by id."""
    presets: dict[str, str]
    """Ids of the networks to begin with, and what each is called here."""


def offer(shipped: list[Checkpoint]) -> Offer:
    """All networks, and the presets: teacher, best student, cut, in 8 bits, as far as they are
    here."""
    opened: dict[str, FilePredictor] = {}
    presets: dict[str, str] = {}
    if teacher := next(iter(networks.teachers(shipped)), None):
        presets[teacher.id] = _("Teacher")
    student = networks.best_student(shipped)
    if student:
        presets[student.id] = _("Student")
    cut = [each for each in shipped if each.derived_from and each.derived_from.kind == "narrow"]
    if cut:
        halved = min(
            cut,
            key=lambda each: (
                abs(share_cut(each) - 0.5), -each.test.accuracy if each.test else 0.0,
            ),
        )  # fmt: skip
        presets[halved.id] = _("Cut by {share}").format(share=numbers.share(share_cut(halved)))
    if student:
        try:
            int8 = int8_predictor(student)
        except CheckpointError as error:
            int8 = None
            st.error(str(error), icon=":material/error:")
        if int8:
            opened[int8.checkpoint.id] = int8
            presets[int8.checkpoint.id] = _("Student, 8 bits")
    presets = presets or {each.id: short_name(each) for each in shipped[:2]}
    return Offer([*shipped, *(file.checkpoint for file in opened.values())], opened, presets)


def share_cut(checkpoint: Checkpoint) -> float:
    """The share of its channels that a narrow network has lost, as far as its settings say."""
    ratio = checkpoint.config.get("ratio")
    return float(ratio) if isinstance(ratio, int | float) else 0.0


def short_name(checkpoint: Checkpoint) -> str:
    """A network's name where there is little room."""
    derived = checkpoint.derived_from.kind if checkpoint.derived_from else ""
    name = versions(checkpoint.model, checkpoint.recipe, _(checkpoint.title), derived)[-1]
    seed = checkpoint.seed
    return name if not seed else _("{name} ({seed})").format(name=name, seed=seed)


@frame.section
def photographs(shipped: list[Checkpoint]) -> None:
    """The photos, what each network sees in them, what it really was; the rest in tabs."""
    offered = offer(shipped)
    with frame.instrument() as (controls, picture):
        with controls:
            photos = pick()
            with st.expander(_("More networks"), icon=":material/tune:"):
                chosen = networks.choose(offered.networks, list(offered.presets))
        with picture:
            results = look(photos, chosen, opened=offered.opened)
            if not chosen:
                st.info(_("Choose at least one network."), icon=":material/touch_app:")
            elif not photos:
                st.info(
                    _("No photo yet: add one, switch the camera on, or take an example."),
                    icon=":material/add_a_photo:",
                )
            names = {each.id: offered.presets.get(each.id) or short_name(each) for each in chosen}
            if len(results) == 1:
                one_photo(results[0], names)
            elif results:
                several_photos(results, names)
    if results:
        st.markdown(_("**What you see.** {text}").format(text=" ".join(sentences(results, names))))
        tally(results, names)

    not_food = partial(trap, chosen, offered.opened, names)
    frame.tabs(
        [
            frame.Tab("not_food", _("Trap: not even food"), not_food),
            frame.Tab(
                "where",
                _("Where they look"),
                partial(where, results, chosen, offered.opened, names),
                ("look_for", "shuffled"),
            ),
            frame.Tab("classes", _("All eleven classes"), partial(all_classes, results, names)),
            frame.Tab("why", _("Why"), why),
            frame.Tab("homework", _("Homework"), partial(homework, chosen)),
        ]
    )


def one_photo(seen: Seen, names: Mapping[str, str]) -> None:
    """The photo beside a bar for each network."""
    left, middle = st.columns([1, 1.6])
    with left:
        draw_photo(seen)
    truth = truth_of(seen)
    rows: list[Verdict] = []
    for answer in seen.answers:
        label, probability = first_choice(answer)
        role, size = role_of(answer.checkpoint), answer.checkpoint.size_bytes
        agrees = _(" · agrees") if label == first_choice(seen.answers[0])[0] else _(" · differs")
        rows.append(
            Verdict(
                role,
                f"{glyph(role)} {names[answer.checkpoint.id]}: {food_class(CLASSES[label])}"
                + mark(truth, label),
                f"{numbers.size(size)} · {numbers.milliseconds(answer.latency_ms)}",
                probability,
                numbers.share(probability) + (agrees if rows else ""),
            )
        )
    with middle:
        show(
            verdict_chart(rows),
            _("How sure each network is of what it sees. {list}.").format(
                list="; ".join(
                    f"{row.head} {numbers.share(row.probability)} ({row.aside})" for row in rows
                )
            ),
            key="verdicts",
        )
        st.caption("  \n".join(networks.name_of(answer.checkpoint) for answer in seen.answers))


def draw_photo(seen: Seen) -> None:
    """A photo with its name, and the question what it really was."""
    st.image(
        seen.thumb,
        caption=seen.photo.caption or seen.photo.name,
        alt=_("The photo {name}").format(name=seen.photo.name),
        width="stretch",
    )
    if seen.photo.label is None:
        st.selectbox(
            _("What was it really?"), range(len(CLASSES)), index=None,
            format_func=lambda label: food_class(CLASSES[label]),
            key=f"really_{seen.photo.key}", placeholder=_("Choose"), persist_state="session",
        )  # fmt: skip


def several_photos(results: Sequence[Seen], names: Mapping[str, str]) -> None:
    """A grid: each photo with a line for each network, in the order of the line above."""
    st.markdown(
        " · ".join(
            f"{glyph(role_of(answer.checkpoint))} {names[answer.checkpoint.id]}"
            for answer in results[0].answers
        )
    )
    for start in range(0, len(results), PER_ROW):
        for column, seen in zip(
            st.columns(PER_ROW), results[start : start + PER_ROW], strict=False
        ):
            with column.container(border=True):
                draw_photo(seen)
                truth = truth_of(seen)
                lines = []
                for answer in seen.answers:
                    label, probability = first_choice(answer)
                    lines.append(
                        f"{glyph(role_of(answer.checkpoint))} {food_class(CLASSES[label])} "
                        f"{numbers.share(probability)}" + mark(truth, label)
                    )
                st.markdown("  \n".join(lines))


def first_choice(answer: compare.Answer) -> tuple[int, float]:
    """The most probable class, and its probability at T = 1."""
    label = int(answer.logits.argmax())
    return label, float(predict.softmax(answer.logits)[label])


def truth_of(seen: Seen) -> int | None:
    """The photo's class: what its data set says, else the visitor; None where nobody did."""
    if seen.photo.label is not None:
        return seen.photo.label
    label: int | None = st.session_state.get(f"really_{seen.photo.key}")
    return label


def mark(truth: int | None, label: int) -> str:
    """A tick or a cross, where the true class is known."""
    return "" if truth is None else f" {glyph('correct' if truth == label else 'wrong')}"


def sentences(results: Sequence[Seen], names: Mapping[str, str]) -> list[str]:
    """Whether the networks agree on the photos, and where they differ most."""
    n, n_networks = len(results), len(results[0].answers)
    agreements = [compare.agreement(seen.answers) for seen in results]
    if n > 1:
        if n_networks == 1:
            return []
        agreed = sum(agreement.unanimous for agreement in agreements)
        surest, share = compare.surest([seen.answers for seen in results])
        return [
            _("Of {n} photos, the networks agree on {agreed}.").format(n=n, agreed=agreed),
            _("On average, {name} is most sure: {p}.").format(
                name=names[surest], p=numbers.share(share)
            ),
        ]
    photo, agreement = results[0].photo, agreements[0]
    lines = []
    if photo.label is not None:
        text = _("It was made as **{food}**.") if photo.dreamed else _("The label says **{food}**.")
        lines.append(text.format(food=food_class(CLASSES[photo.label])))
    first = food_class(CLASSES[agreement.camps[0][0]])
    if n_networks == 1:
        return [*lines, _("It sees **{food}**.").format(food=first)]
    if agreement.unanimous:
        lines.append(_("All {n} networks see **{food}**.").format(n=n_networks, food=first))
    else:
        camps = "; ".join(
            f"**{food_class(CLASSES[label])}**: {', '.join(names[id] for id in ids)}"
            for label, ids in agreement.camps
        )
        lines.append(_("The networks disagree: {camps}.").format(camps=camps))
    (most, high), (least, low) = agreement.highest, agreement.lowest
    lines.append(
        _("They differ most on **{food}**: {high} ({most}) against {low} ({least}).").format(
            food=food_class(CLASSES[agreement.label]),
            most=names[most],
            high=numbers.share(high),
            least=names[least],
            low=numbers.share(low),
        )
    )
    return lines


MOST_JUDGED = 200


def tally(results: Sequence[Seen], names: Mapping[str, str]) -> None:
    """Who was right so far, over all photos of this visit whose class somebody said."""
    judged: dict[str, dict[str, bool]] = st.session_state.setdefault("judged", {})
    for seen in results:
        truth = truth_of(seen)
        judged.pop(seen.photo.key, None)
        if truth is not None and not seen.photo.dreamed:
            judged[seen.photo.key] = {
                answer.checkpoint.id: int(answer.logits.argmax()) == truth
                for answer in seen.answers
            }
    while len(judged) > MOST_JUDGED:
        judged.pop(next(iter(judged)))
    counts = []
    for id, name in names.items():
        rights = [by_network[id] for by_network in judged.values() if id in by_network]
        if rights:
            counts.append(
                _("{name} {right} of {n}").format(name=name, right=sum(rights), n=len(rights))
            )
    if len(judged) > 1 and counts:  # of a single photo, the marks above say it
        st.markdown(
            _("**Right so far**, on photos of a known class: {list}.").format(
                list=" · ".join(counts)
            )
        )


def trap(
    chosen: Sequence[Checkpoint], opened: Mapping[str, FilePredictor], names: Mapping[str, str]
) -> None:
    """Show the networks a picture of nothing; they answer all the same."""
    st.markdown(
        _(
            "A network can be sure and wrong. Its eleven answers always add up to 100 %, and “not "
            "food” is not one of them."
        )
    )
    if not toggle(_("Show the networks random dots"), "trap"):
        return
    dots = compare.random_dots()
    photo = Photo("random-dots", _("Random dots"), lambda: dots)
    seen = look([photo], chosen, keep=False, opened=opened)
    if not seen:
        return
    left, right = st.columns([1, 4])
    left.image(seen[0].thumb, alt=_("Coloured random dots, no food"), width=120)
    lines = [
        _("{name} sees **{food}**, {p}").format(
            name=names[answer.checkpoint.id],
            food=food_class(CLASSES[label]),
            p=numbers.share(probability),
        )
        for answer in seen[0].answers
        for label, probability in [first_choice(answer)]
    ]
    right.markdown("  \n".join(lines))
    right.markdown(
        _("How to notice: ask several networks. If they disagree, believe none of them.")
    )


SEES_ITS_OWN = "own"
VIEW_PX = 224
LOOKING = 4
"""Networks in a row: the presets."""


def where(
    results: Sequence[Seen],
    chosen: Sequence[Checkpoint],
    opened: Mapping[str, FilePredictor],
    names: Mapping[str, str],
) -> None:
    """The photo as each network weighs its places: bright where they speak for the class."""
    foods = {SEES_ITS_OWN: _("its own answer")} | {name: food_class(name) for name in CLASSES}
    food = one_of(st.selectbox, _("Places that speak for"), foods, "look_for", default=SEES_ITS_OWN)
    is_shuffled = toggle(_("Shuffle their weights"), "shuffled")
    if not results:
        return
    seen, label = results[0], None if food == SEES_ITS_OWN else CLASSES.index(food)
    try:
        image = seen.photo.read()
    except PhotoError as error:
        st.error(f"{seen.photo.name}: {error}", icon=":material/broken_image:")
        return
    shown = [each for each in chosen if not (is_shuffled and each.id in opened)]
    for start in range(0, len(shown), LOOKING):
        row = shown[start : start + LOOKING]
        for column, checkpoint in zip(st.columns(LOOKING), row, strict=False):
            name = names[checkpoint.id]
            try:
                int8 = opened.get(checkpoint.id)
                by = int8.explainer if int8 else explain.explainer(checkpoint, is_shuffled)
                explanation = explain.explain_photo(image, checkpoint, by, label)
            except CheckpointError as error:
                column.caption(f"{name}: {error}")
                continue
            view = prepare(seen.thumb, VIEW_PX, checkpoint.crop).transpose(1, 2, 0)
            text = _("{name}: {food}, {logit}").format(
                name=name,
                food=food_class(CLASSES[explanation.label]),
                logit=f"{explanation.map.mean():.1f}".replace("-", "−"),
            )
            column.image(
                explain.highlighted(view, explanation.map),
                caption=text,
                alt=_("{text}. Brightest {place}.").format(text=text, place=place_of(explanation)),
                width="stretch",
            )
    st.markdown(
        _(
            "Bright places raise the logit of the class. The number is that logit, the mean over "
            "all places. This is exact, not an estimate: the last layer is linear."
        )
        if not is_shuffled
        else _(
            "**The trap.** These networks know nothing: their weights were shuffled. Yet some "
            "places are bright. A map shows what a network uses, not whether that makes sense "
            "(Adebayo et al. 2018)."
        )
    )


def place_of(explanation: explain.Explanation) -> str:
    """In which ninth of the picture the map is highest."""
    rows, columns = explanation.map.shape
    y, x = divmod(int(explanation.map.argmax()), columns)
    vertical = (_("at the top"), _("in the middle"), _("at the bottom"))[3 * y // rows]
    side = (_("left"), _("centre"), _("right"))[3 * x // columns]
    return f"{vertical}, {side}"


def all_classes(results: Sequence[Seen], names: Mapping[str, str]) -> None:
    """A photo's bars by every network at a temperature, and a table of all photos."""
    temperature = number_of(
        st.slider, _("Temperature T"), 0.1, 20.0, 1.0, 0.1, key="T",
        help=_("Divides the logits before the softmax: above 1 the bars become more equal, below "
               "1 the largest grows."),
    )  # fmt: skip
    if not results:
        return
    shown = results[0]
    if len(results) > 1:
        titles = {str(number): seen.photo.name for number, seen in enumerate(results)}
        shown = results[int(one_of(st.selectbox, _("Photo"), titles, "bars_of", default="0"))]
    for start in range(0, len(shown.answers), 2):
        for column, answer in zip(st.columns(2), shown.answers[start : start + 2], strict=False):
            with column:
                draw_answer(shown, answer, temperature)
    table = compare.answers_table(
        [(seen.photo.name, seen.answers) for seen in results], temperature
    )
    draw_table(table, names)
    st.caption(
        _(
            "Size: the stored weights; of 8 bits, the whole file. Time: median of a few runs on "
            "this machine, one photo, {threads} thread, without preparing the photo."
        ).format(threads=predict.THREADS)
    )


def draw_answer(seen: Seen, answer: compare.Answer, temperature: float) -> None:
    """One network's eleven bars for one photo."""
    checkpoint = answer.checkpoint
    bars = compare.bars_frame(answer, temperature)
    first, second, third = (bars.iloc[place] for place in range(3))
    st.markdown(f"**{networks.name_of(checkpoint)}**")
    show(
        answer_chart(bars, role_of(checkpoint)),
        _("{network}: {food} {p}, then {second} and {third}.").format(
            network=checkpoint.title,
            food=first.food,
            p=numbers.share(first.probability),
            second=second.food,
            third=third.food,
        ),
        key=f"bars-{seen.photo.key}-{checkpoint.id}",
    )


def draw_table(table: pd.DataFrame, names: Mapping[str, str]) -> None:
    """Every photo by every network; the eleven probabilities are in its download."""
    shown = table.assign(
        **{column: table[column].map(food_class) for column in ("first", "second", "third")},
        size=table["size_bytes"].map(numbers.size),
        network=table["checkpoint"].map(dict(names)),
    )
    columns: dict[str, Any] = {
        "photo": _("Photo"),
        "network": _("Network"),
        "first": _("First"),
        "confidence": st.column_config.NumberColumn(_("Confidence"), format="percent"),
        "second": _("Second"),
        "third": _("Third"),
        "entropy_nats": st.column_config.NumberColumn(_("Entropy, nats"), format="%.2f"),
        "latency_ms": st.column_config.NumberColumn(_("Time here, ms"), format="%.2f"),
        "params": st.column_config.NumberColumn(_("Parameters"), format="localized"),
        "size": _("Size"),
    }
    st.dataframe(
        shown,
        column_order=[*columns][table["photo"].nunique() < 2 :],
        column_config=columns,
        hide_index=True,
        alt=_("Each photo by each network: first three classes, confidence, time, size."),
    )
    data_button(table, "compare")


def why() -> None:
    """From logits to the percentages."""
    st.markdown(
        _(
            "A network gives eleven numbers $z_i$, the *logits*. The temperature $T$ divides them; "
            "then the softmax turns them into probabilities that add up to 1:"
        )
    )
    st.latex(r"p_i = \frac{e^{z_i / T}}{\sum_j e^{z_j / T}}")
    st.code(inspect.getsource(predict.softmax), language="python", wrap_lines=True)


def homework(chosen: Sequence[Checkpoint]) -> None:
    """The same networks on the whole test split."""
    st.markdown(
        _(
            "**Is the small network as good as the large one?** One photo cannot tell: these are "
            "the accuracies on the whole test split."
        )
    )
    measured = [each for each in chosen if each.test or each.derived_from is None]
    lines = [f"{networks.name_of(each)}: {line}" for each, line in accuracy_lines(measured)]
    st.markdown("  \n".join(lines))
    provenance(measured)


if __name__ == "__main__":
    main()
