#!/usr/bin/env bash
# TASTE tokenizer and text-aligned spoken language model: the stages of a recipe.
# Each stage is one function below: its inputs are checked, Python entry points called,
# outputs checked, a stamp written (scripts/stages.sh says when a stage is done again).
# shellcheck disable=SC2034
set -euo pipefail
SECONDS=0

# General
stage=1                 # first stage to run
stop_stage=13           # last stage to run (see --help for those beyond)
skip_stages=""          # stages to leave out, e.g. "8 10"
ngpu=0                  # GPUs per node; 0 is the CPU
num_nodes=1             # nodes of a training
nj=2                    # jobs of CPU work on lists of utterances
inference_nj=""         # jobs of networks on such lists; default: a job for every GPU, else nj
parallel=""             # trainings or inferences at once where none needs another;
                        # default: 1 with GPUs, else 2, which share the CPU threads
num_workers=""          # data loading processes of a training; default: 4 with GPUs,
                        # else none, as they would wait for the same cores
num_threads=""          # CPU threads of a process; default: all cores
python=python3          # the interpreter, or words before it: "python -m coverage run --append"
cmd_backend=local       # local, stdout, ssh, slurm, sge, pbs: see cmd.sh
dumpdir=dump            # formatted audio, text, units
expdir=exp              # models and results
seed=0                  # of models and of sampling

# Data
train_set=train
valid_set=valid
slm_train_set=""        # the spoken language models' training set; default: train_set
test_sets="test"        # evaluated in stages 10 and 13
swap_sets=""            # two sets of the same texts, read slow and fast
voice_swap_sets=""      # two sets of the same texts, read by two voices (stage 17)
prompt_sets=""          # sets whose beginnings are continued; default: test_sets
pair_sets=""            # sets of utterance pairs for the consistency tests
data_dir=""             # a Kaldi-style directory with these sets, instead of local/data.sh;
                        # stage 2 runs the commands of its wav.scp (flac -c -d -s a.flac |)
question_pairs=""       # pair set whose beginnings are asked as questions (stage 16)
sft_sets=""             # training and validation set whose last words answer the words
                        # before: TASLM learns to answer turns (stage 16)
local_data_opts=""      # options of local/data.sh
fs=16000
min_duration=0.3        # seconds; what is shorter or longer is listed in dropped.tsv
max_duration=30
audio_format=wav        # of sets (stages 2, 9, 12, 16, 17): wav; flac, the same in fewer bytes; wav.ark
                        # or flac.ark: one file for 1000 utterances, read as kaldi_ark
speed_perturb_factors=""  # the unit vocoder is trained on train_set at these speeds: "0.9 1.0 1.1"

# Text and given models (each is trained in the recipe when it is not given)
nbpe=120                # size of the speech encoder's vocabulary, if it is trained here
lm_vocab_size=512       # size of the vocabulary of the language model
extra_text=""           # more text for the language model's tokenizer and training
normalizer=basic        # basic: lower case without punctuation; nfkc: and one width of each
                        # character; written: and $5, 3:45pm, Dr. in English words (needs
                        # the extra written); keep: as written (vocabularies take what they know)
segmenter=whitespace    # character: scripts that are written without spaces
word_space=true         # false: words are not marked by a space in the vocabularies
transcripts=corpus      # recognizer: the words are those of --recognizer, as it writes them
                        # (with --normalizer keep in its case and punctuation)
max_unknown=0.05        # largest share of <unk> in the tokens of a set
non_linguistic_symbols=""  # file of words that are not spoken, beside <tags> and [tags]
recognizer=""           # ESPnet experiment, Hugging Face directory or hub name (Whisper,
                        # wav2vec 2.0 with CTC), or a YAML file that names one with options
lm=""                   # HF directory or hub name of a causal language model

# Publishing
lang=en                 # languages of the data, named in the model card
weights_license=apache-2.0  # SPDX identifier
skip_upload_hf=true     # false: stage 15 uploads what stage 14 packed
hf_repo=""              # user/name: receives the tokenizer; user/name_taslm the language model

# Configurations
guided_attention=false  # true: time the words of the training sets too, and train TASTE with
                        # them (model_conf.alignment_weight in taste_configs)
refine_times=false      # true: with finer times by models of the letters (stage 4), which are
                        # also what predicted durations are compared with; the models
                        # serve tokenizers that time words (word_timer in taste_configs)
