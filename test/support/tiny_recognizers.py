"""Tiny random recognizers of each kind, written as Hugging Face writes trained ones."""

import json

import torch

SPECIAL = ["<|endoftext|>", "<|startoftranscript|>"]
LANGUAGES = ["<|en|>", "<|zh|>", "<|de|>"]  # Whisper lists them in this order
MULTILINGUAL = [*LANGUAGES, "<|translate|>", "<|transcribe|>"]
LAST = ["<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
TIMES = [f"<|{0.02 * step:.2f}|>" for step in range(1501)]
ROOM = (
    7  # rows of the model's table beyond its tokens, as Whisper's ``.en`` models have
)


def write_whisper(path, sentences, multilingual):
    """A Whisper of 16 features; its tokens are bytes and what the sentences offer."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator((" " + line for line in sentences), trainer)
    names = [*SPECIAL, *(MULTILINGUAL if multilingual else []), *LAST]
    core.add_special_tokens([*names, *TIMES])
    end = SPECIAL[0]
    tokenizer = transformers.WhisperTokenizer(
        tokenizer_object=core, unk_token=end, bos_token=end, eos_token=end
    )
    ids = {name: core.token_to_id(name) for name in (*names, TIMES[0])}
    config = transformers.WhisperConfig(
        vocab_size=core.get_vocab_size() + ROOM,
        num_mel_bins=16,
        d_model=16,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=12,
        decoder_ffn_dim=12,
        max_target_positions=64,
        pad_token_id=ids[end],
        bos_token_id=ids[end],
        eos_token_id=ids[end],
        decoder_start_token_id=ids[SPECIAL[1]],
    )
    torch.manual_seed(0)
    model = transformers.WhisperForConditionalGeneration(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    generation = {
        "is_multilingual": multilingual,
        "no_timestamps_token_id": ids[LAST[-1]],
        "decoder_start_token_id": ids[SPECIAL[1]],
        "prev_sot_token_id": ids[LAST[0]],
        "eos_token_id": ids[end],
        "pad_token_id": ids[end],
        "suppress_tokens": [core.token_to_id(time) for time in TIMES],  # as trained
        "alignment_heads": [[0, 1], [1, 0]],
        "max_length": 24,
    }
    if multilingual:
        generation["lang_to_id"] = {name: ids[name] for name in LANGUAGES}
        tasks = {name: ids[f"<|{name}|>"] for name in ("translate", "transcribe")}
        generation["task_to_id"] = tasks
    model.generation_config = transformers.GenerationConfig(**generation)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    transformers.WhisperFeatureExtractor(feature_size=16).save_pretrained(path)
    return path


CHARACTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETHRDOGS'"]


def write_ctc(path):
    """A HuBERT with a CTC head over upper-case letters."""
    import transformers

    vocabulary = {token: index for index, token in enumerate(CHARACTERS)}
    (path / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(path / "vocab.json"))
    tokenizer.save_pretrained(path)
    config = transformers.HubertConfig(
        vocab_size=len(CHARACTERS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        conv_dim=(8,),
        conv_kernel=(320,),
        conv_stride=(320,),
        num_feat_extract_layers=1,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )
    torch.manual_seed(0)
    model = transformers.HubertForCTC(config)
    torch.nn.init.normal_(model.lm_head.weight, std=1.0)
    model.save_pretrained(path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(path)
    return path
