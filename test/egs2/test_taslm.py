"""What taslm.sh asks of Python: its commands, recorded by a stand-in for Python.

Enters: a recipe folder that holds the outputs of all stages, but no stamps. Leaves:
one line a command. Trainings and options are looked at, nothing is computed.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

EGS2 = Path(__file__).resolve().parents[2] / "egs2"
TASTE = ("taste_text_only", "taste_no_vq", "taste_vq")
EXPS = ("asr", *TASTE, "unit_vocoder", "text_lm", "taslm_embed", "taslm_token")
SETS = ("train", "dev", "test", "slow", "fast", "pairs", "prompts")
TABLES = ("text", "text_raw", "ctm_aligned", "word_times.scp", "units", "units.scp")
OPTIONS = [
    *("--valid_set", "dev", "--swap_sets", "slow fast", "--pair_sets", "pairs"),
    *("--prompt_sets", "prompts", "--data_dir", "corpus", "--stop_stage", "14"),
    *("--python", "./record"),
]


def output_files():
    """Every output of every stage."""
    for name in SETS:
        for file in TABLES:
            yield f"dump/raw/{name}/{file}"
        yield from (f"dump/raw/{name}/{file}.scp" for file in ("spembs", "pitch"))
        yield f"data/{name}/text"
        yield f"exp/taste_vq/codes/{name}/codes.scp"
        for exp in (*TASTE, "unit_vocoder"):
            yield f"exp/{exp}/resynthesis/{name}/wav.scp"
        for exp in ("taslm_embed", "taslm_token"):
            yield f"exp/{exp}/continuation/{name}/speed.tsv"
            yield f"exp/{exp}/likelihood/{name}/scores.tsv"
    for exp in EXPS:
        yield from (f"exp/{exp}/valid.{kind}.best.pth" for kind in ("loss", "acc"))
    for stats in (*EXPS, "taste"):
        for part in ("train", "valid"):
            for name in ("speech", "text"):
                yield f"exp/{stats}_stats/{part}/{name}_shape"
    for kind in ("bpe", "given"):
        yield from (f"data/token_list/{kind}/{f}" for f in ("tokens.txt", "token_type"))
    yield "data/token_list/bpe/bpe.model"
    yield from ("data/lm_tokenizer/x", "dump/raw/lm_train/text")
    yield from ("exp/units/config.yaml", "exp/taste_vq/scores/scores.json")
    yield from ("exp/llm_base/config.json", "exp/llm_base/model.safetensors")
    yield from ("exp/RESULTS.md", "exp/packed/taste.zip", "exp/packed/taslm.zip")


RECORD = """#!/bin/bash
printf "%s\\n" "$*" >>calls
while [ $# -gt 1 ]; do
    case $1 in --parts_dir) parts=$2 ;; --nj) jobs=$2 ;; esac
    shift
