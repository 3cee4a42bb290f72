# Sourced by taslm.sh: stages 1 to 5, from a corpus to words, word times and units.
# shellcheck shell=bash disable=SC2154

in_sets() {  # <folder> <file> <set>...: fills the array in_sets with folder/set/file
    local folder=$1 file=$2 set
    shift 2
    in_sets=()
    for set in "$@"; do
        in_sets+=("${folder}/${set}/${file}")
    done
}

stage_1_data() {
    local -a options outputs=("${sets[@]/#/data/}")
    if [ -n "${data_dir}" ]; then
        begin data --values "${data_dir}" --scope "${sets[@]}" \
            --outputs "${outputs[@]}" || return 0
        "${python}" -m espnet2_taste.bin.data copy --source "${data_dir}" \
            --sets "${sets[*]}" --output_dir data
    else
        read -r -a options <<<"${local_data_opts}"
        begin data --files local/data.sh local/*.py --values "${options[@]}" \
            --scope "${sets[@]}" --outputs "${outputs[@]}" || return 0
        local/data.sh --python "${python}" "${options[@]}"
    fi
    finish
}

stage_2_format() {
    local -a form=("${fs}" "${min_duration}" "${max_duration}")
    [ "${audio_format}" = wav ] || form+=("${audio_format}")
    begin format --after data --values "${form[@]}" \
        --scope "${sets[@]}" --outputs "${sets[@]/#/${raw}/}" \
        --parts "${raw}/parts/format" || return 0
    in_jobs data "${raw}" format "wav.scp segments text utt2spk" "${sets[*]}" \
        "data format" --data_dir "{in}" --output_dir "{out}" --fs "${fs}" \
        --min_duration "${min_duration}" --max_duration "${max_duration}" \
        --audio_format "${audio_format}"
    finish
}

encoder_made_from() {  # fills the array encoder: how `begin` knows the speech encoder
    encoder=(--after asr)
    local file
    [ -n "${given_recognizer}" ] || return 0
    encoder=(--values "${given_recognizer}" --files)
    for file in "${given_recognizer}" "${given_recognizer}"/config.{yaml,json}; do
        [ ! -f "${file}" ] || encoder+=("${file}")
    done
}

token_options() {  # adds the tokens of the speech encoder to options
    local file=${token_dir}/tokens.txt
    options+=(--token_type "$(cat "${token_dir}/token_type")")
    [ ! -f "${file}" ] || options+=(--token_list "${file}")
    [ ! -f "${token_dir}/bpe.model" ] || options+=(--bpemodel "${token_dir}/bpe.model")
    [ ! -f "${token_dir}/tokenizer.json" ] || options+=(--tokenizer_path "${token_dir}")
}

recognize_sets() {  # the recognizer's words, as text_recognized of each set
    [ "${transcripts}" = recognizer ] || return 0
    in_sets "${raw}" text_recognized "${sets[@]}"
    begin recognized --after format "${encoder[@]}" --scope "${sets[@]}" \
        --outputs "${in_sets[@]}" --parts "${raw}/parts/recognized" || return 0
    transcribe "${raw}" "${sets[*]}"
    finish
}

transcribe() {  # <folder> <names of sets in it, one string>
    in_jobs "$1" "$1" "${tag}recognized" "wav.scp" "$2" "recognize transcribe" \
        --dump_dir "{in}" --recognizer "${recognizer}" --ngpu "${infer_gpu}"
}

stage_3_text() {
    local -a options=() encoder=()
    [ -z "${extra_text}" ] || options=(--extra_text "${extra_text}")
    local -a rules=(--normalizer "${normalizer}" --segmenter "${segmenter}"
        --word_space "${word_space}" --max_unknown "${max_unknown}")
    [ "${transcripts}" = corpus ] || rules+=(--transcripts text_recognized)
    [ -z "${non_linguistic_symbols}" ] ||
        rules+=(--non_linguistic_symbols "${non_linguistic_symbols}")
    if [ -n "${given_recognizer}" ]; then
        options+=(--recognizer "${given_recognizer}")
        encoder_made_from
    fi
    recognize_sets
    begin text --after format "${encoder[@]}" --values "${nbpe}" "${lm_vocab_size}" \
        "${extra_text}" "${rules[@]}" \
        --files ${non_linguistic_symbols:+"${non_linguistic_symbols}"} \
        --scope "${sets[@]}" \
        --outputs "${token_dir}" data/lm_tokenizer "${raw}/lm_train" || return 0
    need "${raw}/${train_set}/text"
    in_one_job text prepare_text --dump_dir "${raw}" \
        --train_set "${train_set}" --sets "${sets[*]}" --nbpe "${nbpe}" \
        --token_dir "${token_dir}" --lm_tokenizer_dir data/lm_tokenizer \
        --lm_vocab_size "${lm_vocab_size}" --lm_text_dir "${raw}/lm_train" \
        "${rules[@]}" "${options[@]}"
    in_sets "${raw}" text_raw "${sets[@]}"
    need "${token_dir}/token_type" "${in_sets[@]}"
    finish
}

train_encoder() {  # ESPnet's own ASR task
    local -a data options=(--config "${asr_config}" --seed "${seed}" --cleaner none
        --g2p none)
    local stats=${expdir}/asr_stats
    set_data "speech ${speech_type} ${raw}/SET/wav.scp" "text text ${raw}/SET/text"
    token_options
    begin asr --after text --files "${asr_config}" --values "${seed}" \
        --check espnet2_taste.bin.asr_train "${options[@]}" "${data[@]}" \
        --models "${recognizer}" "${stats}" || return 0
    write_shapes "${stats}" speech
    train_model espnet2_taste.bin.asr_train "${recognizer}" "${options[@]}" "${data[@]}"
    need "${recognizer}/valid.acc.best.pth"
    finish
}

align() {  # <folder> <names of sets in it, one string> <option>...
    in_jobs "$1" "$1" "${tag}align" "wav.scp text" "$2" "recognize align" --dump_dir "{in}" \
        --recognizer "${recognizer}" --times_only "${times_only}" --ngpu "${infer_gpu}" "${@:3}"
}

time_words() {
    local -a outputs
    in_sets "${raw}" ctm_aligned "${timed_sets[@]}"
    outputs=("${in_sets[@]}")
    in_sets "${raw}" word_times.scp "${timed_sets[@]}"
    begin align --after text "${encoder[@]}" --scope "${timed_sets[@]}" \
        --outputs "${outputs[@]}" "${in_sets[@]}" --parts "${raw}/parts/align" || return 0
    align "${raw}" "${timed_sets[*]}"
    finish
}

refine_word_times() {  # with models of letters, trained on the training set
    in_sets "${raw}" word_times_refined.scp "${timed_sets[@]}"
    begin refine --after align --values "${train_set}" --scope "${timed_sets[@]}" \
        --outputs "${in_sets[@]}" "${expdir}/letter_models.npz" \
        --parts "${raw}/parts/refine" || return 0
    in_one_job letters "recognize letters" --dump_dir "${raw}" --sets "${train_set}" \
        --models "${expdir}/letter_models.npz"
    in_jobs "${raw}" "${raw}" refine "wav.scp text word_times" "${timed_sets[*]}" \
        "recognize refine" --dump_dir "{in}" --models "${expdir}/letter_models.npz"
    finish
}

stage_4_encoder() {
    local -a encoder
    [ -n "${given_recognizer}" ] || train_encoder
    encoder_made_from
    time_words
    [ "${refine_times}" = false ] || refine_word_times
}

perturb_speed() {  # ${train_set}_sp, for the unit vocoder; stage 3 has prepared its text
    [ "${vocoder_set}" != "${train_set}" ] || return 0
    begin speed --after text --values "${speed_perturb_factors}" --scope "${train_set}" \
        --outputs "${raw}/${vocoder_set}" --parts "${raw}/parts/speed" || return 0
    in_jobs "${raw}" "${raw}" speed "wav.scp text utt2spk" "${train_set}" "data speed" \
        --dump_dir "{in}" --speed_perturb_factors "${speed_perturb_factors}" --fs "${fs}" \
        --min_duration "${min_duration}" --max_duration "${max_duration}" \
        --audio_format "${audio_format}"
    finish
}

extract_units() {  # <names of sets, one string>
    in_jobs "${raw}" "${raw}" "${tag}units" "wav.scp" "$1" "units extract" --dump_dir "{in}" \
        --units_dir "${expdir}/units" --ngpu "${infer_gpu}"
}

stage_5_units() {
    local table
    local -a encoder
    perturb_speed
    encoder_made_from
    in_sets "${raw}" units "${unit_sets[@]}"
    local -a outputs=("${in_sets[@]}")
    for table in units.scp spembs.scp; do
        in_sets "${raw}" "${table}" "${unit_sets[@]}"
        outputs+=("${in_sets[@]}")
    done
    begin units --after text "${encoder[@]}" --files "${units_config}" \
        --values "${seed}" --scope "${unit_sets[@]}" --outputs "${outputs[@]}" \
        --models "${expdir}/units" --parts "${raw}/parts/units" || return 0
    in_one_job units_fit "units fit" --config "${units_config}" \
        --recognizer "${recognizer}" --data_dir "${raw}/${train_set}" \
        --output_dir "${expdir}/units" --seed "${seed}" --ngpu "${infer_gpu}"
    extract_units "${unit_sets[*]}"
    finish
}
