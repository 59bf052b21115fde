"""What a user can type wrong: one message that says what to type, exit status 2, no traceback, nothing written."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import commands
from conftest import Outcome
from deit.config.errors import ConfigError
from deit.config.schema import Config
from in_process import Typed


class Wrong(NamedTuple):
    """A command line, what must be said to it, and the files that lie where it is typed."""

    typed: str
    words: tuple[str, ...]
    files: dict[str, str] = {}  # noqa: RUF012 - a NamedTuple's default, never changed


HERE = "local/default.yaml"  # below --config-dir, as conf/local/default.yaml is
FIRST = "# @package _global_\n"

AS_ELSEWHERE = [
    Wrong("train.py --model deit_ti", ("--model is no option: settings have no dashes", "type model=deit_ti")),
    Wrong("train.py --model=deit_ti", ("--model=deit_ti is no option", "type model=deit_ti")),
    Wrong("train.py -model=deit_ti", ("-model=deit_ti is no option", "type model=deit_ti")),
    Wrong("train.py --lr 0.1", ("--lr is no option", "optim.lr=0.1")),
    Wrong("train.py --batch-size=64 --epochs 3 --seed 1", ("3 problems", "optim.batch_size=64", "optim.epochs=3", "type seed=1")),
    Wrong("train.py --nonsense", ("--nonsense is no option; possible: --help", "--cfg")),
    Wrong("train.py --helpp", ("--helpp is no option", "type --help")),
    Wrong("train.py -help", ("-help is no option", "type --help")),
    Wrong("train.py help", ("help is no setting; type --help",)),
    Wrong("train.py --multi-run model=deit_s", ("--multi-run is no option", "type --multirun")),
    Wrong("train.py --resolve", ("type --resolve --cfg job",)),
    Wrong("train.py --cfg jobs", ("invalid choice: 'jobs'", "'job', 'hydra', 'all'")),
    Wrong("train.py model:deit_ti", ("has a colon for its equal sign", "type model=deit_ti")),
    Wrong("train.py model = deit_ti", ("spaces around the =", "type model=deit_ti")),
    Wrong("train.py model= deit_ti seed=1", ("spaces around the =", "type model=deit_ti")),
    Wrong("train.py model =deit_ti", ("spaces around the =", "type model=deit_ti")),
    Wrong("train.py 'model =deit_ti'", ("spaces in the key", "type model=deit_ti")),
    Wrong("train.py model==deit_ti", ("model==deit_ti is unknown", "pass model=deit_ti")),
    Wrong("train.py deit_ti", ("deit_ti is no setting", "such as model=deit_s")),
    Wrong("train.py /data/imagenet", ("/data/imagenet is no setting", "key=value")),
    Wrong("train.py optim.lr", ("optim.lr has no value; type optim.lr=<a number>",)),
    Wrong("train.py ''", ("an argument is empty: is it a shell variable that is not set?",)),
    Wrong("train.py =5", ("=5 has no key", "such as model=deit_s")),
    Wrong("train.py data.root=~/images", ("the shell leaves ~ as it is", "type data.root=$HOME/images")),
    Wrong("train.py model=deit_ti,deit_s", ("are several values; type model=deit_ti,deit_s -m",)),
    Wrong("train.py logger=tensorboard,wandb", ("logger=[tensorboard,wandb] for all of them at once",)),
    Wrong("train.py optim.lr=0,001", ("a decimal point is typed as optim.lr=0.001",)),
    Wrong("train.py model=[deit_ti,deit_s]", ("model is one option at a time; type model=deit_ti,deit_s -m",)),
    Wrong("train.py +model=deit_s", ("model is there already", "type model=deit_s")),
    Wrong("train.py +optim.lr=1e-3", ("optim.lr is there already", "type optim.lr=1e-3")),
    Wrong("train.py ~optim.ema", ("a setting cannot be taken away", "optim.ema=<another value>")),
    Wrong("train.py model@student=deit_s", ("type model=deit_s",)),
    Wrong("train.py --config-dir nowhere", ("nowhere' not found",)),
]  # fmt: skip

KEYS_AND_OPTIONS = [
    Wrong("train.py model=deit_xl", ("model=deit_xl is unknown", "deit_b, deit_s, deit_ti", "pass model=")),
    Wrong("train.py model=DeiT-Ti", ("pass model=deit_ti",)),
    Wrong("train.py model=dëit_ti", ("is unknown", "pass model=deit_ti")),
    Wrong("train.py model=", ("model= is unknown; possible: cait_s24",)),
    Wrong("train.py model=1", ("the options of model have names",)),
    Wrong("train.py model=null", ("the options of model have names", "leave it out")),
    Wrong("train.py resolution=225", ("resolution=225 is unknown", "160, 224, 320, 384, 512, own")),
    Wrong("train.py experiment=table3_distillation", ("is unknown", "pass experiment=paper/table3_distillation")),
    Wrong("train.py teacher=regnety_16", ("teacher=regnety_16 is unknown", "pass teacher=regnety_160")),
    Wrong("train.py logger=[csv,wandbb]", ("logger=wandbb is unknown", "pass logger=wandb")),
    Wrong("train.py modle=deit_s", ("modle is no key", "possible: name, seed", "did you mean model=deit_s?")),
    Wrong("train.py MODEL=deit_s", ("MODEL is no key", "did you mean model=deit_s?")),
    Wrong("train.py modèle=deit_s", ("cannot be read: there are letters in its key that no key has",)),
    Wrong("train.py lr=0.1", ("lr is no key", "did you mean", "optim.lr=0.1?")),
    Wrong("train.py model.hedas=3", ("model.hedas is no key", "did you mean model.heads=3?")),
    Wrong("train.py model/heads=3", ("did you mean model.heads=3?",)),
    Wrong("train.py model.heads.most=3", ("model.heads.most is no key", "did you mean model.heads=…?")),
    Wrong("train.py teacher.fit.epoch=1", ("did you mean teacher.fit.epochs=1?",)),
    Wrong("train.py optim.learning_rate=1", ("optim.learning_rate is no key", "possible below optim: kind, lr")),
    Wrong("train.py +optim.warmup=5", ("optim.warmup is no key", "did you mean optim.warmup_epochs=…?")),
    Wrong("train.py hydra.run.dri=out", ("hydra.run.dri is no key",)),
]  # fmt: skip

BY_MEANING = [
    Wrong("train.py data=photos", ("pass data=folder data.root=photos",)),
    Wrong("train.py data=photo", ("pass data=folder data.root=photos",), {"photos/cat/1.jpg": ""}),
    Wrong("train.py data=./my/images", ("pass data=folder data.root=./my/images",)),
    Wrong("train.py dataset=cifar10", ("did you mean data=cifar10?",)),
    Wrong("train.py data=imagenet1k", ("pass data=imagenet",)),
    Wrong("train.py model=resnet50", ("pass model=timm model.net=resnet50",)),
    Wrong("train.py model=deit_tiny_patch16_224", ("pass model=deit_ti",)),
    Wrong("train.py model=vit_small", ("pass model=deit_s",)),
    Wrong("train.py arch=vit_base_patch16_384", ("did you mean model=deit_b?",)),
    Wrong("train.py trainer=cuda", ("pass trainer=gpu",)),
    Wrong("train.py --device cuda", ("type trainer=gpu",)),
    Wrong("train.py gpus=2", ("did you mean trainer=ddp trainer.devices=2?",)),
    Wrong("train.py precision=fp16 amp=true", ("3 problems", "precision is no key", "amp is no key", "trainer.precision=16-mixed?")),
    Wrong("train.py bf16=true", ("did you mean trainer.precision=bf16-mixed?",)),
    Wrong("train.py trainer.precision=half trainer.accelerator=cuda", ("pass trainer.precision=16-mixed", "pass trainer.accelerator=gpu")),
    Wrong("train.py seed=0-2 -m", ("seed must be a whole number, got 0-2. Type seed=0,1,2 -m",)),
    Wrong("train.py fast_dev_run=true", ("did you mean trainer.limit_batches=1?",)),
    Wrong("train.py trainer.max_epochs=3", ("did you mean optim.epochs=3?",)),
    Wrong("train.py trainer.gradient_clip_val=1 accumulate_grad_batches=2", ("trainer.clip_grad=1?", "trainer.accumulate=2?")),
    Wrong("train.py wandb=true", ("did you mean logger=wandb?",)),
    Wrong("train.py ckpt=a.pth resume_from_checkpoint=b.ckpt", ("init=a.pth?", "resume=b.ckpt?")),
    Wrong("train.py --img-size 384 --num_workers=4 --drop-path 0.1 --wd 0.05 --ema", ("5 problems", "resolution.pixels=384", "data.workers=4", "model.drop_path=0.1", "optim.weight_decay=0.05", "optim.ema=")),
    Wrong("train.py resolution=256", ("pass resolution.pixels=256",)),
    Wrong("train.py experiment=table3", ("possible: paper/table3_distillation, ", "more; pass experiment=paper/table3_distillation")),
]  # fmt: skip

ALL_AT_ONCE = [
    Wrong("train.py modle=deit_s distil=hard optim.epoch=3", ("3 problems", "model=deit_s?", "distill=hard?", "optim.epochs=3?")),
    Wrong("train.py modle=deit_s --epochs 3 optim.lr=fast seed=-1 data=photos", ("5 problems", "type optim.epochs=3", "model=deit_s?", "optim.lr=fast", "seed=-1 is out", "data.root=photos")),
    Wrong("train.py optim.lr=fast data=folder data.root=nowhere", ("2 problems", "optim.lr=fast", "data.root=nowhere does not exist")),
    Wrong("train.py seed=0,one modle=deit_s data=folder data.root=nowhere -m", ("3 problems", "seed=one", "model=deit_s?", "data.root=nowhere does not exist")),
    Wrong("train.py data=folder data.root=nowhere seed=0,1,2 -m", ("3 of 3 jobs are invalid", "  in all 3 jobs")),
]  # fmt: skip

VALUES = [
    Wrong("train.py optim.lr=fast", ("optim.lr=fast is of the wrong type; it must be a number",)),
    Wrong("train.py 'optim.lr=1e-3;'", ("is of the wrong type; it must be a number",)),
    Wrong("train.py optim.lr=", ("optim.lr= has no value; it must be a number",)),
    Wrong("train.py optim.epochs=1.5", ("optim.epochs=1.5 is of the wrong type; it must be a whole number",)),
    Wrong("train.py optim.epochs=1e3", ("optim.epochs=1e3 is of the wrong type; it must be a whole number",)),
    Wrong("train.py optim.ema=None", ("optim.ema=None is of the wrong type; it must be a number, or null",)),
    Wrong("train.py seed=null", ("seed=null is of the wrong type; it must be a whole number",)),
    Wrong("train.py distill.token=maybe", ("distill.token=maybe is of the wrong type; it must be true or false",)),
    Wrong("train.py distill.method=medium", ("distill.method=medium is unknown; possible: none, soft, hard",)),
    Wrong("train.py name=[a]", ("name=[a] is of the wrong type; it must be a text",)),
    Wrong("train.py data.mean=0.5", ("data.mean=0.5 is of the wrong type; it must be a list of numbers in brackets",)),
    Wrong("train.py data.mean=[a,b,c]", ("data.mean=[a,b,c] is of the wrong type; it must be a list of numbers",)),
    Wrong("train.py data.mean=[0.5,0.5,null]", ("it must be a list of numbers in brackets",)),
    Wrong("train.py data.mean=[124,116,104]", ("data.mean[0]=124 is out of range; possible: [0, 1]",)),
    Wrong("train.py data.mean=[nan,0,0]", ("data.mean[0]=nan is out of range",)),
    Wrong("train.py data.mean=[0.5]", ("data.mean has 1 values; images have 3 channels", "pass data.mean=[r,g,b]")),
    Wrong("train.py data.std=[0,1,1]", ("data.std[0]=0 is out of range; possible: (0, 1]",)),
    Wrong("train.py optim.lr=nan", ("optim.lr=nan must be above zero",)),
    Wrong("train.py optim.lr=inf", ("optim.lr=inf is too large; possible: up to 1,000,000,000",)),
    Wrong("train.py optim.epochs=99999999999999999999", ("optim.epochs=99999999999999999999 is too large",)),
    Wrong("train.py seed=-1", ("seed=-1 is out of range; possible: [0, 4294967295]",)),
    Wrong("train.py data.seed=4294967296", ("data.seed=4294967296 is out of range",)),
    Wrong("train.py data.workers=-2", ("data.workers=-2 is out of range; possible: [0, 1024]",)),
    Wrong("train.py distill.alpha=1.5", ("distill.alpha=1.5 is out of range; possible: [0, 1]",)),
    Wrong("train.py distill.tau=inf", ("distill.tau=inf is out of range; possible: (0, 100]",)),
    Wrong("train.py trainer.precision=bf16", ("trainer.precision=bf16 is unknown", "pass trainer.precision=bf16-mixed")),
    Wrong("train.py data.root=", ("data.root is empty; leave it out",)),
    Wrong("train.py name=", ("name is empty",)),
    Wrong("train.py name=../elsewhere", ("name='../elsewhere' has a /", "pass name=<a word>")),
    Wrong("train.py 'name=a\nb'", (r"name='a\nb' has a / or what cannot be printed",)),
    Wrong(f"train.py name={'n' * 300}", ("has more than 200 bytes",)),
    Wrong('train.py "name=\'a"', ("name='a cannot be read: a quote is not closed", "\"name='value'\"")),
    Wrong("train.py data.mean=[1,2", ("data.mean=[1,2 cannot be read: a bracket is open",)),
    Wrong("train.py 'name=a,b=c'", ("cannot be read", "in quotes of its own")),
    Wrong("train.py 'name=${nowhere}'", ("Interpolation key 'nowhere' not found", "${scale.lr}")),
    Wrong("train.py 'name=${oc.env:DEIT_HAS_NO_SUCH}'", ("Environment variable 'DEIT_HAS_NO_SUCH' not found",)),
    Wrong("train.py 'optim.lr=${half:scale.lr}'", ("optim.lr cannot be computed: Unsupported interpolation type half",)),
    Wrong("train.py 'model.heads=${model.heads}'", ("model.heads cannot be computed: Recursive interpolation",)),
    Wrong("train.py 'optim.epochs=${data.name}'", ("optim.epochs=digits is of the wrong type", "a whole number")),
]  # fmt: skip

CONTRADICTIONS = [
    Wrong("train.py distill=hard teacher=none", ("distill.method=hard needs a teacher", "pass teacher=regnety_160")),
    Wrong("train.py distill.alpha=2 optim.epochs=0 teacher=none", ("3 problems:", "  1. ", "  2. ", "  3. ")),
    Wrong("train.py data=digits scale=paper", ("predicts 1000 classes, data=digits has 10", "teacher.source=fit")),
    Wrong("train.py resolution.pixels=30", ("30 pixels does not divide into patches of 4", "resolution.pixels=28")),
    Wrong("train.py scale.patch_size=5", ("28 pixels does not divide into patches of 5", "resolution.pixels=25")),
    Wrong("train.py model.heads=5 model.embed_dim=48", ("model.embed_dim=48 does not divide by model.heads=5",)),
    Wrong("train.py trainer=ddp trainer.devices=3", ("optim.batch_size must be a multiple of 6", "3 devices")),
    Wrong("train.py trainer.devices=2", ("trainer=cpu is one process, but 2 devices", "pass trainer=ddp")),
    Wrong("train.py optim.epochs=3 optim.warmup_epochs=3", ("optim.warmup_epochs=3 is not shorter than optim.epochs=3",)),
    Wrong("train.py teacher.source=checkpoint", ("no file is named; pass teacher.checkpoint=<file>",)),
    Wrong("train.py teacher=ensemble", ("teacher=ensemble has 0 members; at least 2",)),
    Wrong("train.py distill.bank=replay augment.mix_mode=batch", ("distill.bank=replay keeps an answer a view", "pass augment.mix_mode=pair")),
    Wrong("train.py distill.bank_part=5/4", ("distill.bank_part=5/4 is no share", "distill.bank_part=1/4")),
    Wrong("train.py data.pack=big", ("data.pack=big is no length; possible: none or pixels",)),
    Wrong("train.py data=hf data.path=x data.pack=20", ("packs images smaller than the student sees them (28 pixels)",)),
    Wrong("train.py init_ema=true", ("init_ema=true, but there is no init",)),
    Wrong("train.py model=timm", ("model=timm needs a network; pass model.net=",)),
    Wrong("train.py experiment=official/deit_b", ("data=imagenet needs its folder; pass data.root=",)),
]  # fmt: skip

FILES_AND_FOLDERS = [
    Wrong("train.py data=folder data.root=nowhere", ("data.root=nowhere does not exist",)),
    Wrong("train.py data=imagenet data.root=images.tar", ("data.root=images.tar is a file; it must be a folder",), {"images.tar": ""}),
    Wrong("train.py data=folder data.root=photos", ("class folders without an image: cat, dog",), {"photos/cat/note.txt": "", "photos/dog/note.txt": ""}),
    Wrong("train.py data=folder data.root=photos.zip", ("photos.zip is a file", "type unzip photos.zip -d photos and pass data.root="), {"photos.zip": ""}),
    Wrong("train.py data=folder data.root=photos", ("photos has 0 class folders", "2 images lie in photos itself", "type mkdir photos/cat photos/dog"), {"photos/1.jpg": "", "photos/2.JPG": ""}),
    Wrong("train.py data=folder data.root=photos", ("photos has 1 class folders", "cat alone leaves nothing to tell apart"), {"photos/cat/1.jpg": ""}),
    Wrong("train.py data=folder data.root=photos", ("photos/photos has folders (cat, dog …)", "pass data.root=photos/photos"), {"photos/photos/cat/1.jpg": "", "photos/photos/dog/1.jpg": ""}),
    Wrong("train.py data=folder data.root=photos", ("class folders without an image: cat, dog", "2 files are HEIC", "heif-convert"), {"photos/cat/1.HEIC": "", "photos/dog/1.heif": ""}),
    Wrong("train.py data=flowers102 distill=none", ("needs the folder flowers-102/", "data.download=true")),
    Wrong("train.py teacher.checkpoint=checkpoints", ("teacher.checkpoint=checkpoints is a folder without checkpoints/best.ckpt",), {"checkpoints/best.ckpt": ""}),
    Wrong("train.py init=epoch=3.ckpt", ("init=epoch=3.ckpt is not a file",)),
    Wrong("train.py resume=yes", ("resume=yes is not a file; possible: auto, never, or a checkpoint",)),
    Wrong("train.py hydra.run.dir=out", ("hydra.run.dir=out cannot be a folder: out is a file",), {"out": ""}),
    Wrong("train.py hydra.run.dir=out/2026-11-25", ("cannot be a folder: out is a file",), {"out": ""}),
    Wrong("train.py hydra.run.dir=", ("hydra.run.dir is empty",)),
    Wrong("train.py 'hydra.run.dir=logs/${day}'", ("hydra.run.dir cannot be computed", "'day' not found")),
    Wrong("train.py hydra.sweep.dir=out -m", ("hydra.sweep.dir=out cannot be a folder",), {"out": ""}),
]  # fmt: skip

SWEEPS = [
    Wrong("train.py seed=0,one -m", ("1 of 2 jobs are invalid; nothing was started", "#1 seed=one", "a whole number")),
    Wrong("train.py model=deit_ti,deit_x -m", ("1 of 2 jobs are invalid", "model=deit_x is unknown")),
    Wrong("train.py distill=none,soft,hard teacher=none,regnety_160 distill.alpha=0.5,2 -m", ("8 of 12 jobs are invalid", "in #1 distill=none teacher=none distill.alpha=2, #3, #5, #7, #9, #11")),
    Wrong("train.py 'distill.alpha=0.5,2' 'name=${nowhere}' -m", ("2 of 2 jobs", "name cannot be computed")),
    Wrong("train.py model=deit_ti, -m", ("nothing stands on one side of a comma",)),
    Wrong("train.py 'seed=choice()' -m", ("cannot be read: empty choice is not legal",)),
    Wrong("train.py 'seed=range(3,0)' -m", ("there is no job in seed=range(3,0)",)),
    Wrong("train.py 'seed=range(0,2,0)' -m", ("seed=range(0,2,0): range() arg 3 must not be zero",)),
    Wrong("train.py 'model=glob(vit_*)' -m", ("there is no job in model=glob(vit_*)",)),
    Wrong("train.py 'seed=range(0,1000000000)' -m", ("more than 10,000 jobs",)),
    Wrong("train.py 'seed=shuffle(1,2,3)' -m", ("seed=shuffle(1,2,3) has another order each time",)),
    Wrong("train.py 'optim.lr=interval(0,1)' -m", ("is for a sweeper that chooses values; pass optim.lr=<a>,<b>",)),
    Wrong("train.py resources=local,local_parallel -m", ("resources cannot vary within a sweep",)),
    Wrong("train.py plan=true,false -m", ("plan cannot vary within a sweep",)),
    Wrong("train.py model=1,2 -m", ("the options of model have names",)),
    Wrong("train.py cell=[none,up_384] -m", ("init=sweep, but no job before cell=[none,up_384]", "cell=[b],[b,up_384]")),
    Wrong("train.py cell=up_384", ("init=sweep, but no job before cell=[up_384]", "with -m")),
    Wrong("train.py cell=[none,up_38]", ("cell=up_38 is unknown", "pass cell=up_384")),
    Wrong("train.py cell=[[none]]", ("the options of cell have names",)),
]  # fmt: skip

YAML = [
    Wrong("train.py --config-dir .", ("default.yaml, line 3", "YAML is indented with spaces, not tabs"), {HERE: f"{FIRST}data:\n\troot: x\n"}),
    Wrong("train.py --config-dir .", ("default.yaml, line 2: mapping values are not allowed here",), {HERE: f"{FIRST}data: root: x\n"}),
    Wrong("train.py --config-dir=.", ("default.yaml, line 4: found duplicate key lr",), {HERE: f"{FIRST}optim:\n  lr: 1\n  lr: 2\n"}),
    Wrong("train.py --config-dir .", ("default.yaml cannot be read: Invalid loaded object type: int", "a file holds keys and values"), {HERE: "5\n"}),
    Wrong("train.py --config-dir .", ("its first line must be # @package _global_",), {HERE: "data:\n  root: x\n"}),
    Wrong("train.py --config-dir .", ("defaults must be a list", "- override /scale: paper"), {HERE: f"{FIRST}defaults: paper\n"}),
    Wrong("train.py --config-dir .", ("scale: paper must be - override /scale: paper",), {HERE: f"{FIRST}defaults:\n  - scale: paper\n"}),
    Wrong("train.py --config-dir .", ("scale=papper is unknown", "pass scale=paper"), {HERE: f"{FIRST}defaults:\n  - override /scale: papper\n"}),
    Wrong("train.py --config-dir .", ("local/default.yaml: scal is no group", "did you mean scale?"), {HERE: f"{FIRST}defaults:\n  - override /scal: paper\n"}),
    Wrong("train.py --config-dir .", ("local/default.yaml: data: imagenet is no option", "- override /data: imagenet"), {HERE: f"{FIRST}data: imagenet\n"}),
    Wrong("train.py --config-dir .", ("data.rooot is no key", "did you mean data.root=…?"), {HERE: f"{FIRST}data:\n  rooot: x\n"}),
    Wrong("train.py --config-dir .", ("local/default.yaml: optim.lr=fast is of the wrong type",), {HERE: f"{FIRST}optim:\n  lr: fast\n"}),
    Wrong("train.py --config-dir .", ("optim.lr cannot be computed: Interpolation key 'nowhere' not found",), {HERE: f"{FIRST}optim:\n  lr: ${{nowhere}}\n"}),
    Wrong("train.py --config-dir . model=mine", ("model.head is no key", "did you mean model.heads=…?"), {"model/mine.yaml": "name: mine\nhead: 3\n"}),
    Wrong("train.py --config-dir . model=mine", ("model.name must be given",), {"model/mine.yaml": "heads: 3\n"}),
]  # fmt: skip

OTHER_SCRIPTS = [
    Wrong("bank.py", ("an action must be given; possible: build, verify, stats, list", "type python src/bank.py build")),
    Wrong("bank.py biuld distill=hard", ("biuld is no action", "type python src/bank.py build <settings>")),
    Wrong("bank.py distill=hard verify", ("the action comes first; type python src/bank.py verify <settings>",)),
    Wrong("bank.py build distill.bank_part=x", ("distill.bank_part=x is no share",)),
    Wrong("bank.py list all", ("all is no setting",)),
    Wrong("benchmark.py", ("what to measure must be given", "possible: data, step, inference, overhead, startup", "pass what=step")),
    Wrong("benchmark.py what=speed", ("what=speed is unknown; possible: data, step",)),
    Wrong("benchmark.py what=inferense", ("pass what=inference",)),
    Wrong("benchmark.py --what step", ("what to measure must be given", "pass what=step")),
    Wrong("benchmark.py what=step rounds=0", ("rounds=0 must be a number from 1",)),
    Wrong("benchmark.py what=step rounds=1.5", ("rounds=1.5 is no whole number",)),
    Wrong("benchmark.py what=step seconds=long", ("seconds=long must be a number from 0",)),
    Wrong("benchmark.py what=step modle=deit_s", ("modle is no key", "did you mean model=deit_s?")),
    Wrong("benchmark.py what=step scale=paper", ("predicts 1000 classes",)),
    Wrong("benchmark.py what=step report=pages", ("report=pages cannot be a file",), {"pages/one.md": ""}),
    Wrong("doctor.py what=dta", ("what=dta is unknown", "possible: installation, data", "pass what=data")),
    Wrong("doctor.py what=data data=folder data.root=nowhere", ("data.root=nowhere does not exist",)),
    Wrong("doctor.py -m model=deit_ti,deit_s", ("one configuration at a time", "leave out -m")),
    Wrong("doctor.py --fix", ("--fix is no option",)),
    Wrong("predict.py images=photo.jpg", ("checkpoint must be given; pass checkpoint=logs/runs/<run>",)),
    Wrong("predict.py --image photo.jpg", ("'--image' is not understood; possible: checkpoint=…, images=…", "pass images=photo.jpg")),
    Wrong("predict.py checkpoint=x images=a.jpg format=xml", ("format=xml must be one of table, json, csv; pass format=json",)),
    Wrong("predict.py checkpoint=x images=a.jpg top=0 batch=-1", ("2 problems", "top=0 must be above zero", "batch=-1 must be")),
    Wrong("predict.py checkpoint=x images=a.jpg overlays=out", ("attention=true draws; pass attention=true too",)),
    Wrong("predict.py checkpoint=x images=a.jpg attention=true overlays=a/b", ("overlays=a/b cannot be a folder",), {"a": ""}),
    Wrong("predict.py checkpoint=x images=a.jpg output=pages", ("output=pages cannot be a file",), {"pages/one.md": ""}),
    Wrong("report.py", ("python src/report.py logs/sweeps/<sweep>",)),
    Wrong("report.py nowhere", ("nowhere does not exist", "such as logs/sweeps/<sweep>")),
    Wrong("report.py notes", ("notes is a file",), {"notes": ""}),
    Wrong("report.py runs", ("no runs in runs: no folder there has a run.json",), {"runs/note": ""}),
    Wrong("report.py runs outptu=x", ("outptu=x is no option; possible: output, wandb; pass output=<folder>",), {"runs/note": ""}),
    Wrong("report.py ''", ("is it a shell variable that is not set?",)),
    Wrong("runs.py nowhere", ("nowhere does not exist",)),
    Wrong("runs.py --failed", ("'--failed' is no folder, and there are no options",)),
]  # fmt: skip

TABLE = [
    *AS_ELSEWHERE,
    *KEYS_AND_OPTIONS,
    *BY_MEANING,
    *ALL_AT_ONCE,
    *VALUES,
    *CONTRADICTIONS,
    *FILES_AND_FOLDERS,
    *SWEEPS,
    *YAML,
    *OTHER_SCRIPTS,
]


def lay(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def left(folder: Path) -> dict[Path, str | None]:
    return {path: path.read_text() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("wrong", TABLE, ids=[f"{row.typed} {next(iter(row.files.values()), '')}" for row in TABLE])
def test_a_mistake_is_told_and_leaves_nothing(type_in: Callable[..., Typed], tmp_path: Path, wrong: Wrong) -> None:
    lay(tmp_path, wrong.files)
    before = left(tmp_path)
    script, *arguments = shlex.split(wrong.typed)
    typed = type_in(tmp_path, script, *arguments)
    assert (typed.status, typed.begun) == (2, []), typed.said
    assert [words for words in wrong.words if words not in typed.said] == [], typed.said
    assert "Traceback" not in typed.said
    assert left(tmp_path) == before


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong("train.py model=deit_xl", ("pass model=",)),
        Wrong("train.py seed=0,one -m", ("1 of 2 jobs are invalid; nothing was started",)),
        Wrong("train.py model:deit_ti", ("type model=deit_ti",)),
        Wrong("train.py --config-dir .", ("YAML is indented with spaces",), {HERE: f"{FIRST}data:\n\troot: x\n"}),
        Wrong("bank.py biuld", ("type python src/bank.py build",)),
        Wrong("benchmark.py what=speed", ("pass what=step",)),
        Wrong("runs.py --failed", ("'--failed' is no folder",)),
    ],
    ids=lambda row: row.typed,
)
def test_so_it_is_in_a_process_of_its_own(tmp_path: Path, wrong: Wrong) -> None:
    lay(tmp_path, wrong.files)
    before = left(tmp_path)
    script, *arguments = shlex.split(wrong.typed)
    outcome = Outcome(commands.run(script, *arguments, cwd=tmp_path))
    assert outcome.status == 2, outcome.said
    assert [words for words in wrong.words if words not in outcome.said] == [], outcome.said
    assert "Traceback" not in outcome.said
    assert left(tmp_path) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    "settings", [["trainer=gpu"], ["trainer=gpu", "seed=0,1", "-m"], ["trainer=gpu", "hydra.run.dir=a/b"]]
)
def test_a_gpu_that_is_not_there_leaves_nothing(
    type_in: Callable[..., Typed], tmp_path: Path, settings: list[str]
) -> None:
    typed = type_in(tmp_path, "train.py", *settings)
    assert (typed.status, typed.begun) == (2, []), typed.said
    assert typed.said == "GPUs of trainer=gpu must be 0 because PyTorch finds no GPU, got 1. Pass trainer=cpu.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_refused_leaves_nothing(
    type_in: Callable[..., Typed], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As weights that cannot be fetched are, once the run has its folder; nothing of Hydra's comes first."""

    def refuse(config: Config, folder: Path, overrides: list[str]) -> float:
        (folder / "checkpoints").mkdir()
        (folder / "run.json").write_text("{}")
        raise ConfigError("no such weights")

    monkeypatch.setattr(sys.modules["deit.training.run"], "train", refuse)
    typed = type_in(tmp_path, "train.py", "hydra.run.dir=a/b")
    assert (typed.status, typed.said) == (2, "no such weights\n")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/mine.txt").touch()
    type_in(tmp_path, "train.py", "hydra.run.dir=a/b")
    assert (tmp_path / "a/b/mine.txt").exists()