done
[ -z "${jobs:-}" ] || { mkdir -p "${parts}"; echo "${jobs}" >"${parts}/num_jobs"; }
"""
"""Notes what it is asked, and says how many jobs there are where sets are split."""


@pytest.fixture
def recipe(tmp_path):
    """A recipe with all outputs and a Python that only notes what it is asked."""
    (tmp_path / "tools").symlink_to(EGS2.parent / "tools")
    folder = tmp_path / "egs2/corpus/taslm1"
    for file in output_files():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("char\n")
    for name in ("taslm.sh", "path.sh", "cmd.sh", "scripts", "utils"):
        (folder / name).symlink_to(EGS2 / "TEMPLATE/taslm1" / name)
    shutil.copytree(EGS2 / "mini_espeak/taslm1/conf", folder / "conf")
    (folder / "record").write_text(RECORD)
    (folder / "record").chmod(0o755)
    return folder


def run(recipe, *options, parallel="1"):
    """Run all stages; gives the commands in order, without ``-m``."""
    (recipe / "calls").write_text("")
    command = ["bash", "taslm.sh", *OPTIONS, "--parallel", parallel, *options]
    env = {"PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=recipe, env=env, capture_output=True, text=True)
    assert done.returncode == 0 or "is missing or empty" in done.stderr, done.stderr
    calls = (recipe / "calls").read_text().splitlines()
    return [
        call.removeprefix("-m ").removeprefix("espnet2_taste.bin.") for call in calls
    ]


def jobs(*modules):
    """What is called for work in two jobs: the sets are split, worked on and joined."""
    return [m for module in modules for m in ("data split", *[module] * 3)]


def taslm_trainings(calls):
    """Trainings of TASLM."""
    return [
        c for c in named(calls, "espnet2_taste.bin.slm_train") if "--taste_exp " in c
    ]


def design_trainings(calls):
    """Trainings of the other designs."""
    return [
        c for c in named(calls, "espnet2_taste.bin.slm_train") if "--num_units " in c
    ]


def named(calls, module):
    """The calls of a command, or the trainings of a module."""
    launched = [call for call in calls if f" -m {module} " in call]
    return launched + [call for call in calls if command_of(call) == module]


def joined(calls, module):
    """What a command that runs in jobs is asked for whole sets, once a work."""
    return [call for call in named(calls, module) if " --parts_dir " in call]


def command_of(call):
    """A module, with its sub-command if it has any."""
    return re.split(r" (?!\w)", call, maxsplit=1)[0]


def test_every_stage_runs_its_command_in_order(recipe):
    modules = [command_of(call) for call in run(recipe)]
    shapes, train = "data shapes", "espnet2.bin.launch"
    assert modules == [
        *("data copy", *jobs("data format"), "prepare_text"),
        *(shapes, train, *jobs("recognize align"), "units fit", *jobs("units extract")),
        *(*jobs("data pitch"), shapes, train, train, train, shapes, train),
        *jobs("taste_tokenize", *["taste_resynthesize"] * 4),
        *(*jobs(*["recognize align"] * 4), "taste_score", "taste_swap"),
        *(shapes, train, "exports text_lm", *[shapes, train] * 2),
        *jobs(*["slm_inference", "slm_score"] * 2, *["recognize align"] * 4),
        *("slm_evaluate models", "write_results", "pack taste", "pack taslm"),
    ]
    assert run(recipe) == []


KINDS = """
for kind in train cuda decode; do export "${kind}_cmd=./start ${kind}"; done
"""
START = """#!/bin/bash
echo "$3 $1" >>started
exec run.pl "${@:2}"
"""


@pytest.mark.parametrize("ngpu, networks", [("0", "decode"), ("1", "cuda")])
def test_work_is_started_as_its_kind_is(recipe, ngpu, networks):
    """As in ESPnet: data by train_cmd, networks by decode_cmd, GPUs by cuda_cmd."""
    (recipe / "cmd.sh").unlink()
    (recipe / "cmd.sh").write_text(KINDS)
    (recipe / "start").write_text(START)
    (recipe / "start").chmod(0o755)
    run(recipe, "--ngpu", ngpu)
    started = dict(map(str.split, (recipe / "started").read_text().splitlines()))
    data = ("format", "text", "pitch")
    assert {name: started.pop(name) for name in data} == dict.fromkeys(data, "train")
    assert {"align", "units_fit", "units", "codes", "said"} <= started.keys()
    assert set(started.values()) == {networks}


def test_work_in_one_job_shows_why_it_failed(recipe):
    (recipe / "record").write_text("#!/bin/bash\necho 'text: no such file'\nexit 1\n")
    script = """
        set -e
        log() { :; }
        OMP_NUM_THREADS=1 expdir=exp python=./record train_cmd=utils/run.pl
        . scripts/jobs.sh
        in_one_job text prepare_text --dump_dir dump
        echo on
    """
    done = subprocess.run(
        ["bash", "-c", script], cwd=recipe, capture_output=True, text=True
    )
    assert done.returncode == 1 and "on" not in done.stdout.split()
    assert "text: no such file" in done.stderr and "exp/log/text.log" in done.stderr


def test_the_format_of_the_audio_reaches_all_that_makes_audio(recipe):
    calls = run(recipe, "--stop_stage", "2")
    assert all("--audio_format wav" in c for c in named(calls, "data format"))
    calls = run(recipe, "--stop_stage", "2", "--audio_format", "flac")
    assert [command_of(call) for call in calls] == jobs("data format")
    assert all("--audio_format flac" in c for c in named(calls, "data format"))
    calls = run(recipe, "--audio_format", "flac.ark")
    for command in ("data format", "taste_resynthesize", "slm_inference"):
        assert all("--audio_format flac.ark" in c for c in named(calls, command))


ARKS = ("--audio_format", "flac.ark", "--fs", "22050")
"""Form of the recordings that the studies make."""


def test_trainings_read_recordings_in_arks_by_key(recipe):
    for name, kind in (("flac", "sound"), ("flac.ark", "kaldi_ark")):
        calls = run(recipe, "--audio_format", name, "--stop_stage", "8")
        found = [c for c in calls if "dump/raw/train/wav.scp,speech," in c]
        assert len(found) >= 4  # lengths, TASTE and its vocoder
        assert all(f"/train/wav.scp,speech,{kind} " in call for call in found)
        shutil.rmtree(recipe / "exp/.stages")


MAKING = """#!/bin/bash
printf "%s\\n" "$*" >>calls
while [ $# -gt 1 ]; do
    case $1 in --sets) sets=$2 ;; --output_dir) output=$2 ;; esac
    [ "$1" != --parts_dir ] || parts=$2
    shift
