"""The colours: legible in light and dark, and apart for people who see colours differently."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest

from workflow_state.pictures.palette import DARK, DARK_TONES, LIGHT, LIGHT_TONES, SYMBOLS, Look, Tone

Colour = tuple[float, float, float]

#: What is left of red, green and blue for people without red, green or blue cones (Machado, Oliveira, Fernandes 2009).
SIGHTS: Mapping[str, tuple[Colour, Colour, Colour]] = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
THEMES = [pytest.param(LIGHT, LIGHT_TONES, id="light"), pytest.param(DARK, DARK_TONES, id="dark")]
#: Looks that are told apart at a glance, before anybody sees a symbol.
LOUD = (Look.COMPLETED, Look.FAILED, Look.RUNNING)


def linear(colour: str) -> Colour:
    """``#rrggbb`` as amounts of light, 0 to 1."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return red, green, blue


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as WCAG 2 defines it, 1 to 21."""
    weights = (0.2126, 0.7152, 0.0722)
    light = sorted(sum(w * part for w, part in zip(weights, linear(c), strict=True)) for c in (one, other))
    return (light[1] + 0.05) / (light[0] + 0.05)


def lab(colour: str, sight: str) -> Colour:
    """A colour, as somebody sees it, in a space where distances are as large as they look (CIE L*a*b*)."""
    rows = SIGHTS[sight]
    seen = [sum(w * part for w, part in zip(row, linear(colour), strict=True)) for row in rows]
    red, green, blue = (min(max(part, 0.0), 1.0) for part in seen)
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089
    fx, fy, fz = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@pytest.mark.parametrize(("values", "tones"), THEMES)
def test_text_and_symbols_stand_out(values: Mapping[str, str], tones: Mapping[Look, Tone]) -> None:
    """Text has the contrast of WCAG AA (4.5) on every area that it stands on, a symbol that of a graphic (3)."""
    for area in (values["page"], values["card"], *(tone.area for tone in tones.values())):
        assert contrast(values["ink"], area) >= 4.5
    for area in (values["page"], values["card"]):
        assert contrast(values["muted"], area) >= 4.5
    for look in set(Look) - {Look.PENDING}:
        assert contrast(tones[look].line, tones[look].area) >= 3, look
        assert contrast(tones[look].line, values["page"]) >= 3, look


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize(("values", "tones"), THEMES)
def test_statuses_stay_apart_whatever_one_sees(
    values: Mapping[str, str], tones: Mapping[Look, Tone], sight: str
) -> None:
    """Completed, failed and running are far from one another, and from the page, for every kind of sight."""
    colours = [lab(tones[look].line, sight) for look in LOUD] + [lab(values["page"], sight)]
    for one, other in itertools.combinations(colours, 2):
        assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > 20


def test_no_status_is_told_by_colour_alone() -> None:
    """Every status has a symbol, and no two are alike."""
    assert len({SYMBOLS[look] for look in Look}) == len(Look)
