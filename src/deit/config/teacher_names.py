"""Names of teachers by what their weights are: ``regnety_160.deit_in1k`` is the published network and no other."""

from pathlib import Path

from deit.config.teaching import TeacherSource

_SLUGS = {
    TeacherSource.fit: "-fitted",
    TeacherSource.finetune: "-finetuned",
    TeacherSource.checkpoint: "-file",
    TeacherSource.random: "-random",
}


def network_name(name: str) -> str:
    """Return timm's ``name`` of a network without the tag of its weights."""
    return name.partition(".")[0]


def teacher_label(name: str, source: TeacherSource, *, is_nano: bool, data: str, file: str | None = None) -> str:
    """Return what to call a teacher in a sentence.

    Args:
        name: The network's name at timm, with the tag of its published weights.
        source: Where its weights come from, ``auto`` resolved.
        is_nano: Whether it has the small form of its family.
        data: What the images are called that it was fitted on; "" if that is not known.
        file: Where its weights are, for TeacherSource.checkpoint.
    """
    nano = "nano, " if is_nano else ""
    on = f" on {data}" if data else ""
    return {
        TeacherSource.fit: f"{network_name(name)} ({nano}fitted{on})",
        TeacherSource.finetune: f"{name} (fine-tuned{on})",
        TeacherSource.checkpoint: f"{network_name(name)} ({nano}weights of {Path(file or 'a file').name})",
        TeacherSource.random: f"{network_name(name)} ({nano}random weights)",
    }.get(source, name)


def teacher_slug(name: str, source: TeacherSource, *, is_nano: bool) -> str:
    """Return the same as a part of file names: ``regnety_160-nano-fitted``."""
    if source is TeacherSource.pretrained:
        return name
    named = name if source is TeacherSource.finetune else network_name(name)
    return f"{named}{'-nano' if is_nano else ''}{_SLUGS[source]}"
