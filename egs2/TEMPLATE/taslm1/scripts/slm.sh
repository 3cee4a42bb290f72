# Sourced by taslm.sh: stages 11 to 15, the spoken language model, results, publishing.
# shellcheck shell=bash disable=SC2154

train_text_lm() {  # a small text backbone, exported as an HF directory, if none is given
    local -a data options=(--config "${text_lm_config}" --seed "${seed}"
        --tokenizer_path data/lm_tokenizer "${word_options[@]}")
    local stats=${expdir}/text_lm_stats
    [ -z "${lm}" ] || return 0
    set_data "text text ${raw}/SET/text"
    data[1]="${raw}/lm_train/text,text,text"    # the training set and --extra_text
    begin text_lm --after text --files "${text_lm_config}" --values "${seed}" \
        --check espnet2_taste.bin.text_lm_train "${options[@]}" "${data[@]}" \
        --models "${llm}" "${expdir}/text_lm" || return 0
    write_shapes "${stats}" text --tokenizer_path data/lm_tokenizer \
        --train_config "${text_lm_config}" "${word_options[@]}"
    train_model espnet2_taste.bin.text_lm_train "${expdir}/text_lm" "${options[@]}" \
        "${data[@]}"
    "${python}" -m espnet2_taste.bin.exports text_lm \
        --train_config "${expdir}/text_lm/config.yaml" \
        --model_file "${expdir}/text_lm/${inference_model}" --output_dir "${llm}"
    need "${llm}/config.json" "${llm}/model.safetensors"
    finish
}

train_taslm() {  # <name>: its configuration is in the option <name>_config
    local name=$1 option=$1_config train_set=${slm_train_set}
    local config=${!option}
    local -a data backbone=(text_lm) options=(--config "${config}" --seed "${seed}"
        --tokenizer_path "${llm}" --init_lm "${llm}" --taste_exp "${taste_exp}"
        --taste_model_file "${inference_model}" "${word_options[@]}")
    [ -z "${lm}" ] || backbone=()
    set_data "text text ${raw}/SET/text" "codes kaldi_ark ${taste_exp}/codes/SET/codes.scp"
    begin "${tag}${name}" --after "codes_${taste}" "${backbone[@]}" --files "${config}" \
        --values "${lm}" "${seed}" "${train_set}" \
        --check espnet2_taste.bin.slm_train "${options[@]}" "${data[@]}" \
        --models "${design_dir}/${name}" || return 0
    write_shapes "${design_dir}/${name}_stats" text --tokenizer_path "${llm}" \
        --train_config "${config}" "${word_options[@]}"
    train_model espnet2_taste.bin.slm_train "${design_dir}/${name}" "${options[@]}" \
        "${data[@]}"
    need "${design_dir}/${name}/${inference_model}"
    finish
}

stage_11_taslm() {
    train_text_lm
    side_by_side train_taslm taslm_embed taslm_token
}

write_turns() {  # <set>: tables of what has a word for the turn and one for the answer
    local set=$1 dir=${expdir}/turns/$1
    mkdir -p "${dir}"
    awk -v dir="${dir}" '
        NF > 2 { print >(dir "/text"); print $1, NF - 2 >(dir "/turn_words") }
        NF <= 2 { print $1 "\tno word for the turn and one for the answer" }' \
        "${raw}/${set}/text" >"${dir}/dropped.tsv"
    [ -s "${dir}/text" ] || die "--sft_sets: no utterance of ${raw}/${set} has two words"
    awk 'NR == FNR { kept[$1]; next } $1 in kept' "${dir}/text" \
        "${taste_exp}/codes/${set}/codes.scp" >"${dir}/codes.scp"
    log "${dir}: $(wc -l <"${dir}/text") turns, $(wc -l <"${dir}/dropped.tsv") utterances" \
        "left out (dropped.tsv)"
}

