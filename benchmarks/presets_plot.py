"""The presets as a map: pitch to the right, formants upwards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import NullFormatter, ScalarFormatter


@dataclass(frozen=True)
class Place:
    """A voice on the map."""

    name: str
    f0: float  # Hz
    formants: float
    quality: float  # DNSMOS overall


def save_map(path: Path, places: list[Place]) -> None:
    """Each voice as a point with its name, the better it sounds the brighter."""
    figure, axis = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
    points = axis.scatter(
        [place.f0 for place in places],
        [place.formants for place in places],
        c=[place.quality for place in places],
        s=90,
        edgecolors="#333333",
    )
    for place in places:
        axis.annotate(
            place.name, (place.f0, place.formants), (7, 5), textcoords="offset points", fontsize=9
        )
    axis.set_xscale("log")
    axis.set_xticks([90, 110, 130, 150, 175, 200, 230])
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.margins(x=0.1, y=0.12)
    axis.set_xlabel("median F0 in Hz")
    axis.set_ylabel("formants, times alloy's")
    figure.colorbar(points, ax=axis, label="DNSMOS overall")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)