done
mkdir -p "${parts:-.}"; echo 1 >"${parts:-.}/num_jobs"
for name in ${sets}; do
    mkdir -p ${output}/${name}
    echo x | tee ${output}/${name}/codes.scp >${output}/${name}/wav.scp
done
"""
"""Notes what it is asked, and makes the folder of each set."""


def test_another_quantizer_is_trained_and_scored_beside_the_first(recipe):
    """What conf/tuning/README.md says, after a finished run."""
    names = [f"{name}_quantizer_fsq" for name in TASTE]
    configs = [recipe / f"exp/conf/train_{name}.yaml" for name in names]
    put(
        recipe,
        *(f"exp/conf/{config.name}" for config in configs),
        *(f"exp/{name}/valid.loss.best.pth" for name in names),
        *(f"exp/{n}/resynthesis/{s}/wav.scp" for n in names for s in SETS),
    )
    run(recipe)
    (recipe / "record").write_text(MAKING)
    options = ("--stage", "7", "--stop_stage", "10")
    options += ("--taste_configs", " ".join(f"exp/conf/{c.name}" for c in configs))
    calls = run(recipe, *options)
    assert len(named(calls, "espnet2_taste.bin.taste_train")) == 3
    (score,) = named(calls, "taste_score")
    assert f"--taste_exp exp/{names[-1]} " in score
    assert run(recipe) == []  # what the first has made is as it was
    assert not list((recipe / "exp").glob("**/*.old"))
    for name in (*TASTE, *names):
        assert (recipe / "exp" / name / "valid.loss.best.pth").is_file()


def test_every_command_takes_the_words_before_python(recipe):
    alone = run(recipe)
    shutil.rmtree(recipe / "exp/.stages")
    words = run(recipe, "--python", "./record 'a b' run")
    alone = [call.replace("./record", "exp/.python") for call in full(alone)]
    assert sorted(words) == sorted(f"a b run -m {call}" for call in alone)


def full(calls):
    """Module names as they were asked for."""
    return [c if c.startswith("espnet2.") else f"espnet2_taste.bin.{c}" for c in calls]


def test_help_lists_every_option_with_its_default(recipe):
    command = ["bash", "taslm.sh", "--help"]
    shown = subprocess.run(command, cwd=recipe, capture_output=True, text=True).stdout
    script = (recipe / "taslm.sh").read_text()
    options = script[script.index("# General") : script.index("# End of the options")]
    names = re.findall(r"^([a-z_]+)=", options, flags=re.M)
    assert len(names) > 50
    for name in names:
        assert f"\n--{name} " in shown, name
    assert "--seed 0 " in shown and "# first stage to run" in shown


def test_other_data_brings_sets_of_its_own(recipe):
    """After a finished run: no set of the recipe's own corpus is asked for."""
    script = EGS2 / "mini_espeak/taslm1/run.sh"
    (recipe / "run.sh").write_text(script.read_text())
    run(recipe)
    (recipe / "calls").write_text("")
    command = ["bash", "run.sh", "--data_dir", "/data/kaldi", "--test_sets", "test"]
    command += ["--stop_stage", "1", "--python", "./record"]
    env = {"PATH": os.environ["PATH"]}
    subprocess.run(command, cwd=recipe, env=env, capture_output=True)
    (copy,) = (recipe / "calls").read_text().splitlines()
    assert "data copy --source /data/kaldi --sets train dev test --output" in copy
    assert (recipe / "data/train.old").is_dir()


def test_the_sample_of_the_package_is_an_utterance_of_the_first_test_set(recipe):
    put(recipe, "dump/raw/test/audio/u1.wav")
    (recipe / "dump/raw/test/wav.scp").write_text("u1 dump/raw/test/audio/u1.wav\n")
    (recipe / "dump/raw/test/text").write_text("u1 the red dog\n")
    run(recipe)
    assert (recipe / "exp/packed/sample.txt").read_text() == "the red dog\n"
    assert (recipe / "exp/packed/sample.wav").is_file()


def test_side_by_side_runs_the_same_commands(recipe):
    """Each with its share of the threads."""
    alone = run(recipe)
    shutil.rmtree(recipe / "exp/.stages")
    threads = re.compile(r"--num_threads \d+")
    one, two = (
        sorted(threads.sub("", call) for call in calls)
        for calls in (alone, run(recipe, parallel="2"))
    )
    assert one == two


def test_only_what_is_scored_is_aligned(recipe):
    calls = run(recipe)
    aligned = named(calls, "recognize align")
    *parts, join = [call for call in aligned if "--dump_dir dump" in call]
    lists = [f"--sets @dump/raw/parts/align/{job}.sets " for job in (1, 2)]
    assert sorted(call.split("--sets")[1].split()[0] for call in parts) == [
        name.split()[1] for name in lists
    ]
    assert all("--dump_dir dump/raw/parts/align --rec" in call for call in parts)
    assert "--sets test slow fast prompts --parts_dir dump/raw/parts/align " in join
    assert "--dump_dir dump/raw --rec" in join and "--times_only train --ngpu" in join
    assert not any(".scp,word_times," in call for call in calls)


