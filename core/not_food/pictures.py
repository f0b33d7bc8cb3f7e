"""Pictures that are not food, made by code: the same on every machine, none of them a photograph.

Eight kinds, from random dots to an invoice and to rendered surfaces and solids. A picture is named
by its kind and its number; its own random generator is seeded with both, so that any of them can be
made alone.
"""

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from core.i18n import _

Kind = Literal[
    "noise", "gradient", "pattern", "invoice", "drawing", "diagram", "surface", "solids"
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
SIDE = 192
"""Pixels of a picture's side."""

Rng = np.random.Generator
Plane = NDArray[np.float64]


def kind_title(kind: Kind) -> str:
    """What a reader calls a kind of picture."""
    return {
        "noise": _("Random dots"),
        "gradient": _("Colour gradient"),
        "pattern": _("Stripes and squares"),
        "invoice": _("Invoice"),
        "drawing": _("Drawing"),
        "diagram": _("Diagram"),
        "surface": _("Rendered surface"),
        "solids": _("Rendered solids"),
    }[kind]


def picture(kind: Kind, number: int) -> Image.Image:
    """Picture `number` (0, 1, ...) of a kind: RGB, SIDE x SIDE; the same each time."""
    rng = np.random.default_rng([KINDS.index(kind), number])
    return _MAKERS[kind](rng)


def _image(values: NDArray[Any]) -> Image.Image:
    """Values (SIDE, SIDE, 3) of 0..1 as a picture."""
    return Image.fromarray((np.clip(values, 0, 1) * 255).round().astype(np.uint8))


def _color(rng: Rng, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(low, high, 3))
    return red, green, blue


def _two_colors(rng: Rng) -> Plane:
    """Two colours that are well apart: (2, 3) of 0..1."""
    while True:
        colors: Plane = rng.random((2, 3))
        if np.abs(colors[0] - colors[1]).max() > 0.4:
            return colors


def _mixed(share: Plane, colors: Plane) -> Image.Image:
    """From the first colour where `share` (SIDE, SIDE) is 0 to the second where it is 1."""
    weight = np.clip(share, 0, 1)[..., None]
    return _image(colors[0] * (1 - weight) + colors[1] * weight)


def _places() -> tuple[Plane, Plane]:
    """x and y of each pixel, 0..1."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    return x, y


def _noise(rng: Rng) -> Image.Image:
    """Independent values in blocks of 1 to 32 pixels: uniform or normal, in colour or in grey."""
    block = 2 ** int(rng.integers(0, 6))
    cells = -(-SIDE // block)
    size = (cells, cells, int(rng.choice([1, 3])))
    values = rng.random(size) if rng.random() < 0.5 else rng.normal(0.5, 0.2, size)
    whole = values.repeat(block, axis=0).repeat(block, axis=1)[:SIDE, :SIDE]
    return _image(np.broadcast_to(whole, (SIDE, SIDE, 3)))


def _gradient(rng: Rng) -> Image.Image:
    """From one colour to another, along a line or around a point."""
    x, y = _places()
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        share = 0.5 + (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    else:
        share = np.hypot(x - rng.random(), y - rng.random()) / rng.uniform(0.5, 1.2)
    return _mixed(share, _two_colors(rng))


def _pattern(rng: Rng) -> Image.Image:
    """Stripes, a checkerboard, rings or dots that repeat."""
    x, y = _places()
    angle, waves = rng.uniform(0, np.pi), rng.uniform(2, 16)
    along = (x * np.cos(angle) + y * np.sin(angle)) * waves
    across = (y * np.cos(angle) - x * np.sin(angle)) * waves
    share = [
        along % 1 < 0.5,
        (along % 1 < 0.5) ^ (across % 1 < 0.5),
        np.hypot(x - rng.random(), y - rng.random()) * waves % 1 < 0.5,
        np.hypot(along % 1 - 0.5, across % 1 - 0.5) < rng.uniform(0.2, 0.45),
    ][rng.integers(4)]
    return _mixed(share.astype(float), _two_colors(rng))


_WORDS = (
    "Invoice No. Date Customer Item Quantity Unit price Amount Subtotal Tax Total due Paid Terms "
    "Account Bank transfer within thirty days Delivery Order Thank you Signature Page of Notes "
    "Service Hours Repair Printer Paper Cable Licence Shipping Street Postcode Telephone"
)


def _text(rng: Rng, words: int) -> str:
    return " ".join(rng.choice(_WORDS.split(), words))


def _invoice(rng: Rng) -> Image.Image:
    """A page: a heading, lines of words, a table of prices, a total; a little turned."""
    paper, ink = _color(rng, 225), _color(rng, 0, 70)
    page = Image.new("RGB", (2 * SIDE, 2 * SIDE), paper)
    draw, size = ImageDraw.Draw(page), int(rng.integers(9, 17))
    font, left, y = ImageFont.load_default(size), int(rng.integers(40, 110)), 60
    head = ImageFont.load_default(2 * size)
    draw.text((left, y), f"{_text(rng, 1)} {rng.integers(1000, 99999)}", ink, head)
    y += 3 * size
    for _line in range(int(rng.integers(2, 7))):
        draw.text((left, y), _text(rng, int(rng.integers(2, 8))), ink, font)
        y += round(1.4 * size)
    right = 2 * SIDE - int(rng.integers(40, 110))
    for _line in range(int(rng.integers(3, 10))):
        draw.line((left, y, right, y), ink)
        price = f"{rng.uniform(1, 900):.2f}"
        draw.text((left, y + 3), _text(rng, int(rng.integers(1, 4))), ink, font)
        draw.text((right - draw.textlength(price, font), y + 3), price, ink, font)
        y += round(1.7 * size)
    draw.line((left, y, right, y), ink, 2)
    draw.text((left, y + 5), f"Total {rng.uniform(10, 5000):.2f}", ink, head)
    turned = page.rotate(rng.uniform(-8, 8), Image.Resampling.BICUBIC, fillcolor=paper)
    return turned.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _drawing(rng: Rng) -> Image.Image:
    """Flat or outlined shapes on one colour: discs, boxes, triangles, strokes."""
    canvas = Image.new("RGB", (2 * SIDE, 2 * SIDE), _color(rng, 120))
    draw, flat = ImageDraw.Draw(canvas), rng.random() < 0.5
    for _shape in range(int(rng.integers(2, 9))):
        fill, ink = (_color(rng) if flat else None), _color(rng, 0, 160)
        width, (x, y) = int(rng.integers(2, 9)), rng.uniform(0.15, 0.85, 2) * 2 * SIDE
        reach = rng.uniform(0.06, 0.3) * 2 * SIDE
        box = (x - reach, y - reach, x + reach, y + reach)
        match int(rng.integers(4)):
            case 0:
                draw.ellipse(box, fill, ink, width)
            case 1:
                draw.rectangle(box, fill, ink, width)
            case 2:
                corners = [(x + reach * np.cos(a), y + reach * np.sin(a))
                           for a in rng.uniform(0, 2 * np.pi, 3)]  # fmt: skip
                draw.polygon(corners, fill, ink, width)
            case _:
                steps = rng.normal(0, reach / 2, (12, 2)).cumsum(axis=0)
                draw.line([(x + dx, y + dy) for dx, dy in steps], ink, width, "curve")
    return canvas.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _diagram(rng: Rng) -> Image.Image:
    """Axes with bars, a curve or dots, and a word at each, on white or on black."""
    dark = rng.random() < 0.3
    paper, ink = ((30, 30, 34), (225, 225, 225)) if dark else ((255, 255, 255), (40, 40, 40))
    canvas = Image.new("RGB", (2 * SIDE, 2 * SIDE), paper)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    left, base, right, top = 70, 2 * SIDE - 80, 2 * SIDE - 50, 70
    draw.text((left, top - 26), _text(rng, 3), ink, ImageFont.load_default(18))
    for y in range(top, base, 40):
        draw.line((left, y, right, y), tuple((a + b) // 2 for a, b in zip(paper, ink, strict=True)))
    n, color = int(rng.integers(4, 13)), _color(rng)
    xs, heights = np.linspace(left + 12, right - 12, n), rng.uniform(0.1, 1, n) * (base - top)
    reach, kind = (right - left) / n / 3, int(rng.integers(3))
    for x, height in zip(xs, heights, strict=True):
        if kind == 0:
            draw.rectangle((x - reach, base - height, x + reach, base), color)
        elif kind == 1:
            draw.ellipse((x - 6, base - height - 6, x + 6, base - height + 6), color)
        draw.text((x - 8, base + 6), _text(rng, 1)[:3], ink, font)
    if kind == 2:
        draw.line([(x, base - h) for x, h in zip(xs, heights, strict=True)], color, 4, "curve")
    draw.line((left, top, left, base, right, base), ink, 2)
    return canvas.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _cloud(rng: Rng, slope: float) -> Plane:
    """A random surface whose spectrum falls as 1 / f^slope: (SIDE, SIDE), mean 0, deviation 1."""
    rate = np.fft.fftfreq(SIDE)
    f = np.hypot(rate[:, None], rate[None, :])
    f[0, 0] = np.inf
    waves = np.fft.fft2(rng.normal(size=(SIDE, SIDE))) / f**slope
    surface: Plane = np.fft.ifft2(waves).real
    return (surface - surface.mean()) / surface.std()


def _surface(rng: Rng) -> Image.Image:
    """A bumpy, lit surface: stone, cloth, planks or bricks, after their heights."""
    x, y = _places()
    rough = _cloud(rng, rng.uniform(0.8, 2.2))
    waves = rng.uniform(6, 30)
    heights = [
        rough,
        np.sin(2 * np.pi * waves * x) * np.sin(2 * np.pi * waves * y) + 0.3 * rough,
        np.sin(2 * np.pi * (waves / 4 * x + 0.4 * _cloud(rng, 2))) + 0.15 * rough,
        3.0 * np.minimum(
            ((x * waves / 4 + (y * waves / 2 // 1 % 2) / 2) % 1 > 0.08), (y * waves / 2 % 1 > 0.12)
        ) + 0.3 * rough,
    ][rng.integers(4)]  # fmt: skip
    slope_y, slope_x = np.gradient(heights)
    angle = rng.uniform(0, 2 * np.pi)
    light = 0.65 + rng.uniform(0.2, 0.6) * (slope_x * np.cos(angle) + slope_y * np.sin(angle))
    base = rng.random(3) * 0.5 + 0.3
    tint = base + 0.06 * rough[..., None] * rng.uniform(-1, 1, 3)
    return _image(tint * light[..., None])


def _solids(rng: Rng) -> Image.Image:
    """Shaded balls on a plain ground, each with its shadow, in front of a plain wall."""
    x, y = _places()
    horizon = rng.uniform(0.25, 0.6)
    wall, ground = rng.random((2, 3)) * 0.7 + 0.2
    far = np.clip((y - horizon) / (1 - horizon), 0, 1)
    picture = np.where((y < horizon)[..., None], wall, ground * (0.75 + 0.25 * far)[..., None])
    light = np.array([rng.uniform(-0.8, 0.8), -0.7, 0.7])
    light /= np.linalg.norm(light)
    for middle_y in np.sort(rng.uniform(horizon, 0.85, int(rng.integers(1, 6)))):
        middle_x, reach = rng.uniform(0.1, 0.9), rng.uniform(0.06, 0.2)
        shadow = ((x - middle_x + light[0] * reach) / 1.3) ** 2 + (
            (y - middle_y - 0.9 * reach) / 0.35
        ) ** 2 < reach**2
        picture = picture * (1 - 0.45 * shadow[..., None])
        across, down = (x - middle_x) / reach, (y - middle_y) / reach
        depth = np.sqrt(np.clip(1 - across**2 - down**2, 0, 1))
        lit = np.clip(across * light[0] + down * light[1] + depth * light[2], 0, 1)
        gloss = rng.uniform(0, 0.8) * lit**30
        ball = rng.random(3) * (0.25 + 0.75 * lit[..., None]) + gloss[..., None]
        picture = np.where((across**2 + down**2 < 1)[..., None], ball, picture)
    return _image(picture)


_MAKERS: dict[Kind, Callable[[Rng], Image.Image]] = {
    "noise": _noise,
    "gradient": _gradient,
    "pattern": _pattern,
    "invoice": _invoice,
    "drawing": _drawing,
    "diagram": _diagram,
    "surface": _surface,
    "solids": _solids,
}
