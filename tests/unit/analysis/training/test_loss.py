"""The loss asks of a pixel only what its label says."""

import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: no extra `train`")

from torch import Tensor  # noqa: E402

from analysis.training.loss import marginal_loss, unpack_allowed  # noqa: E402

CLASSES = 3
SURE = 20.0
EVEN = torch.ones((1, 4, 4))


def _logits(winner: int) -> Tensor:
    logits: Tensor = torch.zeros((1, CLASSES, 4, 4))
    logits[:, winner] = SURE
    return logits


def _allowed(bits: int) -> Tensor:
    return unpack_allowed(torch.full((1, 4, 4), bits, dtype=torch.uint8), CLASSES)


def test_bits_become_channels() -> None:
    assert _allowed(0b101)[0, :, 0, 0].tolist() == [True, False, True]


@pytest.mark.parametrize("winner", [0, 2])
def test_either_allowed_class_costs_nothing(winner: int) -> None:
    loss = marginal_loss(_logits(winner), _allowed(0b101), EVEN, dice_weight=0.0)
    assert float(loss) == pytest.approx(0.0, abs=1e-6)


def test_a_forbidden_class_costs_its_certainty() -> None:
    loss = marginal_loss(_logits(1), _allowed(0b101), EVEN, dice_weight=0.0)
    # Two allowed classes share exp(-20): the cost is 20 - log 2.
    assert float(loss) == pytest.approx(SURE - 0.693147, abs=1e-4)


def test_an_unlabelled_pixel_costs_nothing_and_pulls_nowhere() -> None:
    logits = torch.randn((1, CLASSES, 4, 4)).requires_grad_()
    loss = marginal_loss(logits, _allowed(0b111), EVEN, dice_weight=1.0)
    (pull,) = torch.autograd.grad(loss, logits)
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)
    assert float(pull.abs().max()) < 1e-6


def test_a_perfect_answer_costs_nothing() -> None:
    loss = marginal_loss(_logits(2), _allowed(0b100), EVEN, dice_weight=1.0)
    assert float(loss) == pytest.approx(0.0, abs=1e-4)


def test_a_pixel_counts_by_its_weight() -> None:
    allowed = _allowed(0b100)
    light, heavy = (
        marginal_loss(_logits(1), allowed, factor * EVEN, dice_weight=0.0)
        for factor in (1.0, 3.0)
    )
    assert float(heavy) == pytest.approx(3 * float(light))
