"""What a compiled chart was given to draw."""

from typing import Any


def rows_of(spec: dict[str, Any], name: str = "rows") -> list[dict[str, Any]]:
    """The rows of a named table inside the layers of a chart (`core.charts.compiled`)."""

    def tables(node: Any) -> list[list[dict[str, Any]]]:
        if isinstance(node, list):
            return [table for part in node for table in tables(part)]
        if not isinstance(node, dict):
            return []
        data = node.get("data", {})
        own = [data["values"]] if data.get("name") == name and "values" in data else []
        return own + [
            table for key, part in node.items() if key != "data" for table in tables(part)
        ]

    (found,) = tables(spec)
    return found