def test_made_speech_is_recognized_in_jobs_before_it_is_scored(recipe):
    calls = run(recipe)
    places = [f"exp/{name}/resynthesis" for name in (*TASTE, "unit_vocoder")]
    for name in ("taslm_embed", "taslm_token"):
        folder = f"exp/{name}/continuation"
        places += [folder, f"{folder}/prompts"]
    made = [c for c in joined(calls, "recognize align") if "--made_speech true" in c]
    assert [c.split("--dump_dir ")[1].split()[0] for c in made] == places
    sets = [c.split("--sets ")[1].split(" --parts_dir")[0] for c in made]
    assert sets == ["test slow fast"] * 4 + ["prompts", "full"] * 2
    for done, scored in ((made[3], "taste_score"), (made[-1], "slm_evaluate models")):
        assert calls.index(done) < calls.index(named(calls, scored)[0])
    for name in ("score_taste_vq", "slm_scores", "units_fit"):
        assert (recipe / f"exp/log/{name}.log").is_file()


def test_guided_attention_times_the_training_sets(recipe):
    calls = run(recipe, "--guided_attention", "true")
    join = joined(calls, "recognize align")[0]
    assert "--sets test slow fast prompts train dev --parts_dir " in join
    assert "--times_only train --ngpu" in join
    for training in named(calls, "espnet2_taste.bin.taste_train"):
        for name in ("train", "dev"):
            assert f"dump/raw/{name}/word_times.scp,word_times,kaldi_ark" in training


def test_refined_times_are_made_of_all_sets_and_train_taste(recipe):
    for name in ("train", "dev", "test", "slow", "fast", "prompts"):
        (recipe / f"dump/raw/{name}/word_times_refined.scp").write_text("a\n")
    (recipe / "exp").mkdir(exist_ok=True)
    (recipe / "exp/letter_models.npz").write_text("a\n")
    calls = run(recipe, "--guided_attention", "true", "--refine_times", "true")
    (letters,) = named(calls, "recognize letters")
    assert "--dump_dir dump/raw --sets train --models exp/letter_models" in letters
    (refine,) = joined(calls, "recognize refine")
    assert "--sets test slow fast prompts train dev --parts_dir " in refine
    assert "--models exp/letter_models.npz" in refine
    trainings = named(calls, "espnet2_taste.bin.taste_train")
    assert len(trainings) == len(TASTE)
    for training in trainings:
        assert "dump/raw/dev/word_times_refined.scp,word_times,kaldi_ark" in training
        assert "--letter_models exp/letter_models.npz" in training
    others = [call for call in calls if "taste_train" not in call]
    users = {command_of(call) for call in others if "word_times_refined" in call}
    assert users == {"data shapes"}  # of what the trainings read


def test_times_that_nothing_has_are_not_refined(recipe):
    command = ["bash", "taslm.sh", *OPTIONS, "--refine_times", "true"]
    done = subprocess.run(command, cwd=recipe, capture_output=True, text=True)
    assert done.returncode == 1
    assert "--refine_times true needs --guided_attention true" in done.stderr


SPEEDS = ("--speed_perturb_factors", "0.9 1.0 1.1", "--stop_stage", "8")
SPEED_TABLES = ("units", "units.scp", "spembs.scp", "pitch.scp")


def test_the_vocoder_alone_learns_from_other_speeds(recipe):
    put(recipe, *(f"dump/raw/train_sp/{name}" for name in SPEED_TABLES))
    calls = run(recipe, *SPEEDS)
    (speed,) = joined(calls, "data speed")
    assert "--sets train --parts_dir dump/raw/parts/speed --dump_dir dump/raw " in speed
    assert "--speed_perturb_factors 0.9 1.0 1.1 --fs 16000 " in speed
    (fit,) = named(calls, "units fit")
    assert "--data_dir dump/raw/train " in fit and calls.index(speed) < calls.index(fit)
    (extract,), (pitch,) = (joined(calls, c) for c in ("units extract", "data pitch"))
    assert " train_sp --parts_dir " in extract
    assert "--sets train dev train_sp --parts_dir " in pitch
    (vocoder,) = named(calls, "espnet2_taste.bin.unit_vocoder_train")
    for name in ("wav.scp", "units.scp", "spembs.scp", "pitch.scp"):
        assert (
            f"--train_data_path_and_name_and_type dump/raw/train_sp/{name}" in vocoder
        )
    assert "/train/" not in vocoder.replace("exp/unit_vocoder_stats/train/", "")
    for training in named(calls, "espnet2_taste.bin.taste_train"):
        assert "train_sp" not in training and "dump/raw/train/wav.scp" in training


