"""Names that other programs of the field have for settings of this one, as one would type ours."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

KEYS = {
    "optim.lr": "lr learning_rate base_lr max_lr",
    "optim.batch_size": "batch_size bs batch train_batch_size per_device_train_batch_size global_batch_size",
    "optim.epochs": "epochs max_epochs num_epochs num_train_epochs n_epochs epoch",
    "optim.weight_decay": "weight_decay wd",
    "optim.ema": "ema model_ema ema_decay model_ema_decay use_ema",
    "optim.warmup_epochs": "warmup warmup_steps warm_up num_warmup_steps",
    "optim.schedule": "sched scheduler lr_scheduler lr_schedule",
    "optim": "opt optimizer optimiser",
    "trainer.accumulate": "accumulate_grad_batches gradient_accumulation_steps grad_accum accum_iter update_freq"
    " gradient_accumulation",
    "trainer.clip_grad": "gradient_clip_val gradient_clip grad_clip max_grad_norm gradient_clipping clip",
    "trainer.limit_batches": "fast_dev_run overfit_batches limit_train_batches limit_val_batches limit_test_batches"
    " max_steps debug",
    "trainer.precision": "precision amp fp16 bf16 dtype mixed_precision half",
    "trainer.patience": "patience early_stopping early_stop",
    "trainer.compile": "torch_compile torchcompile",
    "trainer.num_nodes": "nodes nnodes",
    "trainer.devices": "devices gpus num_gpus n_gpus nproc_per_node ngpu world_size",
    "trainer.progress": "progress_bar enable_progress_bar",
    "trainer": "device accelerator strategy cuda gpu",
    "resolution.pixels": "img_size image_size input_size imgsz image_resolution crop_size size",
    "model.drop_path": "drop_path_rate stochastic_depth dropout drop",
    "model": "arch architecture backbone student model_name net network",
    "augment.mixup": "mixup_alpha",
    "augment.cutmix": "cutmix_alpha",
    "augment.smoothing": "label_smoothing",
    "augment.erasing": "reprob random_erasing random_erase",
    "augment.auto_augment": "aa randaugment rand_augment autoaugment",
    "augment.repeats": "repeated_aug repeated_augmentation",
    "augment": "augmentation transform transforms",
    "data.workers": "num_workers n_workers j dataloader_num_workers loaders",
    "data.root": "data_path data_dir data_root dataset_path dataset_dir root_dir train_dir folder",
    "data.num_classes": "nb_classes n_classes",
    "data": "dataset data_set dataset_name",
    "distill.tau": "temperature distillation_tau",
    "distill.alpha": "distillation_alpha",
    "distill": "distillation distillation_type kd",
    "teacher.checkpoint": "teacher_path teacher_checkpoint teacher_ckpt",
    "teacher": "teacher_model",
    "init": "ckpt checkpoint pretrained finetune weights pretrained_weights",
    "resume": "resume_from_checkpoint ckpt_path resume_from",
    "hydra.run.dir": "output_dir output save_dir log_dir logdir default_root_dir out_dir exp_dir work_dir",
    "logger": "wandb use_wandb tensorboard tb log_to report_to",
    "name": "run_name experiment_name exp_name",
    "seed": "random_seed seed_everything manual_seed",
    "plan": "dry_run dryrun",
}
"""Words by our key."""
OPTIONS = {
    "data": {"imagenet": "imagenet1k imagenet_1k ilsvrc ilsvrc2012 in1k", "cifar10": "cifar", "cars": "stanford_cars"},
    "trainer": {
        "gpu": "cuda gpus mps nvidia 0 cuda:0",
        "ddp": "ddp_spawn dp distributed multi_gpu",
        "fsdp": "deepspeed zero",
    },
    "optim": {"adamw": "adam", "sgd": "momentum nesterov"},
    "distill": {"hard": "true on", "soft": "kd kl", "none": "false off no"},
    "teacher": {"regnety_160": "regnet regnety regnety_16gf", "none": "false off no"},
    "logger": {"tensorboard": "tb", "wandb": "wb weights_and_biases true"},
    "augment": {"deit": "randaugment auto default full", "none": "false off no"},
    "model": {
        "deit_ti": "deit_tiny deit_t vit_tiny vit_ti",
        "deit_s": "deit_small vit_small vit_s",
        "deit_b": "deit_base vit_base vit_b",
    },
}
"""Words by our option, by group."""
PRECISION = {
    "16-mixed": "fp16 16 half float16 amp true",
    "bf16-mixed": "bf16 bfloat16",
    "32-true": "fp32 32 float32 full false",
}
NETWORKS = re.compile(
    r"(wide_)?resne(t|xt|st)|(tf_)?efficientnet|convnext|vit_|swin|reg(net|nety|netx)_?\d|mobile(net|vit|one)|densenet"
    r"|mixer|beit|eva|cait|deit|pit_|xcit|levit|coat|crossvit|vgg|inception|xception|poolformer|maxvit|edgenext|ghostnet"
)
"""Beginnings of names that timm has for networks."""


def key_for(word: str) -> str | None:
    """Return our key for a word of the field, or None."""
    group, _, last = word.lower().replace("-", "_").rpartition(".")
    ours = _ours(last, KEYS)
    # Lightning's trainer has what belongs to other groups here; the same word may mean another key in any other group.
    return ours if ours is not None and (group in ("", "trainer") or ours.startswith(f"{group}.")) else None


def option_for(group: str, given: str) -> str | None:
    """Return what to type instead of an option that ``group`` does not have, or None."""
    plain = given.lower().replace("-", "_")
    if group == "data" and (folder := _folder(given)) is not None:
        return f"data=folder data.root={folder}"
    if group == "resolution" and given.isdecimal():
        return f"resolution.pixels={given}"
    size = re.sub(r"(_distilled)?_patch\d+.*", "", plain) if group == "model" else plain
    if (option := _ours(size, OPTIONS.get(group, {}))) is not None:
        return f"{group}={option}"
    return None


def of_others(group: str, given: str) -> str | None:
    """Return what to type for a folder of images or a network of timm that none of our options resembles, or None."""
    if group == "data":
        return f"data=folder data.root={given}"
    is_network = group == "model" and NETWORKS.match(given.lower().replace("-", "_"))
    return f"model=timm model.net={given}" if is_network else None


def _folder(given: str) -> str | None:
    """The folder that ``given`` names, exactly or nearly; a path that does not exist is returned as it is."""
    if Path(given).is_dir() or "/" in given or given.startswith("."):
        return given
    here = [path.name for path in Path().iterdir() if path.is_dir()]
    matches = difflib.get_close_matches(given, here, n=1, cutoff=0.75)
    return matches[0] if matches else None


def typed(key: str, word: str, value: str) -> str:
    """Return the settings to type for ``word=value`` of another program, whose word for our ``key`` it is."""
    plain, low = word.lower().replace("-", "_").rpartition(".")[2], value.lower()
    is_on = low in ("", "true", "yes", "on", "1")
    if key == "trainer.precision":
        means = plain if is_on and plain not in ("dtype", "amp", "half", "mixed_precision") else low
        return f"trainer.precision={precision(means) or '16-mixed'}"
    if key == "logger":
        named = {"tensorboard": "tensorboard", "tb": "tensorboard"}.get(plain, "wandb")
        return f"logger={named if is_on else value}"
    if key == "trainer":
        named = "gpu" if is_on and plain in ("cuda", "gpu") else value
        return option_for("trainer", named) or f"trainer={named}"
    if key == "trainer.devices":
        return f"trainer={'ddp trainer.devices=' + value if value.isdecimal() and int(value) > 1 else 'gpu'}"
    if key == "trainer.limit_batches":
        return f"trainer.limit_batches={value if value.isdecimal() and int(value) > 0 else 1}"
    if key in ("optim.ema", "trainer.patience", "init") and is_on:
        return {"optim.ema": "optim.ema=0.99996", "trainer.patience": "trainer.patience=10", "init": "init=<file>"}[key]
    if key in OPTIONS and (option := option_for(key, value)) is not None:
        return option
    if key == "model" and "_" not in value and (option := of_others(key, value)) is not None:
        return option
    return f"{key}={value}"


def precision(given: str) -> str | None:
    """Return Lightning's name of a precision, or None."""
    return _ours(given.lower(), PRECISION)


