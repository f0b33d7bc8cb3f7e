"""What the low-rank page's charts show, as tables to take along."""

import pandas as pd

from core.charts.low_rank import ranks_frame, values_frame
from core.compression.lowrank_curve import LayerCurve


def layer_data(curve: LayerCurve) -> pd.DataFrame:
    """What the layer's chart shows, to take along: `ranks_frame` with each rank's singular value.

    A column `value` of shares of the largest; `value_in` and `value_out` where each side has its
    own.
    """
    values = values_frame(curve).pivot(index="rank", columns="mode", values="value")
    values.columns = pd.Index([f"value_{mode}" if mode else "value" for mode in values.columns])
    return ranks_frame(curve).merge(values, on="rank", how="outer")


def accuracy_data(frame: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """What the accuracy chart shows, to take along: the curves' rows, then the other designs'."""
    beside = others.drop(columns=["role", "name", "score", "label_at"])
    return pd.concat([frame, beside.rename(columns={"title": "series"})], ignore_index=True)
