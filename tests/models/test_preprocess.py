import torch
from torch.nn import functional as F

from deit.models.preprocess import Inputs, Preprocess

MEAN, STD = (0.5, 0.25, 0.1), (0.5, 0.25, 0.2)


def test_each_channel_loses_its_mean_and_is_divided_by_its_std() -> None:
    images = torch.full((1, 3, 4, 4), 0.5)
    normalised = Preprocess(MEAN, STD, None)(images)
    assert normalised.shape == (1, 3, 4, 4)
    torch.testing.assert_close(normalised[0, :, 0, 0], torch.tensor([0.0, 1.0, 2.0]))


def test_an_image_of_the_right_size_is_not_resampled(images: torch.Tensor) -> None:
    assert torch.equal(Preprocess((0, 0, 0), (1, 1, 1), 28)(images), images)
    assert Preprocess((0, 0, 0), (1, 1, 1), None)(images).shape == images.shape


def test_another_size_is_resampled_bicubically_with_antialiasing_within_the_range_of_images() -> None:
    checkers = (torch.arange(16)[:, None] // 4 % 2 == torch.arange(16) // 4 % 2).float().expand(1, 3, 16, 16)
    raw = F.interpolate(checkers, (24, 24), mode="bicubic", antialias=True)
    assert raw.min() < 0
    assert raw.max() > 1
    resized = Preprocess((0, 0, 0), (1, 1, 1), 24)(checkers)
    assert torch.equal(resized, raw.clamp(0, 1))


def test_oblong_images_become_square() -> None:
    assert Preprocess(MEAN, STD, 12)(torch.rand(2, 3, 12, 20)).shape == (2, 3, 12, 12)


def test_the_statistics_are_in_no_weights_file_but_follow_the_module() -> None:
    preprocess = Preprocess(MEAN, STD, None)
    assert preprocess.state_dict() == {}
    assert preprocess.to(torch.float64).mean.dtype == torch.float64


def test_what_a_network_was_trained_to_see_survives_as_strings() -> None:
    for size in (28, None):
        inputs = Inputs(MEAN, STD, size)
        assert Inputs.from_metadata(inputs.metadata()) == inputs
    assert Inputs.from_metadata({"format": "pt"}) is None


def test_images_that_come_as_the_network_wants_them_are_left_alone() -> None:
    images = torch.rand(2, 3, 8, 8)
    assert Preprocess(MEAN, STD, 8, given=(MEAN, STD))(images) is images


def test_images_normalised_otherwise_are_normalised_anew() -> None:
    images = torch.rand(2, 3, 8, 8)
    others = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in others)
    made = Preprocess(MEAN, STD, None, given=others)((images - mean) / std)
    assert torch.allclose(made, Preprocess(MEAN, STD, None)(images), atol=1e-6)


def test_a_resized_image_stays_between_black_and_white_whatever_it_comes_as() -> None:
    checkers = (torch.arange(12)[:, None] + torch.arange(12) & 1).float().expand(1, 3, 12, 12)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    expected = Preprocess(MEAN, STD, 24)(checkers)
    made = Preprocess(MEAN, STD, 24, given=(MEAN, STD))((checkers - mean) / std)
    assert torch.allclose(made, expected, atol=1e-5)