train_sft() {  # TASLM goes on: it answers turns, which are all words but the last
    local train_set valid_set set
    local -a data options=(--config "${taslm_sft_config}" --seed "${seed}"
        --tokenizer_path "${llm}" --init_lm "${llm}" --taste_exp "${taste_exp}"
        --taste_model_file "${inference_model}" "${word_options[@]}"
        --init_param "${expdir}/taslm_embed/${inference_model}")
    read -r train_set valid_set <<<"${sft_sets}"
    set_data "text text ${expdir}/turns/SET/text" \
        "turn_words text_int ${expdir}/turns/SET/turn_words" \
        "codes kaldi_ark ${expdir}/turns/SET/codes.scp"
    begin taslm_sft --after taslm_embed --files "${taslm_sft_config}" \
        --values "${train_set}" "${valid_set}" "${seed}" \
        --check espnet2_taste.bin.slm_train "${options[@]}" "${data[@]}" \
        --models "${expdir}/taslm_sft" || return 0
    for set in ${sft_sets}; do write_turns "${set}"; done
    write_shapes "${expdir}/taslm_sft_stats" text --tokenizer_path "${llm}" \
        --train_config "${taslm_sft_config}" "${word_options[@]}"
    train_model espnet2_taste.bin.slm_train "${expdir}/taslm_sft" "${options[@]}" \
        "${data[@]}"
    need "${expdir}/taslm_sft/${inference_model}"
    finish
}

answer_turns() {  # the questions as turns, before and after that training
    local inference_config=${sft_inference_config} tag=instruct_ name
    local model_dir=${expdir} design_dir=${expdir}/instruct
    local -a prompts=(questions)
    for name in taslm_embed taslm_sft; do continue_design "${name}" "${name}"; done
    recognize_designs "${design_dir}" "taslm_embed taslm_sft"
    in_one_job answers "slm_evaluate answers" --expdir "${design_dir}" \
        --names "taslm_embed taslm_sft" --dump_dir "${raw}" --recognizer "${recognizer}" \
        --ngpu "${infer_gpu}"
}

continue_design() {  # <name> <after>: spoken continuations of prompts, TASLM's or others'
    local name=$1 exp=${model_dir:-${design_dir}}/$1 said=${design_dir}/$1/continuation
    local -a after=("$2" unit_vocoder) options=(--taste_exp "${taste_exp}")
    local -a folders=("${prompts[@]/#/${said}/}")
    case ${name} in
        taslm_*) ;;
        cascade)
            exp=${systems_dir}/cascade.yaml
            after=("$(basename "${text_only_exp}")" unit_vocoder)
            options=(--lm "${llm}" --taste_exp "${text_only_exp}")
            ;;
        *)
            after+=(unit_durations)
            options=(--durations "${expdir}/unit_durations")
            ;;
    esac
    in_sets "${said}" speed.tsv "${prompts[@]}"
    begin "${tag}continuation_${name}" --after "${after[@]}" --files "${inference_config}" \
        --values "${seed}" --scope "${prompts[@]}" --outputs "${in_sets[@]}" \
        --parts "${said}/parts/${tag}"{said,align,recognized} \
        "${folders[@]/%//parts}" || return 0
    in_jobs "${raw}" "${said}" "${tag}said" text "${prompts[*]}" slm_inference \
        --config "${inference_config}" --exp "${exp}" "${options[@]}" --dump_dir "${raw}" \
        --ids_dir "{in}" --output_dir "{out}" --ctm "${systems_ctm}" \
        --unit_vocoder_exp "${expdir}/unit_vocoder" --audio_format "${audio_format}" \
        --seed "${seed}" --ngpu "${infer_gpu}"
    finish
}

score_design() {  # <name>: likelihoods of the utterances of the test and pair sets
    local name=$1 likelihood=${design_dir}/$1/likelihood
    local -a scored
    read -r -a scored <<<"${test_sets} ${pair_sets}"
    in_sets "${likelihood}" scores.tsv "${scored[@]}"
    begin "${tag}likelihood_${name}" --after "${tag}${name}" \
        --files "${inference_config}" --scope "${scored[@]}" \
        --outputs "${in_sets[@]}" --parts "${likelihood}/parts" || return 0
    in_jobs "${raw}" "${likelihood}" scored text "${scored[*]}" slm_score \
        --exp "${design_dir}/${name}" --codes_dir "${taste_exp}/codes" --dump_dir "${raw}" \
        --ids_dir "{in}" --output_dir "{out}" --ctm "${systems_ctm}" \
        --decode_config "${inference_config}" --ngpu "${infer_gpu}"
    finish
}

use_design() {  # <name>
    continue_design "$1" "${tag}$1"
    score_design "$1"
}

