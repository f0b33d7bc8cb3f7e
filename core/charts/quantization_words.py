"""What the quantisation page's charts show, in sentences made from the numbers in them."""

from collections.abc import Iterable, Sequence

import pandas as pd

from core.charts import numbers
from core.charts.numbers import p_text, points, points_interval
from core.charts.quantization import LIMIT_BYTES, Against, file_kind, scheme_title
from core.measure.latency import Spread
from core.measure.quantization_grid import Comparison, QuantizationGrid, QuantRow
from core.words import _, ngettext


def bits_text(bits: int) -> str:
    """ "1 bit", "8 bits"."""
    return ngettext("{n} bit", "{n} bits", bits).format(n=bits)


def holds_down_to(curve: pd.DataFrame) -> int:
    """Fewest bits down to which the accuracy stays within the whole network's 95 % interval.

    `curve`: one series of `accuracy_frame`. Counted from the top without a gap.
    """
    falling = curve.sort_values("bits", ascending=False)
    held = (falling["accuracy"] >= float(falling["low"].iloc[0])).cummin()
    return int(falling.loc[held, "bits"].min())


def accuracy_lines(frame: pd.DataFrame) -> list[str]:
    """A sentence per curve: where it starts, how far it holds, where it ends, in bits and bytes."""
    lines = []
    for series, curve in frame.groupby("series", sort=False):
        by_bits = curve.set_index("bits")
        whole, last = by_bits.loc[curve["bits"].max()], by_bits.loc[curve["bits"].min()]
        held = holds_down_to(curve)
        lines.append(
            _(
                "**{name}** is right on {whole} as trained ({size}), stays within that figure's "
                "interval down to {held} ({held_size}), and is right on {end} with {last}."
            ).format(
                name=series,
                whole=numbers.percent(whole["accuracy"], whole["n"]),
                size=numbers.size(whole["size_bytes"]),
                held=bits_text(held),
                held_size=numbers.size(float(by_bits["size_bytes"][held])),
                end=numbers.percent(last["accuracy"], last["n"]),
                last=bits_text(int(curve["bits"].min())),
            )
        )
    return lines


def short_lines(frame: pd.DataFrame) -> list[str]:
    """How far each curve holds, a few words each: for many curves of one network."""
    return [
        _("**{name}** holds down to {held} ({size})").format(
            name=series,
            held=bits_text(held := holds_down_to(curve)),
            size=numbers.size(float(curve.loc[curve["bits"] == held, "size_bytes"].iloc[0])),
        )
        for series, curve in frame.groupby("series", sort=False)
    ]


def guess_line(frame: pd.DataFrame, guess: int) -> str:
    """The guess beside what was measured, for the first curve."""
    series = frame["series"].iloc[0]
    curve = frame[frame["series"] == series]
    held = holds_down_to(curve)
    lower = sorted((int(b) for b in curve["bits"] if b < held), reverse=True)
    if not lower:
        return _("**{name}** does not break at any number of bits that was measured.").format(
            name=series
        )
    told = _("Well seen.") if guess == lower[0] else _("Not quite.")
    return (
        told
        + " "
        + _("You guessed {guess}; the first to leave **{name}**'s interval is {broken}.").format(
            guess=bits_text(guess), name=series, broken=bits_text(lower[0])
        )
    )


def accuracy_alt(frame: pd.DataFrame, against: Against, reveal: bool) -> str:
    """What the main chart shows, for who cannot see it."""
    said = (
        _("Accuracy on the test photographs against the bits of a weight.")
        if against == "bits"
        else _("Accuracy on the test photographs against the bytes of the file.")
    )
    if not reveal:
        return said + " " + _("Only the whole networks are shown until you ask for the curves.")
    return " ".join([said, *(line.replace("**", "") for line in accuracy_lines(frame))])


def limit_lines(networks: Sequence[tuple[str, QuantizationGrid]]) -> list[str]:
    """HW7's 8-bit file of each network: bytes, whether it stays under the limit, accuracy."""
    lines = []
    for title, grid in networks:
        for row in grid.of("hw7_8bit"):
            under = row.size_bytes < LIMIT_BYTES
            fits = _("under") if under else _("over")
            lines.append(
                _("**{name}**: {n} bytes, {fits} {limit}; {score} right").format(
                    name=title,
                    n=numbers.count(row.size_bytes),
                    fits=fits,
                    limit=numbers.size(LIMIT_BYTES),
                    score=score_text(row),
                )
                + _against_whole(row)
            )
    return lines


def _against_whole(row: QuantRow) -> str:
    if row.difference is None:
        return ""
    gap, low, high = row.difference
    return _(" ({gap} points against float32, 95 % interval {interval}: {verdict})").format(
        gap=points(gap), interval=points_interval(low, high), verdict=verdict(low, high)
    )


def verdict(low: float, high: float) -> str:
    """What an interval of a difference allows to say."""
    if low > 0:
        return _("better")
    return _("worse") if high < 0 else _("not distinguishable")


def score_text(row: QuantRow) -> str:
    """ "76.6 % (74.4 to 78.7 %)", or that it was not measured."""
    score = row.score
    if score is None:
        return _("not measured (no photographs here)")
    return _("{accuracy} ({interval})").format(
        accuracy=numbers.percent(score.accuracy, score.n),
        interval=numbers.interval(*score.ci95, score.n),
    )


def speed_word(time: Spread, base: Spread) -> str:
    """Faster or slower only where the middle halves of the calls lie apart."""
    return {
        "faster": _("faster"),
        "slower": _("slower"),
        "same": _("as fast, as far as the measurement can tell"),
    }[time.against(base)]


def comparison_lines(found: Comparison, names: tuple[str, str]) -> list[str]:
    """The paired verdict between two ways of training, and its numbers; names: a's and b's."""
    a, b = names
    said = {
        "better": _("**{a} is better than {b}**"),
        "worse": _("**{a} is worse than {b}**"),
        "unclear": _("**{a} and {b} are not distinguishable**"),
    }["better" if found.low > 0 else "worse" if found.high < 0 else "unclear"].format(a=a, b=b)
    return [
        said
        + " "
        + _(
            "on the same {n} test photographs: {gap} points (95 % interval {interval}; McNemar's "
            "exact test: {p})."
        ).format(
            n=numbers.count(found.n),
            gap=points(found.difference),
            interval=points_interval(found.low, found.high),
            p=p_text(found.p),
        )
    ]


def rows_table(rows: Iterable[QuantRow]) -> pd.DataFrame:
    """Rows as figures for a reader: a column each, empty where nothing was measured."""
    return pd.DataFrame(
        [
            {
                "scheme": scheme_title(row.scheme),
                "bits": row.bits,
                "right": None if row.score is None else numbers.percent(row.score.accuracy, row.n),
                "interval": None
                if row.score is None
                else numbers.interval(*row.score.ci95, row.score.n),
                "agreement": None if row.agreement is None else numbers.share(row.agreement),
                "size": _("{size}, {kind}").format(
                    size=numbers.size(row.size_bytes), kind=file_kind(row.scheme)
                ),
                "sqnr": None if row.sqnr_db is None else f"{row.sqnr_db:.1f}{numbers.THIN}dB",
                **{
                    name: numbers.milliseconds(row.latency[name].median)
                    if name in row.latency
                    else None
                    for name in ("onnx_1", "onnx_32")
                },
            }
            for row in rows
        ]
    )