@pytest.mark.parametrize("typed", ["plan=true", "++plan=true", "plan=True"])
def test_a_plan_leaves_nothing(type_in: Callable[..., Typed], tmp_path: Path, typed: str) -> None:
    planned = type_in(tmp_path, "train.py", typed)
    assert (planned.status, len(planned.begun)) == (0, 1), planned.said
    assert list(tmp_path.iterdir()) == []


def test_a_typo_does_not_break_a_rule(type_in: Callable[..., Typed], tmp_path: Path) -> None:
    """What was meant is taken for the rules between groups: with distill=hard, teacher=none would be refused."""
    said = type_in(tmp_path, "train.py", "distil=none", "teacher=none").said
    assert "problems" not in said
    assert "did you mean distill=none?" in said


@pytest.mark.parametrize("typed", ["modle=x", "--lr"])
def test_help_is_shown_beside_a_mistake(type_in: Callable[..., Typed], tmp_path: Path, typed: str) -> None:
    helped = type_in(tmp_path, "train.py", "--help", typed)
    assert helped.status == 0
    assert "Groups (group=option):" in helped.said
    assert "did you mean model=x?" in helped.said or "type optim.lr=" in helped.said


def test_what_needs_no_quotes_is_taken_as_it_is(type_in: Callable[..., Typed], tmp_path: Path) -> None:
    typed = type_in(tmp_path, "train.py", "name=ünïcödé: a=b", "hydra.run.dir=out/epoch=3")
    assert typed.status == 0, typed.said
    assert [config.name for config in typed.begun] == ["ünïcödé: a=b"]
    assert (tmp_path / "out/epoch=3").is_dir()


def test_an_interpolation_may_be_typed(type_in: Callable[..., Typed], tmp_path: Path) -> None:
    typed = type_in(tmp_path, "train.py", "name=${data.name}-mine", "hydra.run.dir=out")
    assert [config.name for config in typed.begun] == ["digits-mine"], typed.said


@pytest.mark.parametrize(("typed", "unused"), [((), "hydra.sweep.dir"), (("-m",), "hydra.run.dir")])
def test_a_folder_that_is_not_used_is_noted(
    type_in: Callable[..., Typed], tmp_path: Path, typed: tuple[str, ...], unused: str
) -> None:
    said = type_in(tmp_path, "train.py", f"{unused}=out", *typed).said
    assert f"note: {unused} has no effect here" in said
    assert "note:" not in type_in(tmp_path, "train.py", "plan=true", *typed).said


def test_a_fault_in_a_checkpoint_is_told_as_one(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "teacher.pth").write_bytes(b"no checkpoint at all")
    outcome = deit_train("teacher.checkpoint=teacher.pth")
    assert outcome.status == 2
    assert "teacher.pth" in outcome.said
    assert "Traceback" not in outcome.said