asr_config=conf/train_asr.yaml
units_config=conf/units.yaml
taste_configs="conf/train_taste_text_only.yaml conf/train_taste_no_vq.yaml conf/train_taste_vq.yaml"
unit_vocoder_config=conf/train_unit_vocoder.yaml
text_lm_config=conf/train_text_lm.yaml
taslm_embed_config=conf/train_taslm_embed.yaml
taslm_token_config=conf/train_taslm_token.yaml
taslm_sft_config=conf/train_taslm_sft.yaml
sft_inference_config=conf/decode_slm_instruct.yaml
resynthesis_config=""    # how units are drawn in stages 9 and 10; default: published values
inference_config=conf/decode_slm.yaml   # how every design continues prompts (stages 12 and 16)
other_decodings=""      # stage 16 continues with these as well: conf/decode_slm_greedy.yaml
systems="recordings cascade gslm twist s3_parallel spiritlm spiritlm_expr mini_omni moshi llama_omni"
more_seeds=""           # stage 16 trains designs and TASLM with these as well as --seed
equal_flops=false       # true: stage 16 trains designs a second time, with TASLM's FLOPs
noise_snrs="20 15 10 5" # dB, of the test sets' noisy copies (stage 17)
other_lms=""            # LMs that took no part, for a further perplexity each in stage 16:
                        # HF directories or hub names, or pocketsphinx (US English 3-grams)
judge_url=""            # OpenAI-compatible server; its key is in OPENAI_API_KEY
judge_model=""
systems_dir=conf/systems  # their configurations (stage 16)
systems_ctm=ctm         # word times of all sets; ctm_aligned: those of stage 4
inference_model=valid.loss.best.pth   # epoch of a model that is used

