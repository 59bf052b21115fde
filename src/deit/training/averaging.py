"""Exponential moving averages of a student's weights (EMA; Table 8)."""

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from deit.models.students import Student


def averaged(student: Student, decay: float) -> AveragedModel:
    """A copy of ``student`` that follows it: ``update_parameters`` after each step moves it by ``1 - decay``.

    It begins as the student does, without a warm-up of the decay, as the official code's. Buffers are copied, not
    averaged. All parameters are moved in one fused call.
    """
    average = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(decay))
    average.n_averaged.fill_(1)  # at 0 the first update would replace it by the student
    return average.requires_grad_(False)
