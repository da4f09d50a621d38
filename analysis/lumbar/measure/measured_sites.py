"""What a quantity may be read from: a disc level, a vertebral body, the whole spine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import CANAL, VERTEBRAE, Structure, level_of
from analysis.lumbar.doubt import Need, Scope
from analysis.lumbar.measure.body_shape import BodyShapes
from analysis.lumbar.measure.discs_and_bodies import SlabMeasurement
from analysis.lumbar.measure.height_loss import ExpectedShare
from analysis.lumbar.measure.signal import DiscSignal
from analysis.lumbar.measure.zheng2022.parameters import ZhengGeometry
from analysis.lumbar.number_or_reason import Missing

T = TypeVar("T")

_OF_BODIES = frozenset({Need.BODIES, Need.BODY_HEIGHTS})
_SACRUM, _FIRST_LUMBAR = VERTEBRAE[0], VERTEBRAE[5]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Site:
    """A place in the spine.

    What is measured there for several quantities at once is measured once: see `once`.

    Parameters
    ----------
    anatomy
        The named structures, on the sagittal grid.
    shapes
        Of all bodies.
    shares
        What each body has of the height that its neighbours let expect, by its label.
    """

    anatomy: Anatomy
    shapes: BodyShapes
    shares: Mapping[str, ExpectedShare | Missing]
    _had: dict[object, Any] = field(init=False, repr=False, default_factory=dict)

    def once(self, measure: Callable[[Any], T]) -> T:
        """Return what a function measures at this site, asking it only once."""
        if measure not in self._had:
            self._had[measure] = measure(self)
        return cast("T", self._had[measure])

    def rests_on(self, scope: Scope, needs: frozenset[Need]) -> bool:
        """Say whether a value with some needs lies in the scope of a doubt."""
        asked = needs if scope.need is None else needs & {scope.need}
        if scope.structures is None:
            return bool(asked)
        return any(scope.structures & self.structures(need) for need in asked)

    def structures(self, need: Need) -> frozenset[int]:
        """Return the numbers of the structures that a need is one for at this site."""
        return frozenset({CANAL.number}) if need is Need.CANAL else frozenset()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DiscLevel(Site):
    """One disc, and the bodies beside it.

    Parameters
    ----------
    slab
        Of the disc.
    above, below
        Of the bodies; that of S1 has a height that is none of a vertebra.
    signal
        Of the disc, against cerebrospinal fluid.
    zheng
        Its geometry by the definitions of Zheng 2022.
    """

    slab: SlabMeasurement
    above: SlabMeasurement
    below: SlabMeasurement
    signal: DiscSignal
    zheng: ZhengGeometry

    @property
    def disc(self) -> Structure:
        """The disc itself."""
        return self.slab.structure

    @property
    def level(self) -> str:
        """Such as `L4/L5`."""
        return level_of(self.disc)

    def structures(self, need: Need) -> frozenset[int]:
        """Return the disc, the bodies beside it, or the canal."""
        if need is Need.DISC:
            return frozenset({self.disc.number})
        if need in _OF_BODIES:
            bodies = (self.above, self.below)
            return frozenset(body.structure.number for body in bodies)
        return Site.structures(self, need)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vertebra(Site):
    """One vertebral body.

    Parameters
    ----------
    slab
        Of the body between its own end plates.
    others
        All bodies of the spine, this one among them, by their label.
    """

    slab: SlabMeasurement
    others: Mapping[str, SlabMeasurement]

    @property
    def vertebra(self) -> Structure:
        """The body itself."""
        return self.slab.structure

    def structures(self, need: Need) -> frozenset[int]:
        """Return the body itself, or the canal."""
        if need in _OF_BODIES:
            return frozenset({self.vertebra.number})
        return Site.structures(self, need)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WholeSpine(Site):
    """The spine from end to end.

    Parameters
    ----------
    levels
        The disc levels, from the head to the feet.
    bodies
        By their label.
    """

    levels: tuple[DiscLevel, ...]
    bodies: Mapping[str, SlabMeasurement]

    def structures(self, need: Need) -> frozenset[int]:
        """Return all bodies, those at the ends, all discs, or the canal."""
        if need is Need.DISC:
            return frozenset(level.disc.number for level in self.levels)
        if need is Need.BODY_HEIGHTS:
            return frozenset({_FIRST_LUMBAR.number, _SACRUM.number})
        if need is Need.SACRUM:
            return frozenset({_SACRUM.number})
        if need is Need.BODIES:
            return frozenset(body.structure.number for body in self.bodies.values())
        return Site.structures(self, need)
