# Sourced by taslm.sh: stage 17, audio measures of the renditions, clean and in noise,
# and the exchange of words between two voices.
# shellcheck shell=bash disable=SC2154,SC2034

score_audio() {  # <sets> <output> <options>: what no package or weights serve is left out
    local names=$1 output=$2
    shift 2
    in_jobs "${raw}" "${output}" audio text "${names}" audio_score \
        --taste_exp "${taste_exp}" --expdir "${expdir}" --dump_dir "${raw}" \
        --ids_dir "{in}" --output_dir "{out}" \
        --metric_conf speaker.units_dir="${expdir}/units" "$@"
}

prepare_noisy_sets() {  # copies of the test sets, their words, units and codes
    in_sets "${taste_exp}/codes" codes.scp "${spoken_sets[@]}"
    begin "noisy_codes_${taste}" --after "codes_${taste}" align \
        --values "${noise_snrs}" "${seed}" --scope "${spoken_sets[@]}" --outputs "${in_sets[@]}" \
        --parts "${raw}/parts"/noisy_{align,units} "${taste_exp}/codes/parts/noisy_codes" || return 0
    in_one_job noise "data noise" --dump_dir "${raw}" \
        --sets "${test_sets}" --snr "${noise_snrs}" --seed "${seed}" --fs "${fs}" \
        --audio_format "${audio_format}"
    align "${raw}" "${spoken_sets[*]}"
    extract_units "${spoken_sets[*]}"
    tokenize "${spoken_sets[*]}"
    finish
}

score_noisy() {
    local noise=${taste_exp}/noise
    score_taste "${spoken_sets[*]}" "${noise}/tokenizer" --study tokenizer_in_noise
    score_audio "${spoken_sets[*]}" "${noise}/audio" --study audio_in_noise
    "${python}" -m espnet2_taste.bin.tables noise --dump_dir "${raw}" --output_dir "${noise}" \
        --scores "${taste_exp}/scores/scores.json ${taste_exp}/audio_scores/scores.json ${noise}/tokenizer/scores.json ${noise}/audio/scores.json"
}

swap_voices() {
    [ -n "${voice_swap_sets}" ] || return 0
    begin "swap_voices_${taste}" --after "codes_${taste}" unit_vocoder \
        --files "${resynthesis_options[@]:1}" --values "${seed}" "${voice_swap_sets}" \
        --outputs "${taste_exp}/swap_voices" || return 0
    study_swap swap_voices "${voice_swap_sets}"
    finish
}

stage_17_audio() {
    local -a spoken_sets=()
    local name snr tag=noisy_
    for name in ${test_sets}; do
        for snr in ${noise_snrs}; do spoken_sets+=("${name}_snr${snr}"); done
    done
    prepare_noisy_sets
    resynthesize "${taste}"
    resynthesize unit_vocoder
    swap_voices
    begin "audio_${taste}" --after "taste_score_${taste}" \
        noisy_resynthesis_unit_vocoder "noisy_resynthesis_${taste}" \
        --scope "${spoken_sets[@]}" \
        --outputs "${taste_exp}/audio_scores" "${taste_exp}/noise" || return 0
    score_audio "${test_sets}" "${taste_exp}/audio_scores"
    score_noisy
    write_results
    finish
}
