import pytest
import torch
from timm.layers import resample_abs_pos_embed
from torch.nn import functional as F

from deit.models.positions import resample_positions


@pytest.fixture
def positions() -> torch.Tensor:
    """Two prefix tokens and a grid of 14 x 14, of width 8."""
    return torch.randn(1, 2 + 14 * 14, 8, generator=torch.Generator().manual_seed(0))


def test_the_same_grid_changes_nothing(positions: torch.Tensor) -> None:
    assert torch.equal(resample_positions(positions, (14, 14), (14, 14), 2), positions)


@pytest.mark.parametrize("grid", [(24, 24), (10, 10), (12, 20)])
def test_patches_are_resampled_as_an_image_and_prefix_tokens_copied(positions: torch.Tensor, grid) -> None:
    resampled = resample_positions(positions, (14, 14), grid, 2)
    assert torch.equal(resampled[:, :2], positions[:, :2])
    for channel in range(8):
        image = positions[0, 2:, channel].reshape(1, 1, 14, 14)
        expected = F.interpolate(image, grid, mode="bicubic", align_corners=False)
        torch.testing.assert_close(resampled[0, 2:, channel], expected.flatten())


def test_an_oblong_grid_keeps_rows_and_columns_apart() -> None:
    rows = torch.arange(3.0)[:, None].expand(3, 5).reshape(1, 15, 1)  # the value is the row
    resampled = resample_positions(rows, (3, 5), (6, 5), 0).reshape(6, 5)
    assert torch.equal(resampled, resampled[:, :1].expand(6, 5))
    assert (resampled[1:, 0] > resampled[:-1, 0]).all()


@pytest.mark.parametrize("grid", [(24, 24), (10, 10), (12, 20)])
def test_antialiasing_gives_the_numbers_of_timm(positions: torch.Tensor, grid) -> None:
    expected = resample_abs_pos_embed(positions, new_size=list(grid), old_size=[14, 14], num_prefix_tokens=2)
    torch.testing.assert_close(resample_positions(positions, (14, 14), grid, 2, antialias=True), expected)
    without = resample_positions(positions, (14, 14), grid, 2)
    assert not torch.allclose(without, expected, atol=0.05)  # even where the grid grows


def test_half_precision_stays_half_precision(positions: torch.Tensor) -> None:
    assert resample_positions(positions.bfloat16(), (14, 14), (7, 7), 2).dtype == torch.bfloat16


def test_a_grid_that_is_not_the_embeddings_is_our_mistake(positions: torch.Tensor) -> None:
    with pytest.raises(AssertionError, match="198 rows"):
        resample_positions(positions, (14, 14), (24, 24), 1)
