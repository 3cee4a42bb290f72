# Sourced by taslm.sh: stage 16, the other designs on the same data, units and vocoder.
# Each design is a file of conf/systems, an experiment of its own and resumable alone:
# --systems "gslm moshi". The cascade trains nothing; files that name recordings (`wavs`,
# `true_endings`) bring systems from elsewhere, which are only scored.
# shellcheck shell=bash disable=SC2154,SC2034

extract_slm_units() {  # stage 5 left them out: TASLM needs codes only
    [ "${slm_train_set}" != "${train_set}" ] || return 0
    begin slm_units --after units --values "${slm_train_set}" \
        --outputs "${raw}/${slm_train_set}"/{units,units.scp,spembs.scp} || return 0
    extract_units "${slm_train_set}"
    finish
}

prepare_systems() {  # word times, pitch and style tokens, durations of units
    local -a grids=("${sets[@]/#/${raw}/}")
    begin grids --after units --values "${systems_ctm}" "${seed}" --scope "${sets[@]}" \
        --outputs "${expdir}/expression" "${grids[@]/%//style_tokens.scp}" \
        "${grids[@]/%//word_times_${systems_ctm}.scp}" --parts "${raw}/parts/tokens" || return 0
    prepare_grids "${sets[*]}"
    finish
}

prepare_grids() {  # <names of sets, one string>
    in_one_job "${tag}expression" "units expression" --dump_dir "${raw}" \
        --train_set "${train_set}" --sets "$1" --ctm "${systems_ctm}" \
        --num_pitch 20 --num_style 8 --output_dir "${expdir}/expression" --seed "${seed}"
    in_jobs "${raw}" "${raw}" tokens wav.scp "$1" "units tokens" --dump_dir "{in}" \
        --tables "${expdir}/expression"
}

train_durations() {
    begin unit_durations --after units --values "${seed}" \
        --outputs "${expdir}/unit_durations" || return 0
    in_one_job unit_durations "units durations" --data_dir "${raw}/${train_set}" \
        --valid_dir "${raw}/${valid_set}" --output_dir "${expdir}/unit_durations" \
        --num_units "$(units_value num_units)" --seed "${seed}"
    finish
}

units_value() {  # <name>: from the configuration of the units
    awk -v name="$1:" '$1 == name { print $2; exit }' "${expdir}/units/config.yaml"
}

train_system() {  # <name>
    local name=$1 train_set=${slm_train_set}
    local config=${systems_dir}/$1.yaml epoch corners
    local -a data options backbone=(text_lm) init=() steps=()
    [ -z "${lm}" ] || backbone=()
    if [ "${budget}" != utterances ]; then
        epoch=$(budget_of "${name}" equal_flops_steps_an_epoch) || exit 1
        corners=$(budget_of "${name}" equal_flops_warmup_steps) || exit 1
        steps=(--num_iters_per_epoch "${epoch}"
            --scheduler_conf "warmup_steps_list=${corners}")
    fi
    set_data "text text ${raw}/SET/text" "units kaldi_ark ${raw}/SET/units.scp" \
        "word_times kaldi_ark ${raw}/SET/word_times_${systems_ctm}.scp" \
        "pitch kaldi_ark ${raw}/SET/pitch_tokens.scp" \
        "style kaldi_ark ${raw}/SET/style_tokens.scp"
    grep -q '^lm_conf:' "${config}" || init=(--init_lm "${llm}")
    options=(--config "${config}" --tokenizer_path "${llm}" "${init[@]}" --seed "${seed}"
        --num_units "$(units_value num_units)" --unit_rate "$(units_value unit_rate)"
        "${word_options[@]}" "${steps[@]}")
    begin "${tag}${name}" --after grids "${backbone[@]}" --files "${config}" \
        --values "${lm}" "${seed}" "${steps[@]}" \
        --check espnet2_taste.bin.slm_train "${options[@]}" "${data[@]}" \
        --models "${design_dir}/${name}" || return 0
    write_shapes "${expdir}/systems_stats" units
    train_model espnet2_taste.bin.slm_train "${design_dir}/${name}" "${options[@]}" \
        "${data[@]}"
    need "${design_dir}/${name}/${inference_model}"
    finish
}