def test_other_speeds_are_made_and_trained_on_anew(recipe):
    put(recipe, *(f"dump/raw/train_sp/{name}" for name in SPEED_TABLES))
    run(recipe, *SPEEDS)
    assert run(recipe, *SPEEDS) == []
    for factors in ("", "0.8 1.0"):
        options = ("--stage", "8", "--speed_perturb_factors", factors)
        calls = run(recipe, *SPEEDS, *options)
        (shapes,) = named(calls, "data shapes")
        assert (" dump/raw/train_sp/wav.scp," in shapes) == bool(factors)
    calls = run(recipe, *SPEEDS, "--speed_perturb_factors", "0.8 1.0")
    assert [command_of(call) for call in calls] == jobs("data speed")
    assert (recipe / "dump/raw/train_sp.old/units").is_file()


@pytest.mark.parametrize("factors", ["0", "1.0 fast", "0.9 -1"])
def test_a_factor_that_is_none_is_refused_at_once(recipe, factors):
    command = ["bash", "taslm.sh", *OPTIONS, "--speed_perturb_factors", factors]
    done = subprocess.run(command, cwd=recipe, capture_output=True, text=True)
    assert done.returncode == 1 and not (recipe / "calls").exists()
    assert f"--speed_perturb_factors '{factors.split()[-1]}': exp" in done.stderr


def test_a_set_of_ones_own_is_not_written_over(recipe):
    options = [*OPTIONS, "--speed_perturb_factors", "0.9", "--test_sets", "train_sp"]
    command = ["bash", "taslm.sh", *options]
    done = subprocess.run(command, cwd=recipe, capture_output=True, text=True)
    assert done.returncode == 1 and not (recipe / "calls").exists()
    assert "train_sp, which is one of yours" in done.stderr


def test_language_models_may_learn_from_a_set_of_their_own(recipe):
    for file in ("data/more", "dump/raw/more/text_raw", "exp/taste_vq/codes/more"):
        (recipe / file).mkdir(parents=True)
    (recipe / "exp/taste_vq/codes/more/codes.scp").write_text("x\n")
    calls = run(recipe, "--slm_train_set", "more")
    (split,) = [c for c in named(calls, "data split") if "codes" in c]
    assert " train dev more " in split
    assert not any(" more " in call for call in named(calls, "units extract"))
    for training in taslm_trainings(calls):
        assert "--train_data_path_and_name_and_type dump/raw/more/text," in training
    for training in named(calls, "espnet2_taste.bin.taste_train"):
        assert "dump/raw/more/" not in training


def test_a_given_recognizer_brings_its_tokens(recipe):
    calls = run(recipe, "--recognizer", "/models/asr")
    assert not named(calls, "espnet2_taste.bin.asr_train")
    (text,) = named(calls, "prepare_text")
    assert (
        "--recognizer /models/asr" in text
        and "--token_dir data/token_list/given" in text
    )
    trainings = named(calls, "espnet2_taste.bin.taste_train")
    assert len(trainings) == 3
    for training in trainings:
        assert "--token_type char --token_list data/token_list/given/tokens" in training
        assert "--bpemodel" not in training
        assert "--recognizer /models/asr" in training


def test_another_recognizer_renews_what_is_made_with_it(recipe):
    run(recipe, "--recognizer", "/models/asr")
    assert run(recipe, "--recognizer", "/models/asr", "--stop_stage", "5") == []
    calls = run(recipe, "--recognizer", "/models/other", "--stop_stage", "3")
    assert [command_of(call) for call in calls] == ["prepare_text"]
    assert (recipe / "data/token_list/given.old").is_dir()


def test_how_text_becomes_words_reaches_stage_3_and_the_trainings(recipe):
    (recipe / "symbols").write_text("%uh\n")
    rules = ["--normalizer", "nfkc", "--segmenter", "character"]
    rules += ["--word_space", "false", "--max_unknown", "0.1"]
    calls = run(recipe, *rules, "--non_linguistic_symbols", "symbols")
    (text,) = named(calls, "prepare_text")
    assert " ".join(rules) + " --non_linguistic_symbols symbols" in text
    for task in ("taste", "taslm", "text_lm"):
        for training in named(calls, f"espnet2_taste.bin.{task}_train"):
            assert "--word_space false" in training
    shapes = [call for call in named(calls, "data shapes") if "--shape text" in call]
    assert shapes and all("--word_space false" in call for call in shapes)
    (again,) = run(recipe, "--stop_stage", "3")
    assert "--normalizer basic --segmenter whitespace --word_space true" in again


