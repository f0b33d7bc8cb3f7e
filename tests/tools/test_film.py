"""The film of README: every picture in its colours, for the time that it should stand."""

import io

from PIL import Image, ImageSequence

from tools.film import SIZE, as_gif

RARE = (74, 32, 128)
"""A chart's colour, a few pixels of it on a page of paper and ink."""


def test_pictures_keep_their_time_and_their_rare_colours() -> None:
    frames = []
    for number, stands_ms in enumerate((1800, 140, 140, 1200)):
        picture = Image.new("RGB", SIZE, (255, 253, 248))
        picture.paste(Image.radial_gradient("L").convert("RGB"), (600, 300))
        picture.paste(RARE, (20 + 40 * number, 50, 40 + 40 * number, 60))
        frames.append((picture, stands_ms))
    film = Image.open(io.BytesIO(as_gif(frames)))
    shown = [(each.info["duration"], each.convert("RGB")) for each in ImageSequence.Iterator(film)]
    assert [stands_ms for stands_ms, _picture in shown] == [1800, 140, 140, 1200]
    for number, (_stands_ms, picture) in enumerate(shown):
        assert picture.size == SIZE
        got = picture.getpixel((30 + 40 * number, 55))
        assert isinstance(got, tuple)
        assert max(abs(a - b) for a, b in zip(got, RARE, strict=True)) <= 12
        assert picture.getpixel((30 + 40 * (number + 1), 55)) != got
