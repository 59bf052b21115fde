"""What was set and has no effect: natural grids contain such cells, so they are said once and not refused."""

from collections.abc import Iterator

from deit.config.execution import PAPER_EPOCHS, epochs_at_scale
from deit.config.material import IN_MEMORY, NO_PACK, MixMode
from deit.config.network import Family, Model, Resampling
from deit.config.resources import OF_SLURM, OF_SUBMITIT, SUBMITIT_LOCAL, Resources
from deit.config.schema import Config
from deit.config.teacher_names import network_name
from deit.config.teaching import BankMode, Distill, Method, TeacherSource


def notes_of(config: Config) -> list[str]:
    """What was set, is harmless, and has no effect in this run; and what is no real experiment."""
    return [
        *_teacher_notes(config),
        *_distill_notes(config),
        *_student_notes(config),
        *_data_notes(config),
        *_place_notes(config),
    ]


def _student_notes(c: Config) -> Iterator[str]:
    defaults = Model()
    if c.model.family is Family.timm:
        for key in ("heads", "head_dim", "depth", "embed_dim", "mlp_ratio", "layer_scale", "drop_path_grows"):
            if getattr(c.model, key) != getattr(defaults, key):
                yield f"model.{key} has no effect with model=timm: {c.model.net} has its own"
    if c.model.eval_mode and (c.model.drop_path > 0 or c.model.dropout > 0):
        yield "model.eval_mode=true trains without model.drop_path and model.dropout"
    if c.model.dropout > 0 and not c.model.eval_mode and c.trainer.world_size > 1:
        yield "model.dropout draws per device: results depend on trainer.devices and trainer.num_nodes"
    if c.model.float32_attention and c.trainer.precision == "32-true":
        yield "model.float32_attention has no effect with trainer.precision=32-true"
    by_name = epochs_at_scale(c.optim.paper_epochs, c.scale.epochs)
    if c.init is None and c.optim.paper_epochs != PAPER_EPOCHS and c.optim.epochs != by_name:
        yield f"optim.paper_epochs={c.optim.paper_epochs} has no effect beside optim.epochs={c.optim.epochs}"
    if c.init is None and c.init_positions is not Resampling.official:
        yield "init_positions has no effect without init"
    if c.optim.decay_dist_token and not c.token:
        yield "optim.decay_dist_token has no effect: there is no distillation token"


def _teacher_notes(c: Config) -> Iterator[str]:
    if c.teacher.present and not c.uses_teacher:
        yield (
            f"distill=none: teacher={network_name(c.teacher.name)} is not used;"
            " distill.compare=true measures the student's agreement with it"
        )
    if c.uses_teacher and c.teacher_source is TeacherSource.random:
        yield (
            "DRY RUN: teacher.source=random gives a teacher that has learnt nothing; no figure of this run means"
            " anything"
        )


def _distill_notes(c: Config) -> Iterator[str]:
    defaults = Distill()
    if c.distill.method is not Method.soft:
        for key, value, default in (("tau", c.distill.tau, defaults.tau), ("kl", c.distill.kl, defaults.kl)):
            if value != default:
                yield f"distill.{key} has no effect with distill={c.distill.method.value}; it belongs to distill=soft"
    if c.distill.token and not c.model.family.has_token:
        yield (
            f"model={c.model.name} has no distillation token: its class head learns from"
            f" {'labels and teacher' if c.distill.active else 'the labels'}"
        )
    if c.distill.fusion != defaults.fusion and not c.token:
        yield "distill.fusion has no effect: there is one head"
    if c.distill.method is not Method.soft and c.distill.bank_logits != defaults.bank_logits:
        yield f"distill.bank_logits has no effect with distill={c.distill.method}: decisions alone are kept"
    if c.distill.bank_part != defaults.bank_part:
        yield "distill.bank_part matters to src/bank.py build alone"
    if c.distill.bank_path is not None and c.distill.bank is BankMode.off:
        yield "distill.bank_path matters to src/bank.py alone while distill.bank=off"
    if not c.distill.active and c.distill.bank is not BankMode.off:
        yield f"distill.bank={c.distill.bank} has no effect with distill=none"
    if c.distill.views is not None and c.distill.views < c.optim.epochs:
        yield f"views repeat after {c.distill.views} of {c.optim.epochs} epochs (distill.views)"
    if not c.distill.active and c.distill.alpha != defaults.alpha:
        yield "distill.alpha has no effect with distill=none"


def _data_notes(c: Config) -> Iterator[str]:
    if c.trainer.limit_batches is not None:
        yield (
            f"DRY RUN: trainer.limit_batches={c.trainer.limit_batches} leaves out most images; no figure of this run"
            " means anything"
        )
    if c.data.pack != NO_PACK and c.data.kind in IN_MEMORY:
        yield f"data.pack has no effect: the images of data={c.data.name} lie in memory"
    if c.data.upright and not c.data.turns:
        yield f"data.upright has no effect: the images of data={c.data.name} lie in memory, without EXIF"
    if c.data.pack_path is not None and c.data.packed_side is None:
        yield "data.pack_path has no effect: no images are packed"
    if not c.augment.mixes and c.augment.mix_mode is not MixMode.pair:
        yield "augment.mix_mode has no effect: neither augment.mixup nor augment.cutmix is on"


def _place_notes(c: Config) -> Iterator[str]:
    r, defaults = c.resources, Resources()
    unused = OF_SLURM if r.launcher == SUBMITIT_LOCAL else (*OF_SLURM, *OF_SUBMITIT) if not r.submits else ()
    for key in unused:
        if getattr(r, key) != getattr(defaults, key):
            yield f"resources.{key} has no effect with resources={r.name}"