def test_the_recognizers_words_may_become_the_text(recipe):
    given = ["--recognizer", "/models/asr", "--transcripts", "recognizer"]
    put(recipe, *(f"dump/raw/{name}/text_recognized" for name in SETS))
    *_, recognize, text = run(recipe, *given, "--stop_stage", "3")
    assert recognize.startswith("recognize transcribe --sets train dev")
    assert "--dump_dir dump/raw --recognizer /models/asr" in recognize
    assert "--transcripts text_recognized" in text
    with pytest.raises(AssertionError, match="--transcripts recognizer needs a"):
        run(recipe, *given[2:])


def test_a_given_language_model_is_not_trained(recipe):
    calls = run(recipe, "--lm", "/models/llm")
    assert not named(calls, "espnet2_taste.bin.text_lm_train")
    assert not named(calls, "exports text_lm")
    for training in taslm_trainings(calls):
        assert "--tokenizer_path /models/llm --init_lm /models/llm" in training


def put(recipe, *files):
    """Outputs of stages beyond the usual ones."""
    for file in files:
        (recipe / file).parent.mkdir(parents=True, exist_ok=True)
        (recipe / file).write_text("num_units: 200\nunit_rate: 25.0\nnum_units: 200\n")


def prepare_designs(recipe):
    """Outputs of stage 16 for two designs, the cascade and TASLM, over two seeds."""
    designs = ("gslm", "moshi", "cascade", "taslm_embed", "taslm_token")
    continuations = [
        f"continuation/{name}/{file}"
        for name in ("prompts", "questions")
        for file in ("speed.tsv", "wav.scp")
    ]
    scores = [f"likelihood/{n}/scores.tsv" for n in ("test", "pairs")]
    put(
        recipe,
        *(
            f"{folder}/{name}/{file}"
            for folder in ("exp", "exp/seed_1")
            for name in designs
            for file in ("valid.loss.best.pth", *continuations, *scores)
        ),
        *(f"dump/raw/{name}/style_tokens.scp" for name in SETS),
        *(f"dump/raw/{name}/word_times_ctm.scp" for name in SETS),
        *("exp/expression", "exp/unit_durations", "exp/units/config.yaml"),
        *("dump/raw/questions/text", "exp/taste_vq/codes/questions/codes.scp"),
        *(f"exp/systems_stats/{part}/units_shape" for part in ("train", "valid")),
        *(
            f"exp/seed_1/taslm_{kind}_stats/{part}/text_shape"
            for kind in ("embed", "token")
            for part in ("train", "valid")
        ),
        *("exp/mushra", "dump/raw/test/wav.scp"),
    )


def test_designs_are_trained_scored_and_compared_over_seeds(recipe):
    prepare_designs(recipe)
    run(recipe)
    options = ("--stage", "16", "--stop_stage", "16", "--more_seeds", "1")
    options += ("--systems", "gslm moshi cascade", "--question_pairs", "pairs")
    options += ("--other_lms", "pocketsphinx gpt2", *ARKS)
    calls = run(recipe, *options)
    trained = design_trainings(calls)
    assert len(trained) == 4 and all("--num_units 200 " in call for call in trained)
    assert sum("--output_dir exp/seed_1/" in call for call in trained) == 2
    assert len(taslm_trainings(calls)) == 2
    (table,) = named(calls, "slm_evaluate designs")
    assert "--names taslm_embed taslm_token gslm moshi cascade " in table
    assert "--expdirs exp exp/seed_1 " in table and "--question_set questions" in table
    assert "--other_lms pocketsphinx gpt2 --recognizer " in table
    (made,) = named(calls, "imports questions")
    assert "--cloze --source dump/raw/pairs" in made and " ".join(ARKS[:2]) in made
    assert " ".join(ARKS[2:]) in made
    continued = [c for c in calls if "_inference" in c and "--sets questions" in c]
    assert len(continued) == 5 + 4  # every seed is asked; the cascade has none
    recognized = joined(calls, "recognize transcribe")
    assert len(recognized) == 2 * (5 + 5)  # prompts and questions
    first = "--sets questions --parts_dir exp/gslm/continuation/parts/recognized "
    assert sum(first in call for call in recognized) == 1
    (pages,) = named(calls, "listening pages")
    assert "--utterances 3 " in pages  # the test set has no twenty
    again = run(recipe, *options)
    assert not design_trainings(again)
    assert not [call for call in again if "_inference" in call]


@pytest.mark.parametrize(
    "steps, wanted",
    [
        ("taste_text_only taste_vq", "taste_text_only"),
        ("taste_text_only_debug taste_vq_debug", "taste_text_only_debug"),
        ("taste_rvq_8", "taste_text_only"),
    ],
)
def test_the_cascade_takes_the_decoder_of_the_text_only_step(steps, wanted):
    script = f"step_names=({steps}); . scripts/systems.sh; text_only_step"
    done = subprocess.run(
        ["bash", "-euc", script], cwd=EGS2 / "TEMPLATE/taslm1", capture_output=True
    )
    assert done.stdout.decode().split() == [wanted]