def named(setting: str, given: str) -> str | None:
    """Return the value of ``trainer.<setting>`` that the field calls ``given``, or None."""
    if setting == "precision":
        return precision(given)
    option = _ours(given.lower(), OPTIONS["trainer"])
    return option if (option == "gpu") == (setting == "accelerator") else None


def whole_numbers(given: str) -> str | None:
    """Return ``0,1,2`` for ``0-2``, ``0..2`` and ``0:3``, or None."""
    found = re.fullmatch(r"(\d{1,4})(-|\.\.|:)(\d{1,4})", given)
    if found is None:
        return None
    first, last = int(found.group(1)), int(found.group(3)) - (found.group(2) == ":")
    return ",".join(map(str, range(first, last + 1))) if first < last <= first + 50 else None


def _ours(word: str, table: dict[str, str]) -> str | None:
    return next((ours for ours, words in table.items() if word in words.split()), None)


def nearest_first(given: str, possible: list[str]) -> Iterator[str]:
    """Yield the possible words, those nearest to ``given`` first."""
    low = given.lower()

    def distance(word: str) -> tuple[bool, float]:
        ratio = max(
            difflib.SequenceMatcher(None, low, part.lower()).ratio() for part in (word, word.rpartition("/")[2])
        )
        return low not in word.lower(), -ratio

    yield from sorted(possible, key=distance)
