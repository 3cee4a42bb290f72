# Sourced by taslm.sh: stages 6 to 10, the TASTE tokenizer, its vocoder, their scores.
# shellcheck shell=bash disable=SC2154,SC2034

taste_data() {  # fills the array data with the tables that every TASTE training reads
    local -a times=()
    [ "${guided_attention}" = false ] ||
        times=("word_times kaldi_ark ${raw}/SET/${training_times}.scp")
    set_data "speech ${speech_type} ${raw}/SET/wav.scp" "text text ${raw}/SET/text" \
        "units kaldi_ark ${raw}/SET/units.scp" "spembs kaldi_ark ${raw}/SET/spembs.scp" \
        "pitch kaldi_ark ${raw}/SET/pitch.scp" "${times[@]}"
}

measure_pitch() {  # F0 of the sets that TASTE and its vocoder are trained on
    in_sets "${raw}" pitch.scp "${vocoder_sets[@]}"
    begin pitch --after units --scope "${vocoder_sets[@]}" \
        --outputs "${in_sets[@]}" --parts "${raw}/parts/pitch" || return 0
    in_jobs "${raw}" "${raw}" pitch "wav.scp" "${vocoder_sets[*]}" "data pitch" \
        --dump_dir "{in}"
    finish
}

stage_6_taste_stats() {
    local -a data
    taste_data
    measure_pitch
    begin taste_stats --after units "${refined[@]}" --values "${guided_attention}" \
        --outputs "${expdir}/taste_stats/train" "${expdir}/taste_stats/valid" || return 0
    write_shapes "${expdir}/taste_stats" speech
    finish
}

stage_7_taste_train() {  # the steps, each after the one before it
    local -a data options init=()
    local step name before=taste_stats
    taste_data
    set_shapes "${expdir}/taste_stats" speech
    for step in "${!steps[@]}"; do
        name=${step_names[step]}
        options=(--config "${steps[step]}" --seed "${seed}" --units_dir "${expdir}/units"
            --recognizer "${recognizer}"
            "${data[@]}" "${word_options[@]}" "${letter_models[@]}" "${init[@]}")
        token_options
        if begin "${name}" --after "${before}" --files "${steps[step]}" --values "${seed}" \
            --check espnet2_taste.bin.taste_train "${options[@]}" \
            --models "${expdir}/${name}"; then
            train_model espnet2_taste.bin.taste_train "${expdir}/${name}" "${options[@]}"
            need "${expdir}/${name}/${inference_model}"
            finish
        fi
        before=${name}
        init=(--init_param "${expdir}/${name}/${inference_model}")
    done
}

stage_8_vocoder() {
    local -a data options=(--config "${unit_vocoder_config}" --seed "${seed}")
    local stats=${expdir}/unit_vocoder_stats train_set=${vocoder_set}
    set_data "speech ${speech_type} ${raw}/SET/wav.scp" "units kaldi_ark ${raw}/SET/units.scp" \
        "spembs kaldi_ark ${raw}/SET/spembs.scp" "pitch kaldi_ark ${raw}/SET/pitch.scp"
    measure_pitch
    begin unit_vocoder --after units --files "${unit_vocoder_config}" \
        --values "${seed}" ${speed_perturb_factors:+"${speed_perturb_factors}"} \
        --check espnet2_taste.bin.unit_vocoder_train "${options[@]}" "${data[@]}" \
        --models "${expdir}/unit_vocoder" "${stats}" || return 0
    write_shapes "${stats}" speech
    train_model espnet2_taste.bin.unit_vocoder_train "${expdir}/unit_vocoder" \
        "${options[@]}" "${data[@]}"
    need "${expdir}/unit_vocoder/${inference_model}"
    finish
}

vocoder_and_text_lm() {  # together they take about as long as the steps of TASTE
    stage_8_vocoder
    ! asked_for 11 || train_text_lm
}

run_stages_7_and_8() {  # neither needs the other, and the text LM needs only stage 3
    if [ "${parallel}" -gt 1 ] && asked_for 7 && asked_for 8; then
        current_stage="7 or 8"
        side_by_side eval stage_7_taste_train vocoder_and_text_lm
    fi
    run_stage 7 "TASTE: train" stage_7_taste_train
    run_stage 8 "unit vocoder: train" stage_8_vocoder
}