# End of the options
options_and_defaults=$(sed -n '/^# General$/,/^# End of the options$/{
    /^# End of/d;s/^\([a-z][a-z_]*\)=/--\1 /;p;}' "${BASH_SOURCE[0]}")
help_message="Usage: $0 [options]
  --stage N --stop_stage N --skip_stages \"N N\"   which stages to run, default 1 to 13
  --train_set X --valid_set X --test_sets \"X Y\"  names of the sets
  --data_dir DIR      Kaldi-style data instead of local/data.sh
  --recognizer DIR    speech encoder, vocabulary, word times and transcripts: an ESPnet
                      experiment, or Whisper or a CTC model of Hugging Face (or hub name)
  --lm DIR            text language model: an HF directory or hub name
  --ngpu N --nj N --python PYTHON --cmd_backend local|ssh|slurm|... --expdir DIR --dumpdir DIR
Stages: 1 data, 2 format audio, 3 text, 4 speech encoder, 5 units and speakers,
  6 TASTE statistics, 7 TASTE training, 8 unit vocoder, 9 tokenize and resynthesize,
  10 score the tokenizer, 11 TASLM training, 12 TASLM inference, 13 results, 14 pack,
  15 upload (--skip_upload_hf false --hf_repo user/name),
  16 other designs on the same data (--systems \"gslm moshi\"), 17 audio measures, noise,
  words exchanged between two voices
Example: $0 --stage 4 --stop_stage 7 --ngpu 1

All options with their defaults; a recipe's run.sh sets some of them:

${options_and_defaults}"

scripts=$(dirname "${BASH_SOURCE[0]}")/scripts
# shellcheck source-path=SCRIPTDIR source=scripts/stages.sh
. "${scripts}/stages.sh"
log "$0 $*"
# shellcheck source-path=SCRIPTDIR source=utils/parse_options.sh
. "$(dirname "${BASH_SOURCE[0]}")/utils/parse_options.sh"
[ $# -eq 0 ] || die "no positional arguments are taken, but got: $*"
check_stages 17
# shellcheck source-path=SCRIPTDIR source=path.sh
. ./path.sh
# shellcheck source-path=SCRIPTDIR source=cmd.sh
. ./cmd.sh
make_python_one_word
export OMP_NUM_THREADS=${num_threads:-$(nproc)}
parallel=${parallel:-$((ngpu > 0 ? 1 : 2))}
num_workers=${num_workers:-$((ngpu > 0 ? 4 : 0))}
inference_nj=${inference_nj:-$((ngpu > 0 ? ngpu * num_nodes : nj))}
for part in jobs training data tokenizer slm systems audio; do
    # shellcheck disable=SC1090
    . "${scripts}/${part}.sh"
done

raw=${dumpdir}/raw
given_recognizer=${recognizer}
[ "${transcripts}" = corpus ] || [ -n "${recognizer}" ] ||
    die "--transcripts ${transcripts} needs a --recognizer, whose words are taken"
recognizer=${recognizer:-${expdir}/asr}
llm=${lm:-${expdir}/llm_base}
token_dir=data/token_list/bpe
[ -z "${given_recognizer}" ] || token_dir=data/token_list/given
read -r -a eval_sets <<<"${test_sets} ${swap_sets}"
read -r -a prompts <<<"${prompt_sets:-${test_sets}}"
sets=()                 # all of them, each once
slm_train_set=${slm_train_set:-${train_set}}
for name in ${train_set} ${valid_set} ${slm_train_set} "${eval_sets[@]}" "${prompts[@]}" ${pair_sets} \
    ${voice_swap_sets}; do
    [[ " ${sets[*]} " == *" ${name} "* ]] || sets+=("${name}")
done
design_dir=${expdir}    # of spoken language models; stage 16 has one for each further seed
tag=""
unit_sets=()            # text and codes are all that a TASLM learns from
for name in "${sets[@]}"; do
    [ "${name}" = "${slm_train_set}" ] && [ "${name}" != "${train_set}" ] ||
        unit_sets+=("${name}")
done
vocoder_set=${train_set}  # that the unit vocoder is trained on
for name in ${speed_perturb_factors}; do
    [[ ${name} =~ ^[0-9]*\.?[0-9]+$ && ${name} =~ [1-9] ]] ||
        die "--speed_perturb_factors '${name}': expected numbers above 0, such as \"0.9 1.0 1.1\""
    vocoder_set=${train_set}_sp
done
vocoder_sets=("${train_set}" "${valid_set}")  # with F0, for TASTE and its vocoder
if [ "${vocoder_set}" != "${train_set}" ]; then
    [[ " ${sets[*]} " != *" ${vocoder_set} "* ]] || die "--speed_perturb_factors makes the set" \
        "${vocoder_set}, which is one of yours: rename that"
    unit_sets+=("${vocoder_set}")
    vocoder_sets+=("${vocoder_set}")
fi
timed_sets=()           # their words are timed by forced alignment
guided_sets=()
times_only=${train_set} # not scored, so not transcribed
[[ " ${eval_sets[*]} ${prompts[*]} " != *" ${train_set} "* ]] || times_only=""
[ "${guided_attention}" = false ] || guided_sets=("${train_set}" "${valid_set}")
training_times=word_times
refined=()              # the step that TASTE's trainings then come after
letter_models=()        # for tokenizers that time words themselves
if [ "${refine_times}" = true ]; then
    [ "${guided_attention}" = true ] || die "--refine_times true needs --guided_attention true"
    training_times=word_times_refined
    refined=(refine)
    letter_models=(--letter_models "${expdir}/letter_models.npz")
fi
for name in "${eval_sets[@]}" "${prompts[@]}" "${guided_sets[@]}"; do
    [[ " ${timed_sets[*]} " == *" ${name} "* ]] || timed_sets+=("${name}")
done
resynthesis_options=()
[ -z "${resynthesis_config}" ] || resynthesis_options=(--config "${resynthesis_config}")
read -r -a steps <<<"${taste_configs}"
step_names=()           # of the experiments: conf/train_taste_vq.yaml makes taste_vq
for name in "${steps[@]}"; do
    name=$(basename "${name}" .yaml)
    step_names+=("${name#train_}")
done
taste=${step_names[-1]}  # part of the names of stages whose outputs are below it
taste_exp=${expdir}/${taste}
word_options=()         # of the trainings, beside their configurations
[ "${word_space}" = true ] || word_options=(--word_space false)
speech_type=sound       # how ESPnet reads wav.scp
[[ ${audio_format} != *.ark ]] || speech_type=kaldi_ark
if [ "${ngpu}" -gt 0 ]; then infer_gpu=1; else infer_gpu=0; fi

trap report_failure EXIT
lock_experiment
run_stage 1 "data" stage_1_data
run_stage 2 "format and filter the audio" stage_2_format
run_stage 3 "words and both tokenizers" stage_3_text
run_stage 4 "speech encoder and word times" stage_4_encoder
run_stage 5 "speech units and speaker embeddings" stage_5_units
run_stage 6 "TASTE: collect statistics" stage_6_taste_stats
run_stages_7_and_8      # both need stage 5 and neither needs the other
run_stage 9 "tokenize all sets, resynthesize the evaluation sets" stage_9_tokenize
run_stage 10 "score the tokenizer, swap tokens" stage_10_score
run_stage 11 "TASLM: train" stage_11_taslm
run_stage 12 "TASLM: continuation and likelihoods" stage_12_inference
run_stage 13 "scores and RESULTS.md" stage_13_results
run_stage 14 "pack the models" stage_14_pack
run_stage 15 "upload the models" stage_15_upload
run_stage 16 "other designs on the same data" stage_16_systems
run_stage 17 "audio measures, noise, voices" stage_17_audio
log "Finished: ${SECONDS} s"