def test_designs_are_trained_again_with_equal_flops(recipe):
    prepare_designs(recipe)
    names, files = ("gslm", "moshi"), ("valid.loss.best.pth", "continuation/prompts/x")
    files += ("continuation/prompts/speed.tsv", "continuation/questions/speed.tsv")
    files += tuple(f"likelihood/{name}/scores.tsv" for name in ("test", "pairs"))
    put(recipe, *(f"exp/equal_flops/{n}/{file}" for n in names for file in files))
    columns = ("equal_flops_steps_an_epoch", "equal_flops_warmup_steps")
    lines = [("design", "rows", *columns), ("taslm_embed", "17", "63", "[0,60]")]
    lines += [("gslm", "48", "20", "[0,19]"), ("moshi", "77", "12", "[0,11]")]
    table = "".join("\t".join(line) + "\n" for line in lines)
    (recipe / "exp/budgets.tsv").write_text(table)
    run(recipe)
    options = ("--stage", "16", "--stop_stage", "16", "--equal_flops", "true")
    options += ("--systems", "gslm moshi cascade", "--question_pairs", "pairs")
    calls = run(recipe, *options)
    trained = [
        call
        for call in design_trainings(calls)
        if "--output_dir exp/equal_flops/" in call
    ]
    assert ["--num_iters_per_epoch 20" in trained[0], len(trained)] == [True, 2]
    assert "--num_iters_per_epoch 12" in trained[1]
    assert "--scheduler_conf warmup_steps_list=[0,11]" in trained[1]
    assert sum("--num_iters_per_epoch" in call for call in calls) == 2
    study, whole = named(calls, "slm_evaluate designs")
    assert (
        "--names ../taslm_embed ../taslm_token gslm moshi --expdirs exp/equal" in study
    )
    assert "--study systems_equal_flops" in study and "--study" not in whole
    assert not design_trainings(run(recipe, *options))


def test_designs_continue_by_other_rules_as_well(recipe):
    prepare_designs(recipe)
    names = ("taslm_embed", "taslm_token", "cascade", "gslm")
    folder = "exp/decode_slm_greedy"
    put(recipe, *(f"{folder}/{n}/continuation/prompts/speed.tsv" for n in names))
    run(recipe)
    config = "conf/decode_slm_greedy.yaml"
    options = ("--stage", "16", "--stop_stage", "16", "--other_decodings", config)
    calls = run(recipe, *options, "--systems", "gslm cascade")
    first, again = (
        [c for c in joined(calls, "slm_inference") if f"--config {path} " in c]
        for path in ("conf/decode_slm.yaml", config)
    )
    assert len(again) == len(names) and len(first) == 2  # TASLM's were there
    assert all(f"--output_dir {folder}/" in call for call in again)
    assert any("--exp exp/gslm --durations" in call for call in again)
    assert any("--exp exp/taslm_embed --taste_exp" in call for call in again)
    assert any("--exp conf/systems/cascade.yaml --lm" in call for call in again)
    studies = [c for c in named(calls, "slm_evaluate designs") if "--study" in c]
    assert len(studies) == 1 and "--study systems_decode_slm_greedy" in studies[0]


TURNS = {"text": "text,text", "turn_words": "turn_words,text_int"}
TURNS |= {"codes.scp": "codes,kaldi_ark"}