budget_of() {  # <name> <column>: of a training as costly as TASLM's
    awk -F '\t' -v name="$1" -v column="$2" '
        NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) c = i }
        $1 == name && $c != "-" { print $c; found = 1; exit }
        END { exit !found }' "${expdir}/budgets.tsv" ||
        die "${expdir}/budgets.tsv has no $2 for $1: train it first, with a scheduler" \
            "whose corners are steps (piecewiselinearwarmuplr)"
}

run_system() {  # <name>
    train_system "$1"
    use_design "$1"
}

import_recordings() {  # <name>: of a system that was made elsewhere, or of the sets
    local name=$1 config=${systems_dir}/$1.yaml wavs
    wavs=$(awk '$1 == "wavs:" { print $2 }' "${config}")
    [ -z "${wavs}" ] || need "${wavs}"
    in_sets "${design_dir}/${name}/continuation" wav.scp "${prompts[@]}"
    begin "external_${name}" --after grids --files "${config}" \
        --values "${systems_ctm}" "$([ -z "${wavs}" ] || ls -lRL --full-time "${wavs}" | sha256sum)" \
        --scope "${prompts[@]}" --outputs "${in_sets[@]}" || return 0
    "${python}" -m espnet2_taste.bin.imports continuations --config "${config}" --dump_dir "${raw}" \
        --ctm "${systems_ctm}" --sets "${prompts[*]}" --audio_format "${audio_format}" \
        --output_dir "${design_dir}/${name}/continuation"
    finish
}

run_further_seeds() {  # the designs and TASLM again, below a folder for each seed
    local seed design_dir tag
    for seed in ${more_seeds}; do
        design_dir=${expdir}/seed_${seed} tag=seed_${seed}_
        seed_dirs+=("${design_dir}")
        side_by_side train_taslm taslm_embed taslm_token
        side_by_side use_design taslm_embed taslm_token
        side_by_side run_system "${trained[@]}"
        ask_questions taslm_embed taslm_token "${trained[@]}"
    done
}

run_at_equal_flops() {  # the designs again; TASLM's first training sets the budget
    local budget=flops design_dir=${expdir}/equal_flops tag=equal_flops_
    local names="../taslm_embed ../taslm_token ${trained[*]}"
    write_budgets "${expdir}" "taslm_embed taslm_token ${untrained[*]} ${trained[*]}"
    side_by_side run_system "${trained[@]}"
    ask_questions "${trained[@]}"
    write_budgets "${design_dir}" "${names}"
    score_systems "${design_dir}" "${names}" "${design_dir}" --study systems_equal_flops
}

run_other_decodings() {  # the same models continue by other rules, in a folder of each
    local model_dir=${expdir} inference_config tag design_dir name
    local -a names=(taslm_embed taslm_token "${untrained[@]}" "${trained[@]}")
    for inference_config in ${other_decodings}; do
        tag=$(basename "${inference_config}" .yaml)_ design_dir=${expdir}/${tag%_}
        for name in "${names[@]}"; do continue_design "${name}" "${name}"; done
        score_systems "${design_dir}" "${names[*]}" "${design_dir}" \
            --study "systems_${tag%_}"
    done
}

prepare_questions() {  # beginnings of the pairs, their units, codes and tokens
    begin questions --after grids "codes_${taste}" --values "${question_pairs}" \
        --outputs "${raw}/questions" "${taste_exp}/codes/questions" || return 0
    "${python}" -m espnet2_taste.bin.imports questions --cloze \
        --source "${raw}/${question_pairs}" --sentences "${raw}/lm_train/text" \
        --output_dir "${raw}/questions" --fs "${fs}" --audio_format "${audio_format}"
    extract_units questions
    tokenize questions
    prepare_grids questions
    finish
}

ask_questions() {  # <name>...: designs of one seed
    local -a prompts=(questions)
    [ -z "${question_pairs}" ] || side_by_side ask "$@"
}

ask() {  # <name>
    local after=${tag}$1
    local tag=questions_${tag}
    continue_design "$1" "${after}"
}

sort_systems() {  # of --systems, by what is to be done for them
    local name config
    for name in ${systems}; do
        config=${systems_dir}/${name}.yaml
        need "${config}"
        if [ "${name}" = cascade ]; then
            untrained+=("${name}")
        elif grep -qE '^(wavs|true_endings):' "${config}"; then
            recorded+=("${name}")
        else
            trained+=("${name}")
        fi
    done
}

text_only_step() {  # of TASTE's trainings, whose unit decoder the cascade takes
    local name
    for name in "${step_names[@]}" taste_text_only; do
        [[ ${name} != *text_only* ]] || break
    done
    echo "${name}"
}

