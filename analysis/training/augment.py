"""Distort training crops: where tissue lies, and how bright it is.

Pictures of the training source are one sequence of one scanner. What reaches the
node is thick, fat-suppressed or of another weighting, so grey values are distorted
far beyond what looks natural. Everything is drawn from one generator, seeded by the
caller with the step, so a resumed run sees the crops that it would have seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import conv2d, grid_sample, interpolate

from analysis.inference.normalise import Normalisation
from analysis.training.hard_discs import darkened, leaning, thinned, void
from analysis.training.labels import Label
from analysis.training.settings import AugmentationSettings

_CENTRE_ROWS = (0.33, 0.8)  # where crops are centred, as a share of the picture's rows
_SPINE_SPREAD_MM = 18.0  # sd of a crop's centre, front to back, about the spine
_FAR_MM = 110.0  # a crop far from the spine lies up to this far before or behind
_WALL_GAP_MM = 25.0  # least distance of an imitated belly wall from the spine
_WALL_BLEND_MM = 5.0  # over which the imitated wall fades in
_COARSE_GRID = (8, 6)  # nodes of elastic and bias fields over a crop
REACH = 2  # slices on either side that a sample brings along
_ASIDE_SD_MM = 1.5  # of a crop about one disc: where the first look finds its middle
_GAIN_SD_PX = (1.5, 4.0)  # a step of gain must not tell where a label ends


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One slice to cut a crop from, on its own grid.

    Parameters
    ----------
    stack : Tensor, shape (2 * REACH + 1, R, C), float32
        The slice amid its neighbours, smoothed against aliasing; an end slice stands
        in for the missing ones.
    allowed : Tensor, shape (R, C), uint8
        Bit c is set where a pixel may be class c.
    weight : Tensor, shape (R, C), float32
        Of each pixel in the loss.
    spacing_mm
        Distance of rows and of columns (mm).
    spine_columns
        First, middle and last column of the labelled spine.
    complete
        Whether grey values may be changed tissue by tissue.
    centre_px
        Row and column about which the crop lies; None for anywhere along the spine.
    turn_rad
        By which the crop is turned before all else.
    half_height_mm
        Of the disc about which the crop lies; None for a crop about no disc.
    """

    stack: Tensor
    allowed: Tensor
    weight: Tensor
    spacing_mm: tuple[float, float]
    spine_columns: tuple[float, float, float]
    complete: bool
    centre_px: tuple[float, float] | None = None
    turn_rad: float = 0.0
    half_height_mm: float | None = None