stage_12_inference() {
    side_by_side use_design taslm_embed taslm_token
}

align_continuations() {  # <name>: of the first prompts, alone and with the prompt
    local said=${expdir}/$1/continuation
    align "${said}" "${prompts[0]}" --made_speech true
    align "${said}/${prompts[0]}" full --made_speech true
}

recognize_designs() {  # <parents> <names>, one string each: words of their continuations
    local parent name set said
    for parent in $1; do
        for name in $2; do
            for set in "${prompts[0]}" ${question_pairs:+questions}; do
                said=${parent}/${name}/continuation
                [ ! -s "${said}/${set}/wav.scp" ] ||
                    [ "${said}/${set}/text_recognized" -nt "${said}/${set}/wav.scp" ] ||
                    transcribe "${said}" "${set}"
            done
        done
    done
}

write_results() {  # RESULTS.md from all scores that there are, listen.html beside it
    "${python}" -m espnet2_taste.bin.write_results --expdir "${expdir}" \
        --dump_dir "${raw}" --output "${expdir}/RESULTS.md" --taste_exp "${taste_exp}" \
        --test_sets "${test_sets}"
}

stage_13_results() {
    begin results --after "taste_score_${taste}" continuation_taslm_{embed,token} \
        likelihood_taslm_{embed,token} --scope "${sets[@]}" \
        --outputs "${expdir}/RESULTS.md" || return 0
    side_by_side align_continuations taslm_embed taslm_token
    in_one_job slm_scores "slm_evaluate models" --expdir "${expdir}" \
        --dump_dir "${raw}" --test_sets "${test_sets}" --pair_sets "${pair_sets}" \
        --prompt_sets "${prompts[*]}" \
        --recognizer "${recognizer}" --ngpu "${infer_gpu}"
    write_results
    finish
}

stage_14_pack() {
    local -a models=(--expdir "${expdir}" --taste_exp "${taste_exp}"
        --taste_model_file "${taste_exp}/${inference_model}"
        --lang "${lang}" --license "${weights_license}" --seed "${seed}"
        --inference_config "${inference_config}"
        "${resynthesis_options[@]/#--config/--resynthesis_config}")
    begin pack --after results --files "${inference_config}" "${resynthesis_options[@]:1}" \
        --values "${inference_model}" "${lang}" "${weights_license}" \
        --outputs "${expdir}"/packed/{taste,taslm}.zip || return 0
    "${python}" -m espnet2_taste.bin.pack taste "${models[@]}" \
        --outpath "${expdir}/packed/taste.zip"
    "${python}" -m espnet2_taste.bin.pack taslm "${models[@]}" \
        --taslm_exp "${expdir}/taslm_embed" \
        --taslm_model_file "${expdir}/taslm_embed/${inference_model}" \
        --outpath "${expdir}/packed/taslm.zip"
    copy_sample "${raw}/${eval_sets[0]}"
    finish
}

copy_sample() {  # <set>: its first utterance and what is said in it, to be tried
    local name wav
    [ -s "$1/wav.scp" ] || return 0
    read -r name wav <"$1/wav.scp"
    if [ -f "${wav}" ]; then cp "${wav}" "${expdir}/packed/sample.${wav##*.}"; else
        "${python}" -c "import sys; from espnet2_taste.data.audio import *
write_audio(sys.argv[2], *read_audio(sys.argv[1]))" "${wav}" "${expdir}/packed/sample.wav"
    fi
    sed -n "s/^${name} //p" "$1/text" >"${expdir}/packed/sample.txt"
}

stage_15_upload() {  # the token is that of `hf auth login` or of HF_TOKEN
    if [ "${skip_upload_hf}" = true ]; then
        log "Nothing is uploaded: give --skip_upload_hf false --hf_repo user/name"
        return 0
    fi
    [ -n "${hf_repo}" ] || die "--skip_upload_hf false needs --hf_repo user/name"
    need "${expdir}"/packed/{taste,taslm}.zip
    "${python}" -m espnet2_taste.bin.exports hub --archive "${expdir}/packed/taste.zip" \
        --hf_repo "${hf_repo}"
    "${python}" -m espnet2_taste.bin.exports hub --archive "${expdir}/packed/taslm.zip" \
        --hf_repo "${hf_repo}_taslm"
}