def test_turns_are_learned_and_answered_before_and_after(recipe):
    prepare_designs(recipe)
    names = ("taslm_embed", "taslm_sft")
    answers = [f"exp/instruct/{n}/continuation/questions/speed.tsv" for n in names]
    shapes = [f"exp/taslm_sft_stats/{p}/text_shape" for p in ("train", "valid")]
    put(recipe, "exp/taslm_sft/valid.loss.best.pth", *answers, *shapes)
    for name in ("train", "dev"):
        text = "a the red dog\nyes yes\nb it runs\n"
        (recipe / f"dump/raw/{name}/text").write_text(text)
        codes = "a some.ark:2\nb some.ark:9\nyes some.ark:17\n"
        put(recipe, f"exp/taste_vq/codes/{name}/codes.scp")
        (recipe / f"exp/taste_vq/codes/{name}/codes.scp").write_text(codes)
    run(recipe)
    options = ("--stage", "16", "--stop_stage", "16", "--systems", "gslm")
    options += ("--question_pairs", "pairs", "--sft_sets", "train dev")
    calls = run(recipe, *options)
    module = "espnet2_taste.bin.slm_train"
    (training,) = [c for c in named(calls, module) if "exp/taslm_sft " in c]
    assert "--init_param exp/taslm_embed/valid.loss.best.pth" in training
    for part, name in (("train", "train"), ("valid", "dev")):
        folder = f"exp/turns/{name}"
        for table, kind in TURNS.items():
            option = f"--{part}_data_path_and_name_and_type {folder}/{table},{kind}"
            assert option in training
        found = {path.name: path.read_text() for path in (recipe / folder).iterdir()}
        assert found["text"] == "a the red dog\nb it runs\n"
        assert found["turn_words"] == "a 2\nb 1\n"
        assert found["codes.scp"] == "a some.ark:2\nb some.ark:9\n"
        assert found["dropped.tsv"].startswith("yes\t")
    config = "--config conf/decode_slm_instruct.yaml"
    asked = [c for c in joined(calls, "slm_inference") if config in c]
    assert [f"--exp exp/{name} " in c for name, c in zip(names, asked)] == [True, True]
    assert all("--sets questions " in call for call in asked)
    (scored,) = named(calls, "slm_evaluate answers")
    assert "--expdir exp/instruct --names taslm_embed taslm_sft " in scored
    again = run(recipe, *options)
    assert not [c for c in named(again, module) if "taslm_sft" in c]


def test_recordings_from_elsewhere_are_only_scored(recipe):
    prepare_designs(recipe)
    (recipe / "conf/systems/other.yaml").write_text("wavs: downloads/other\n")
    put(
        recipe,
        "downloads/other/prompts/utt1.wav",
        *(f"exp/{n}/continuation/prompts/wav.scp" for n in ("other", "recordings")),
    )
    run(recipe)
    options = ("--stage", "16", "--stop_stage", "16")
    options += ("--systems", "gslm recordings other", *ARKS)
    calls = run(recipe, *options)
    imported = named(calls, "imports continuations")
    assert [call.split()[3] for call in imported] == [
        f"conf/systems/{name}.yaml" for name in ("recordings", "other")
    ]
    assert all(" ".join(ARKS[:2]) in call for call in imported)
    assert len(design_trainings(calls)) == 1
    (table,) = named(calls, "slm_evaluate designs")
    assert "--names taslm_embed taslm_token gslm recordings other " in table
    for module in ("tables pairs", "tables budget"):
        (costs,) = named(calls, module)
        assert "--names taslm_embed taslm_token gslm" in costs.replace("  ", " ")
        assert "other" not in costs
    assert not named(run(recipe, *options), "imports continuations")
    put(recipe, "downloads/other/prompts/utt2.wav")
    (renewed,) = named(run(recipe, *options), "imports continuations")
    assert "other.yaml" in renewed


def test_noisy_copies_of_the_test_sets_pass_the_tokenizer(recipe):
    put(
        recipe,
        *(f"exp/taste_vq/codes/test_snr{snr}/codes.scp" for snr in (20, 5)),
        *(
            f"exp/{name}/resynthesis/test_snr{snr}/wav.scp"
            for name in ("taste_vq", "unit_vocoder")
            for snr in (20, 5)
        ),
        *("exp/taste_vq/audio_scores/scores.json", "exp/taste_vq/noise/scores.json"),
    )
    run(recipe)
    options = ("--stage", "17", "--stop_stage", "17", "--noise_snrs", "20 5", *ARKS)
    calls = run(recipe, *options)
    (noise,) = named(calls, "data noise")
    assert " ".join(ARKS[:2]) in noise and " ".join(ARKS[2:]) in noise
    assert [command_of(call) for call in calls] == [
        *("data noise", *jobs("recognize align", "units extract", "taste_tokenize")),
        *jobs(*["taste_resynthesize"] * 2),
        *jobs("audio_score", *["recognize align"] * 2),
        *("taste_score", *jobs("audio_score"), "tables noise", "write_results"),
    ]
    assert run(recipe, *options) == []


def test_words_change_places_between_two_voices(recipe):
    voices = ("--voice_swap_sets", "slow fast")
    put(
        recipe,
        *(
            f"exp/{name}/resynthesis/test_snr5/wav.scp"
            for name in ("taste_vq", "unit_vocoder")
        ),
        *("exp/taste_vq/codes/test_snr5/codes.scp", "exp/taste_vq/swap_voices/x"),
        *("exp/taste_vq/audio_scores/scores.json", "exp/taste_vq/noise/scores.json"),
    )
    run(recipe, *voices)
    options = ("--stage", "17", "--stop_stage", "17", "--noise_snrs", "5", *voices)
    (call,) = named(run(recipe, *options), "taste_swap")
    assert "--sets slow fast" in call and "--study swap_voices" in call
    assert "--output_dir exp/taste_vq/swap_voices" in call
    assert run(recipe, *options) == []