def draw_crops(
    samples: Sequence[Sample],
    crop: tuple[int, int],
    spacing_mm: float,
    options: AugmentationSettings,
    generator: Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut one distorted crop from each sample.

    Returns
    -------
    grey : Tensor, shape (N, 3, R, C), float32
        The slice between its neighbours, with grey values as an arbitrary scanner
        might give them; not normalised.
    allowed : Tensor, shape (N, R, C), uint8
        Bit sets; outside the picture there is background.
    weight : Tensor, shape (N, R, C), float32
        Of each pixel in the loss.
    """
    drawn = _Draw(len(samples), generator)
    grids, is_thin = _crop_grids(samples, crop, spacing_mm, options, drawn)
    grey, known = [], []
    for index, sample in enumerate(samples):
        pictures = _thicken(sample.stack, options, drawn)
        if drawn.chance(options.wall_probability):
            pictures = _with_belly_wall(pictures, sample, drawn)
        if _is_drawn(options.lean_probability, drawn):
            most = [options.lean_most_mm / step for step in sample.spacing_mm]
            rows, columns = (round(drawn.one(-each, each)) for each in most)
            pictures = leaning(pictures, (rows, columns))
        grid = grids[index : index + 1]
        grey.append(grid_sample(pictures[None], grid, align_corners=False))
        planes = torch.stack([sample.allowed.float(), sample.weight])[None]
        known.append(grid_sample(planes, grid, mode="nearest", align_corners=False))
    both = torch.cat(known)
    labels = both[:, 0].to(torch.uint8)
    labels[labels == 0] = 1 << Label.BACKGROUND
    complete = torch.tensor([sample.complete for sample in samples])
    crops = _distort_grey(torch.cat(grey), labels, complete, options, drawn)
    for index, sample in enumerate(samples):
        if is_thin[index]:
            crops[index] *= _dark_disc(labels[index], options, drawn)
        if _is_drawn(options.void_probability, drawn):
            half_mm = sample.half_height_mm or 0.0
            crops[index] *= void(crop, spacing_mm, half_mm, drawn.generator)
    return crops, labels, both[:, 1].clamp(min=1.0)


def normalise_crops(grey: Tensor, rule: Normalisation) -> Tensor:
    """Normalise crops (N, 3, R, C) as `analysis.inference.normalise` does slices."""
    pictures = grey.flatten(0, 1)
    normalised = torch.zeros_like(pictures)
    for index, picture in enumerate(pictures):
        high = quick_quantile(picture[::2, ::2], rule.clip_percentile / 100)
        if high <= 0:
            continue
        clipped = picture.clamp(max=high) / high
        tissue = clipped[clipped > rule.tissue_fraction]
        spread = tissue.std(correction=0)
        normalised[index] = (clipped - tissue.mean()) / spread.clamp(min=1e-6)
    return normalised.view_as(grey)


def quick_quantile(values: Tensor, share: float) -> Tensor:
    """Return what `torch.quantile` returns, in a quarter of the time."""
    flat = values.flatten()
    rank = torch.tensor(share, dtype=flat.dtype) * (flat.numel() - 1)
    low = int(rank.floor())
    below, above = (
        flat.kthvalue(min(place, flat.numel())).values for place in (low + 1, low + 2)
    )
    return torch.lerp(below, above, rank - low)


class _Draw:
    """Random numbers, one for each sample of a batch."""

    def __init__(self, count: int, generator: Generator) -> None:
        self.count = count
        self.generator = generator

    def normal(self, *shape: int) -> Tensor:
        return torch.randn((self.count, *shape), generator=self.generator)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        unit = torch.rand((self.count, *shape), generator=self.generator)
        return low + (high - low) * unit

    def one(self, low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def chance(self, probability: float) -> bool:
        return self.one() < probability


def _is_drawn(probability: float, drawn: _Draw) -> bool:
    """Draw one of the distortions that a run may be without.

    Such a run draws nothing for it, so that all else in it is as it was before there
    was this distortion.
    """
    return probability > 0 and drawn.chance(probability)


def _dark_disc(labels: Tensor, options: AugmentationSettings, drawn: _Draw) -> Tensor:
    """Return the gain (R, C) that darkens a disc, with a soft border."""
    disc = (labels == 1 << Label.DISC).float()[None, None]
    soft = _gaussian(disc, drawn.one(*_GAIN_SD_PX))[0, 0]
    return darkened(soft, drawn.one(options.dark_least, 1.0))


def _crop_grids(
    samples: Sequence[Sample],
    crop: tuple[int, int],
    spacing_mm: float,
    options: AugmentationSettings,
    drawn: _Draw,
) -> tuple[Tensor, list[bool]]:
    """Return where crops are read (N, R, C, 2), and which of them show a thin disc.

    In the coordinates of `grid_sample`.
    """
    rows, columns = crop
    down = (torch.arange(rows) - (rows - 1) / 2) * spacing_mm
    across = (torch.arange(columns) - (columns - 1) / 2) * spacing_mm
    place = torch.stack(torch.meshgrid(down, across, indexing="ij"))[None]

    nodes = drawn.normal(2, *_COARSE_GRID)
    strength = options.elastic_sd_px * spacing_mm * drawn.uniform(0, 1, 1, 1, 1)
    place = place + strength * interpolate(
        nodes, size=crop, mode="bicubic", align_corners=True
    )

    turns = torch.tensor([sample.turn_rad for sample in samples])
    angle = turns + drawn.normal() * math.radians(options.rotation_sd_deg)
    scale = torch.exp(drawn.uniform(-options.log_scale, options.log_scale))
    aspect = torch.exp(drawn.normal() * options.aspect_sd)
    shear = drawn.normal() * options.shear_sd
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    matrix = torch.stack(
        [
            torch.stack([cosine * aspect, -sine + shear], dim=1),
            torch.stack([sine, cosine / aspect], dim=1),
        ],
        dim=1,
    )
    place = torch.einsum("nij,njrc->nirc", matrix, place)

    height = drawn.uniform(*_CENTRE_ROWS)
    sideways_mm = drawn.normal() * _SPINE_SPREAD_MM
    far = drawn.uniform(0, 1) < options.far_probability
    sideways_mm = torch.where(far, drawn.uniform(-_FAR_MM, _FAR_MM), sideways_mm)
    grids, is_thin = [], [False] * len(samples)
    for index, sample in enumerate(samples):
        size = torch.tensor(sample.allowed.shape)
        step = torch.tensor(sample.spacing_mm)
        around_mm = place[index]
        if sample.centre_px is None:
            column = sample.spine_columns[1] + sideways_mm[index] / step[1]
            centre = torch.stack([height[index] * size[0], column])
        else:
            centre = torch.tensor(sample.centre_px)
            aside_mm = _ASIDE_SD_MM * torch.randn(2, generator=drawn.generator)
            around_mm = aside_mm[:, None, None] + around_mm
            height_mm = sample.half_height_mm
            if height_mm and _is_drawn(options.thin_probability, drawn):
                share = drawn.one(options.thin_least, 1.0)
                around_mm = thinned(around_mm, height_mm, sample.turn_rad, share)
                is_thin[index] = True
        pixel = centre[:, None, None] + around_mm / step[:, None, None]
        unit = (pixel + 0.5) / size[:, None, None] * 2 - 1
        grids.append(torch.stack([unit[1], unit[0]], dim=-1))
    return torch.stack(grids).float(), is_thin


def _thicken(stack: Tensor, options: AugmentationSettings, drawn: _Draw) -> Tensor:
    """Return a slice between its neighbours (3, R, C), thick or thin, either way up.

    Which side of the patient comes first is not known of the sources.
    """
    first, before, here, after, last = stack
    if drawn.chance(options.neighbour_probability):
        one, other = drawn.one(), drawn.one()
        chosen = [
            (first + one * before) / (1 + one),
            (one * before + here + other * after) / (1 + one + other),
            (last + other * after) / (1 + other),
        ]
    else:
        chosen = [before, here, after]
    if drawn.chance(options.lone_probability):
        chosen[0] = chosen[2] = chosen[1]
    if drawn.chance(0.5):
        chosen.reverse()
    return torch.stack(chosen)


def _with_belly_wall(pictures: Tensor, sample: Sample, drawn: _Draw) -> Tensor:
    """Paste the skin and fat of the back, mirrored, in front of the spine (3, R, C).

    A saturation band hides the belly in the training source; elsewhere its bright
    wall beside dark air has been taken for canal and body.
    """
    first, _, last = sample.spine_columns
    step_mm = sample.spacing_mm[1]
    width = pictures.shape[2] - 1 - math.ceil(last)
    room = math.floor(first - _WALL_GAP_MM / step_mm)
    blend = math.ceil(_WALL_BLEND_MM / step_mm)
    if min(width, room) <= 2 * blend:
        return pictures
    start = int(drawn.one(-0.5 * width, room - width))
    columns = torch.arange(max(0, start), max(0, start) + width)
    columns = columns[columns < min(start + width, room)]
    if columns.numel() <= blend:
        return pictures
    # Mirrored, because the belly's skin lies in front of its fat.
    source = pictures.shape[2] - 1 - (columns - start)
    fade = ((columns[-1] - columns) / blend).clamp(max=1.0)
    pasted = pictures.clone()
    pasted[..., columns] = (
        fade * pictures[..., source] + (1 - fade) * pictures[..., columns]
    )
    pasted[..., : int(columns[0])] = pictures[..., -1].mean()
    return pasted


def _gaussian(pictures: Tensor, sd_px: float) -> Tensor:
    """Blur (N, K, R, C) with a separable Gaussian."""
    reach = max(1, math.ceil(2.5 * sd_px))
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / max(sd_px, 1e-3)) ** 2)
    taps = taps / taps.sum()
    planes = pictures.reshape(-1, 1, *pictures.shape[2:])
    tall = conv2d(planes, taps.view(1, 1, -1, 1), padding=(reach, 0))
    return conv2d(tall, taps.view(1, 1, 1, -1), padding=(0, reach)).view_as(pictures)


def _distort_grey(
    grey: Tensor,
    labels: Tensor,
    complete: Tensor,
    options: AugmentationSettings,
    drawn: _Draw,
) -> Tensor:
    peak = grey[:, 1, ::4, ::4].flatten(1).quantile(0.99, dim=1)
    peak = peak.clamp(min=1e-3).view(-1, 1, 1, 1)
    grey = (grey / peak).clamp(min=0)
    gain = _tissue_gain(grey, labels, options, drawn)
    grey = grey * torch.where(complete.view(-1, 1, 1, 1), gain, 1.0)
    grey = grey * _coil_gain(grey, options, drawn)
    grey = grey.clamp(min=1e-4) ** torch.exp(drawn.normal(1, 1, 1) * options.gamma_sd)
    return torch.cat(
        [_degrade(grey[i : i + 1], options, drawn) for i in range(drawn.count)]
    )


def _tissue_gain(
    grey: Tensor, labels: Tensor, options: AugmentationSettings, drawn: _Draw
) -> Tensor:
    """Gain by tissue (N, 3, R, C): imitates other weightings and fat suppression."""
    classes = len(Label)
    gains = torch.exp(drawn.normal(classes) * options.tissue_sd)
    fat = torch.zeros(drawn.count)
    for index in range(drawn.count):
        if not drawn.chance(options.tissue_probability):
            gains[index] = 1.0
        if drawn.chance(options.fat_suppression_probability):
            # Marrow is about half fat; subcutaneous and epidural fat almost all.
            marrow = drawn.one(0.3, 0.85)
            for label in (Label.BODY, Label.S1, Label.POSTERIOR):
                gains[index, label] *= marrow
            fat[index] = drawn.one(0.4, 0.9)
        elif drawn.chance(options.t1_probability):
            gains[index, Label.CANAL] *= drawn.one(0.15, 0.5)
            gains[index, Label.BODY] *= drawn.one(1.0, 1.6)
        # One marrow: S1 and the posterior elements follow the bodies.
        gains[index, Label.S1] = gains[index, Label.BODY] * drawn.one(0.9, 1.1)
    image = torch.zeros(labels.shape)
    for label in Label:
        here = labels == 1 << label
        image = torch.where(here, gains[:, label, None, None], image)
    image = torch.where(image == 0, gains[:, 0, None, None], image)[:, None]
    image = _gaussian(image - 1, drawn.one(*_GAIN_SD_PX)) + 1
    bright = torch.sigmoid((grey - 0.55) / 0.08) * (labels == 1)[:, None]
    return image * (1 - fat.view(-1, 1, 1, 1) * bright)


def _coil_gain(grey: Tensor, options: AugmentationSettings, drawn: _Draw) -> Tensor:
    """Smooth bias field times a ramp that brightens the back (N, 1, R, C)."""
    size = (grey.shape[2], grey.shape[3])
    nodes = drawn.normal(1, 4, 3) * options.bias_sd * drawn.uniform(0, 1, 1, 1, 1)
    field = interpolate(nodes, size=size, mode="bicubic", align_corners=True)
    slope = drawn.uniform(-0.4, 1.0, 1, 1, 1) * options.coil_ramp
    return torch.exp(field + slope * torch.linspace(-0.5, 0.5, size[1]))


def _degrade(grey: Tensor, options: AugmentationSettings, drawn: _Draw) -> Tensor:
    """Clip, blur, sample coarsely and add noise to one crop (1, 3, R, C)."""
    size = (grey.shape[2], grey.shape[3])
    if drawn.chance(options.clip_probability):
        limit = quick_quantile(grey[..., ::2, ::2], drawn.one(0.85, 0.99))
        grey = grey.clamp(max=float(limit))
    if drawn.chance(options.blur_probability):
        grey = _gaussian(grey, drawn.one(0.3, options.blur_max_px))
    if drawn.chance(options.coarse_probability):
        shrunk = [max(8, int(n * drawn.one(options.coarse_min, 1.0))) for n in size]
        grey = interpolate(grey, size=shrunk, mode="area")
        grey = interpolate(grey, size=size, mode="bilinear", align_corners=False)
    if drawn.chance(options.noise_probability):
        sd = drawn.one(0.0, options.noise_max) * float(grey.mean()) * 2
        real = grey + sd * torch.randn(grey.shape, generator=drawn.generator)
        other = sd * torch.randn(grey.shape, generator=drawn.generator)
        grey = torch.sqrt(real**2 + other**2)
    return grey
