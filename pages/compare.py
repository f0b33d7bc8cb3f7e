"""Compare: your photo through a large network and its small versions, side by side."""

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st
from PIL.Image import Image

from core import checkpoints
from core.charts import numbers
from core.charts.answers import FirstChoice, answer_chart, first_choice_chart
from core.charts.names import title_of, versions
from core.charts.theme import glyph, role_of
from core.checkpoints import Checkpoint
from core.course import CLASSES
from core.errors import CheckpointError, PhotoError
from core.export.files import FilePredictor, int8_predictor
from core.i18n import _, bracketed, food_class, labelled, paragraph
from core.inference import compare, explain, predict
from core.not_food.chart import FOOD, Network, changes, rates, rates_chart, spread_chart
from core.not_food.method import DECIDES, SCORES, ScoreName, score_title
from core.not_food.pictures import KINDS, Kind, kind_title, picture
from core.not_food.rows import Doubt, VersionRow, measured_row
from core.stats import Score as Rate
from pages.kit import frame, lab, networks
from pages.kit.figure import data_button, kept, show
from pages.kit.photos import Photo, Seen, draw_map, look, map_places, pick
from pages.kit.provenance import accuracy_lines, provenance
from pages.kit.url_state import next_of, number_of, one_of, texts, toggle


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
    name = versions(checkpoint.model, checkpoint.recipe, title_of(checkpoint), derived)[-1]
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
                lines = sentences(results, names)
                if len(results) == 1 and (doubt := doubts(results[0], names)):
                    lines.append(doubt)
                st.markdown(_("**What you see.** {text}").format(text=paragraph(lines)))
                titles = [
                    _("{name}: {title}").format(name=names[each.id], title=short_name(each))
                    for each in chosen
                ]
                st.caption(" · ".join(titles))
                tally(results, names)
                offer_to_report(results, names)

    frame.tabs(
        [
            frame.Tab(
                "not_food",
                _("Not food?"),
                partial(not_food, results, chosen, offered.opened, names),
                ("made", "rates", "score", "trap"),
            ),
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


def offer_to_report(results: Sequence[Seen], names: Mapping[str, str]) -> None:
    """The button that puts the photos, and what each network said, into the lab report."""
    st.button(
        _("Add it to my report"),
        icon=":material/add:",
        key="photo_report",
        disabled=all(
            lab.is_measured("photo", labelled(seen.photo.name, photo_answers(seen, names)))
            for seen in results
        ),
        help=_(
            "As a small picture. It is in your report alone, which nobody sees unless you hand "
            "it in."
        ),
        on_click=into_report,
        args=(results, names),
    )


def into_report(results: Sequence[Seen], names: Mapping[str, str]) -> None:
    """Keep photos and answers in the lab report; Food-11's own may not be handed on."""
    for seen in results:
        is_food11 = seen.photo.label is not None and not seen.photo.dreamed
        picture = "" if is_food11 else lab.small_jpeg(seen.thumb)
        text, name = photo_answers(seen, names), seen.photo.name
        about = labelled(name, text)
        lab.measured("photo", about, text, time.time(), {"photo": name}, {}, picture)


def photo_answers(seen: Seen, names: Mapping[str, str]) -> str:
    """Each network's first choice for a photo, in a line."""
    choices = [(answer, *first_choice(answer)) for answer in seen.answers]
    return _("; ").join(
        labelled(
            names[answer.checkpoint.id],
            f"{food_class(CLASSES[label])} {numbers.share(probability)}",
        )
        for answer, label, probability in choices
    )


def one_photo(seen: Seen, names: Mapping[str, str]) -> None:
    """The photo beside a bar for each network."""
    left, middle = st.columns([1, 1.6])
    with left:
        draw_photo(seen)
    truth = truth_of(seen)
    rows: list[FirstChoice] = []
    for answer in seen.answers:
        label, probability = first_choice(answer)
        role, size = role_of(answer.checkpoint), answer.checkpoint.size_bytes
        doubt = doubt_of(answer)
        unsure = _(" · unsure") if doubt and doubt.is_unsure else ""
        agrees = _(" · agrees") if label == first_choice(seen.answers[0])[0] else _(" · differs")
        rows.append(
            FirstChoice(
                role,
                _("{name}: {title}").format(
                    name=f"{glyph(role)} {names[answer.checkpoint.id]}",
                    title=food_class(CLASSES[label]) + mark(truth, label),
                ),
                f"{numbers.size(size)} · {numbers.milliseconds(answer.latency_ms)}",
                probability,
                numbers.share(probability) + unsure + (agrees if rows else ""),
            )
        )
    with middle:
        show(
            first_choice_chart(rows),
            _("How sure each network is of what it sees. {list}.").format(
                list=_("; ").join(
                    bracketed(f"{row.head} {numbers.share(row.probability)}", row.aside)
                    for row in rows
                )
            ),
            key="verdicts",
        )


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
    st.html(
        "<style>.st-key-photos {display: grid; gap: 0.6rem; "
        "grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr))}"
        ".st-key-photos > * > * {padding: 0.6rem} "
        "[aria-label='Clear value'] + button {display: none}</style>"  # room for the food's name
    )
    with st.container(key="photos"):
        for seen in results:
            with st.container(border=True, height="stretch"):
                draw_photo(seen)
                st.markdown("  \n".join(choice_line(seen, answer) for answer in seen.answers))


def choice_line(seen: Seen, answer: compare.Answer) -> str:
    """What one network says of a photo of several."""
    label, probability = first_choice(answer)
    doubt = doubt_of(answer)
    return (
        f"{glyph(role_of(answer.checkpoint))} {food_class(CLASSES[label])} "
        f"{numbers.share(probability)}"
        + (_(" · unsure") if doubt and doubt.is_unsure else "")
        + mark(truth_of(seen), label)
    )


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
    return "" if truth is None else f"\u00a0{glyph('correct' if truth == label else 'wrong')}"


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
        camps = _("; ").join(
            labelled(f"**{food_class(CLASSES[label])}**", _(", ").join(names[id] for id in ids))
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


def doubt_of(answer: compare.Answer) -> Doubt | None:
    """How far an answer is from food; None where nobody has measured that, or the file is damaged.

    The answer stands all the same; the tab with the measured rates says what is damaged.
    """
    try:
        return Doubt.of(answer.checkpoint, answer.features)
    except CheckpointError:
        return None


def doubts(seen: Seen, names: Mapping[str, str]) -> str:
    """The networks whose answers are unsure, each with its score: a sentence, or nothing."""
    unsure = [
        _("{name} (score {score})").format(
            name=names[answer.checkpoint.id], score=f"{doubt.score:.2f}"
        )
        for answer in seen.answers
        if (doubt := doubt_of(answer)) and doubt.is_unsure
    ]
    text = _("**Unsure: this may not be food**, say {list}.")
    return text.format(list=_(", ").join(unsure)) if unsure else ""


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
    # of a single photo that came with its class, the marks above say it
    if counts and (len(judged) > 1 or any(seen.photo.label is None for seen in results)):
        st.markdown(
            _("**Right so far**, on photos of a known class: {list}.").format(
                list=" · ".join(counts)
            )
        )


def not_food(
    results: Sequence[Seen],
    chosen: Sequence[Checkpoint],
    opened: Mapping[str, FilePredictor],
    names: Mapping[str, str],
) -> None:
    """A picture that is no food, beside the visitor's photo; how often the networks notice."""
    st.markdown(
        _(
            "The softmax divides 100 % among eleven foods, and “none of these” is not one of them. "
            "So a network can be sure of something that is not food. Try it:"
        )
    )
    kinds = {kind: kind_title(kind) for kind in KINDS}
    dots: Kind | None = "noise" if "true" in texts("trap") else None  # an older link's
    kind = one_of(st.pills, _("A picture that is not food"), kinds, "made", default=dots)
    if kind:
        number = next_of(st.columns(3)[0], _("Next picture"), "made_number")
        name = _("{kind} ({number})").format(kind=kinds[kind], number=number + 1)
        made = Photo(f"made/{kind}/{number}", name, partial(picture, kind, number), is_made=True)
        pictures = [*look([made], chosen, keep=False, opened=opened), *results[:1]]
        for column, seen in zip(st.columns(2), pictures, strict=False):
            with column:
                st.image(seen.thumb, caption=seen.photo.name, alt=seen.photo.name, width=192)
                st.markdown("  \n".join(answer_line(answer, names) for answer in seen.answers))
        st.caption(
            _(
                "Score: how far the features before the last layer are from those of the training "
                "photographs. Above the limit, 1, the answer counts as unsure; 95 % of the "
                "validation photographs are below."
            )
        )
    if toggle(_("How often does that work?"), "rates"):
        how_often(chosen, names)


def answer_line(answer: compare.Answer, names: Mapping[str, str]) -> str:
    """What a network sees, how sure it is, and how far that is from food."""
    label, probability = first_choice(answer)
    doubt = doubt_of(answer)
    line = _("{mark} {name}: **{food}**, {p}").format(
        mark=glyph(role_of(answer.checkpoint)),
        name=names[answer.checkpoint.id],
        food=food_class(CLASSES[label]),
        p=numbers.share(probability),
    )
    if doubt is None:
        return line
    text = _("{line} · score {score}") + (_(" · **unsure**") if doubt.is_unsure else "")
    return text.format(line=line, score=f"{doubt.score:.2f}")


def how_often(chosen: Sequence[Checkpoint], names: Mapping[str, str]) -> None:
    """The scores of each network on photographs of food and on made pictures, as measured."""
    measured = {}
    for each in chosen:
        if (row := measured_row(each)[1]) is not None:
            measured[each.id] = Network(names[each.id], role_of(each), row)
    if not measured:
        st.info(_("This is not measured for these networks."), icon=":material/straighten:")
        return
    titles = {score: score_title(score) for score in reversed(SCORES)}
    score = one_of(st.segmented_control, _("Score"), titles, "score", DECIDES, required=True)
    students = [each.id for each in chosen if each.id in measured and each.family != "teacher"]
    shown = measured[next(iter(students), next(iter(measured)))]
    frame = rates(measured.values(), score)
    show(
        spread_chart(shown, score),
        _("{score}, {network}: photographs of food; grey: made pictures; a line at the limit.")
        .format(score=titles[score], network=shown.name),
        key="spread",
    )  # fmt: skip
    st.caption(
        _("Coloured: photographs of food, {network}. Grey: made pictures. Line: the limit.").format(
            network=shown.name
        )
    )
    show(rates_chart(frame), _("How often each network counts as unsure, by kind."), key="rates")
    st.markdown("\n".join(f"- {line}" for line in rate_lines(chosen, measured, score)))
    data_button(frame, "not-food")


def rate_lines(
    chosen: Sequence[Checkpoint], measured: Mapping[str, Network], score: ScoreName
) -> list[str]:
    """Detections and false alarms of each network, and what a change to it did to them."""
    lines = []
    for checkpoint in chosen:
        if (network := measured.get(checkpoint.id)) is None:
            continue
        row = network.row
        caught = Rate.of(sum(row.pictures[kind].unsure[score] for kind in KINDS),
                         sum(row.pictures[kind].n for kind in KINDS))  # fmt: skip
        alarms = Rate.of(row.alarms[score], row.n)
        line = _(
            "**{name}** is unsure about {caught} of {n} made pictures and, wrongly, about "
            "{alarms} of {n_food} photographs of food."
        ).format(
            name=network.name,
            caught=rate_text(caught),
            n=numbers.count(caught.n),
            alarms=rate_text(alarms),
            n_food=numbers.count(row.n),
        )
        lines.append(paragraph(filter(None, [line, change_text(checkpoint, row, score)])))
    return lines


def change_text(checkpoint: Checkpoint, row: VersionRow, score: ScoreName) -> str:
    """How a version differs from the network it was made from: a sentence, or nothing."""
    origin = checkpoint.derived_from and checkpoint.derived_from.id
    if score != DECIDES or not origin:
        return ""
    try:
        whole = measured_row(checkpoints.get(origin))[1]
    except CheckpointError:  # what is shown stands without the comparison
        return ""
    if whole is None or whole.n != row.n:
        return ""
    points = {
        group: _("{difference} points ({low} to {high})").format(
            **{name: f"{100 * value:+.1f}".replace("-", "−")
               for name, value in zip(("difference", "low", "high"), change, strict=True)}
        )
        for group, change in changes(whole, row).items()
    }  # fmt: skip
    return _(
        "Against the network it was made from, on the same pictures: {made}; photographs {food}."
    ).format(made=points["made"], food=points[FOOD])


def rate_text(rate: Rate) -> str:
    """A share with its interval."""
    return _("{rate} ({interval})").format(
        rate=numbers.percent(rate.accuracy, rate.n), interval=numbers.interval(*rate.ci95, rate.n)
    )


SEES_ITS_OWN = "own"
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
    read = cache(seen.photo.read)
    shown = [each for each in chosen if not (is_shuffled and each.id in opened)]
    for start in range(0, len(shown), LOOKING):
        row = shown[start : start + LOOKING]
        for column, checkpoint in zip(map_places(LOOKING, f"maps-{start}"), row, strict=False):
            name = names[checkpoint.id]
            try:
                explanation = explained(
                    seen.photo, read, checkpoint, opened.get(checkpoint.id), is_shuffled, label
                )
            except PhotoError as error:
                st.error(labelled(seen.photo.name, str(error)), icon=":material/broken_image:")
                return
            except CheckpointError as error:
                column.caption(labelled(name, str(error)))
                continue
            text = _("{name}: {food}, {logit}").format(
                name=name,
                food=food_class(CLASSES[explanation.label]),
                logit=f"{explanation.map.mean():.1f}".replace("-", "−"),
            )
            draw_map(column, seen.thumb, checkpoint, explanation.map, text)
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


def explained(
    photo: Photo,
    read: Callable[[], Image],
    checkpoint: Checkpoint,
    int8: FilePredictor | None,
    is_shuffled: bool,
    label: int | None,
) -> explain.Explanation:
    """Where a network looks in a photo; of a picture of a data set, shared by all visitors."""

    def ask() -> explain.Explanation:
        by = int8.explainer if int8 else explain.explainer(checkpoint, is_shuffled)
        return explain.explain_photo(read(), checkpoint, by, label)

    if photo.label is None:
        return ask()
    network = checkpoint.id, checkpoint.weights_sha256, is_shuffled
    return kept(ask, "where it looks", photo.key, *network, label)


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
            "Size: the stored weights; of 8 bits, the whole file. Time: processor time on this "
            "machine, median of a few runs, one photo, {threads} thread, without preparing the "
            "photo."
        ).format(threads=predict.THREADS)
    )


def draw_answer(seen: Seen, answer: compare.Answer, temperature: float) -> None:
    """One network's eleven bars for one photo."""
    checkpoint = answer.checkpoint
    bars = compare.bars_frame(answer, temperature)
    first, second, third = bars["food"].tolist()[:3]
    st.markdown(f"**{networks.name_of(checkpoint)}**")
    show(
        answer_chart(bars, role_of(checkpoint)),
        _("{network}: {food} {p}, then {second} and {third}.").format(
            network=title_of(checkpoint),
            food=first,
            p=numbers.share(bars["probability"].iloc[0]),
            second=second,
            third=third,
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
        "photo": st.column_config.TextColumn(_("Photo"), width=96),  # these four fit on a phone
        "network": st.column_config.TextColumn(_("Network"), width=104),
        "first": st.column_config.TextColumn(_("First"), width=84),
        "confidence": st.column_config.NumberColumn(_("Sure"), format="percent", width=66),
        "second": _("Second"),
        "third": _("Third"),
        "entropy_nats": st.column_config.NumberColumn(_("Entropy"), format="%.2f"),
        "latency_ms": st.column_config.NumberColumn(_("Time, ms"), format="%.2f"),
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
            "**Is the small network as good as the large one?** One photo is not enough: these are "
            "the accuracies on the whole test split."
        )
    )
    measured = [each for each in chosen if each.test or each.derived_from is None]
    lines = [labelled(networks.name_of(each), line) for each, line in accuracy_lines(measured)]
    st.markdown("  \n".join(lines))
    provenance(measured)


if __name__ == "__main__":
    main()