tokenize() {  # <names of sets, one string>
    in_jobs "${raw}" "${taste_exp}/codes" "${tag}codes" "wav.scp text" "$1" taste_tokenize \
        --dump_dir "{in}" --output_dir "{out}" --taste_exp "${taste_exp}" \
        --ngpu "${infer_gpu}"
}

tokenize_sets() {
    in_sets "${taste_exp}/codes" codes.scp "${sets[@]}"
    begin "codes_${taste}" --after "${taste}" --scope "${sets[@]}" \
        --outputs "${in_sets[@]}" --parts "${taste_exp}/codes/parts/codes" || return 0
    tokenize "${sets[*]}"
    finish
}

resynthesize() {  # <experiment>: codes (or text, or true units) of spoken_sets to speech
    local name=$1
    local -a source=(--taste_exp "${expdir}/${name}")
    local -a after=("${name}" unit_vocoder "${tag}codes_${taste}")
    if [ "${name}" = unit_vocoder ]; then
        source=(--from_units true)
        after=(unit_vocoder ${tag:+"${tag}codes_${taste}"})
    fi
    in_sets "${expdir}/${name}/resynthesis" wav.scp "${spoken_sets[@]}"
    begin "${tag}resynthesis_${name}" --after "${after[@]}" \
        --files "${resynthesis_options[@]:1}" --values "${seed}" \
        --scope "${spoken_sets[@]}" --outputs "${in_sets[@]}" \
        --parts "${expdir}/${name}/resynthesis/parts/${tag}"{spoken,align} || return 0
    in_jobs "${raw}" "${expdir}/${name}/resynthesis" "${tag}spoken" \
        "wav.scp text spembs.scp units word_times" "${spoken_sets[*]}" taste_resynthesize \
        --dump_dir "{in}" --output_dir "{out}" "${source[@]}" \
        --unit_vocoder_exp "${expdir}/unit_vocoder" "${resynthesis_options[@]}" \
        --audio_format "${audio_format}" --seed "${seed}" --ngpu "${infer_gpu}"
    finish
}

stage_9_tokenize() {
    local -a spoken_sets=("${eval_sets[@]}")
    local name
    tokenize_sets
    for name in "${step_names[@]}" unit_vocoder; do resynthesize "${name}"; done
}

score_taste() {  # <sets, one string> <output> <option>...
    local name
    for name in "${step_names[@]}" unit_vocoder; do
        [ ! -s "${expdir}/${name}/resynthesis/${1%% *}/wav.scp" ] ||
            align "${expdir}/${name}/resynthesis" "$1" --made_speech true
    done
    in_one_job "${tag}score_${taste}" taste_score --taste_exp "${taste_exp}" \
        --expdir "${expdir}" --recognizer "${recognizer}" --dump_dir "${raw}" \
        --sets "$1" --output_dir "$2" --ngpu "${infer_gpu}" "${@:3}"
}

score_eval_sets() {
    score_taste "${eval_sets[*]}" "${taste_exp}/scores"
}

study_swap() {  # <name> <sets>: words of two readings change places
    [ -n "$2" ] || return 0
    in_one_job "${taste}_$1" taste_swap --taste_exp "${taste_exp}" \
        --unit_vocoder_exp "${expdir}/unit_vocoder" --recognizer "${recognizer}" \
        --dump_dir "${raw}" --sets "$2" --seed "${seed}" --study "$1" \
        --output_dir "${taste_exp}/$1" "${resynthesis_options[@]}" \
        --ngpu "${infer_gpu}"
}

swap_tempo() {
    study_swap swap "${swap_sets}"
}

stage_10_score() {
    begin "taste_score_${taste}" --after "${step_names[@]/#/resynthesis_}" \
        resynthesis_unit_vocoder align --scope "${eval_sets[@]}" --outputs "${taste_exp}/scores" || return 0
    side_by_side eval score_eval_sets swap_tempo
    finish
}