stage_16_systems() {
    local -a trained=() untrained=() recorded=() seed_dirs=()
    local text_only_exp budget=utterances name
    text_only_exp=${expdir}/$(text_only_step)
    sort_systems
    extract_slm_units
    prepare_systems
    train_durations
    write_padding
    for name in "${recorded[@]}"; do import_recordings "${name}"; done
    for name in "${untrained[@]}"; do continue_design "${name}" "${name}"; done
    side_by_side run_system "${trained[@]}"
    [ -z "${question_pairs}" ] || prepare_questions
    ask_questions taslm_embed taslm_token "${untrained[@]}" "${trained[@]}"
    if [ -n "${sft_sets}" ]; then
        train_sft
        answer_turns
    fi
    run_further_seeds
    [ "${equal_flops}" = false ] || run_at_equal_flops
    run_other_decodings
    make_listening_pages
    compare_systems
}

write_padding() {
    "${python}" -m espnet2_taste.bin.tables padding --data_dir "${raw}/${slm_train_set}" \
        --ctm "${systems_ctm}" --tokenizer_path "${llm}" --systems "${systems_dir}"/*.yaml \
        --num_units "$(units_value num_units)" --unit_rate "$(units_value unit_rate)" \
        --output "${expdir}/padding.tsv"
}

judge_system() {  # <name>: an LLM behind an OpenAI-compatible server rates continuations
    transcribe "${expdir}/$1/continuation" "${prompts[*]}"
    "${python}" -m espnet2_taste.bin.continuations judge --sets "${prompts[*]}" \
        --dump_dir "${raw}" --continuation_dir "${expdir}/$1/continuation" \
        --base_url "${judge_url}" --model "${judge_model}" --output_dir "${expdir}/$1/judge"
}

make_listening_pages() {  # for people: how near to the recording are the renditions?
    local set=${eval_sets[0]} name count
    local -a renditions=()
    for name in "${step_names[@]}"; do
        renditions+=("${name}=${expdir}/${name}/resynthesis/${set}")
    done
    begin listening_pages --after "${step_names[@]/#/resynthesis_}" \
        --outputs "${expdir}/mushra" || return 0
    count=$(wc -l <"${raw}/${set}/wav.scp")
    "${python}" -m espnet2_taste.bin.listening pages --test mushra \
        --utterances "$((count < 20 ? count : 20))" \
        --reference "${raw}/${set}" --systems "${renditions[@]}" --anchors 3500 \
        --output_dir "${expdir}/mushra"
    finish
}

write_budgets() {  # <parent> <names>
    "${python}" -m espnet2_taste.bin.tables budget --expdir "$1" --names "$2" \
        --padding "${expdir}/padding.tsv" --output "$1/budgets.tsv"
}

score_systems() {  # <output> <names> <parents> <option>...
    local parent=$1
    local -a budgets=()
    recognize_designs "$3" "$2"
    [ ! -s "${parent}/budgets.tsv" ] || budgets=(--budgets "${parent}/budgets.tsv")
    in_one_job "systems_scores_$(basename "${parent}")" "slm_evaluate designs" \
        --names "$2" --expdirs "$3" "${@:4}" \
        --dump_dir "${raw}" --prompt_set "${prompts[0]}" --pair_sets "${pair_sets}" \
        --question_set "${question_pairs:+questions}" --lm "${llm}" \
        --other_lms "${other_lms}" --recognizer "${recognizer}" \
        "${budgets[@]}" "${word_options[@]}" \
        --output_dir "${parent}/systems_scores" --ngpu "${infer_gpu}"
}

compare_systems() {
    local name
    if [ -n "${judge_url}" ]; then
        for name in taslm_embed taslm_token ${systems}; do judge_system "${name}"; done
    fi
    write_budgets "${expdir}" "taslm_embed taslm_token ${untrained[*]} ${trained[*]}"
    "${python}" -m espnet2_taste.bin.tables pairs --expdir "${expdir}" \
        --names "taslm_embed taslm_token ${trained[*]}" --dump_dir "${raw}" \
        --sets "${pair_sets}" --output "${expdir}/pair_scores.tsv"
    score_systems "${expdir}" "taslm_embed taslm_token ${systems}" \
        "${expdir} ${seed_dirs[*]}"
    write_results
}
