"""Figures as a reader wants them: thousands separated, units given, no digit too many."""

from typing import TYPE_CHECKING

from core.i18n import _, bracketed

if TYPE_CHECKING:
    from core.stats import Score

THIN = "\u202f"
"""Narrow no-break space: keeps a number and its unit on one line."""


def count(n: int) -> str:
    """256779 -> "256,779"."""
    return f"{n:,}"


def percent(fraction: float, n: int | None = None) -> str:
    """A fraction 0..1 as a percentage; one decimal only where n examples (>= 1,000) support it."""
    digits = 1 if n is None or n >= 1000 else 0
    return per_cent(f"{fraction * 100:.{digits}f}")


def per_cent(number: str) -> str:
    """ "78.7" -> "78.7 %"; Chinese has no space before the sign."""
    return _("{number}\u202f%").format(number=number)


def share(fraction: float) -> str:
    """A probability as whole per cent; "<1 %" and ">99 %" where rounding would say none or all."""
    if 0 < fraction < 0.005:
        return per_cent("<1")
    if 0.995 <= fraction < 1:
        return per_cent(">99")
    return per_cent(f"{fraction * 100:.0f}")


def interval(low: float, high: float, n: int | None = None) -> str:
    """Both ends of an interval of fractions: "74.5 to 78.7 %"."""
    digits = 1 if n is None or n >= 1000 else 0
    return _("{low} to {high}").format(low=f"{low * 100:.{digits}f}", high=percent(high, n))


def size(n_bytes: float) -> str:
    """Bytes in decimal units, as a shop sells them: 262144 -> "262 KB", 13.6e6 -> "13.6 MB"."""
    if n_bytes < 1000:
        return f"{n_bytes:.0f}{THIN}B"
    if n_bytes < 1_000_000:
        return f"{n_bytes / 1000:.0f}{THIN}KB"
    return f"{n_bytes / 1_000_000:.1f}{THIN}MB"


def milliseconds(ms: float) -> str:
    """Three significant digits at most: "1.24 ms", "13.1 ms", "230 ms"."""
    digits = 2 if ms < 10 else 1 if ms < 100 else 0
    return f"{ms:.{digits}f}{THIN}ms"


def ratio(value: float) -> str:
    """How many times: 8.44 -> "8.4×", 127.2 -> "127×"."""
    return times(f"{value:.{1 if value < 20 else 0}f}")


def times(number: str) -> str:
    """ "8.4" -> "8.4×", as the language of this context writes it."""
    return _("{number}×").format(number=number)


def short_count(value: float) -> str:
    """Large counts in three or four digits: 18874368 -> "18.9 M", 2097 -> "2,097"."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= size:
            return f"{value / size:.{0 if value >= 100 * size else 1}f}{THIN}{letter}"
    return f"{value / 1e3:.0f}{THIN}k" if value >= 1e4 else count(round(value))


def points(fraction: float) -> str:
    """A difference of accuracies in percentage points, with its sign: "+2.3", "−0.4"."""
    return f"{fraction * 100:+.1f}".replace("-", "−")


def points_interval(low: float, high: float) -> str:
    """Both ends of an interval of differences: "−0.4 to +2.1"."""
    return _("{low} to {high}").format(low=points(low), high=points(high))


def p_text(p: float) -> str:
    """A p value as it is usually said: "p = 0.031", "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def accuracy_text(correct: int, n: int) -> str:
    """ "71.2 %" of n pictures."""
    return percent(correct / n, n)


def score_text(score: "Score | None") -> str:
    """An accuracy with its 95 % interval: "76.6 % (74.4 to 78.7 %)"; "not measured" if None."""
    if score is None:
        return _("not measured")
    return bracketed(percent(score.accuracy, score.n), interval(*score.ci95, score.n))
