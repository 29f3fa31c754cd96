"""What tests of folders need of Python.

`hugging_face.py folder GGUF OUT DTYPE LAYERS` makes of a model's first layers the folder OUT as Hugging Face has it, in two shards, and its twin OUT.gguf with the same
values: the quantized weights dequantized and rounded to DTYPE (F16 or BF16).
`hugging_face.py tokens TOKENIZER_JSON` answers the texts of standard input (a JSON array) with their tokens by Hugging Face's own library, alone and with begin and end.
"""

import json
import pathlib
import re
import sys


def rounded(values, dtype):
    """The bytes of `values` in `dtype`, and the values that they stand for."""
    if dtype == "F16":
        words = values.astype(numpy.float16)
        return words.tobytes(), words.astype(numpy.float32)
    bits = values.astype(numpy.float32).view(numpy.uint32).astype(numpy.uint64)
    words = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(numpy.uint16)
    return words.tobytes(), (words.astype(numpy.uint32) << 16).view(numpy.float32)


LAYER = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
}
LLAMA = LAYER | {"ffn_norm": "post_attention_layernorm"}
GEMMA = LAYER | {
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def theirs(name, gemma):
    module = name.removesuffix(".weight")
    if layer := re.fullmatch(r"blk\.(\d+)\.(\w+)", module):
        return f"model.layers.{layer[1]}.{(GEMMA if gemma else LLAMA)[layer[2]]}.weight"
    return f"{OUTER[module]}.weight"


def folder(source, out, dtype, layers):
    reader = gguf.GGUFReader(source)
    fields = {key: field for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    value = lambda key: fields[key].contents()
    architecture = value("general.architecture")
    gemma = architecture == "gemma3"
    key = lambda name: value(f"{architecture}.{name}")
    layers = min(int(layers), key("block_count"))
    out = pathlib.Path(out)
    out.mkdir()

    twin = gguf.GGUFWriter(f"{out}.gguf", architecture)
    for name, field in fields.items():
        if name not in ("general.architecture", "general.alignment", f"{architecture}.block_count"):
            twin.add_key_value(name, field.contents(), field.types[0], field.types[-1] if len(field.types) > 1 else None)
    twin.add_block_count(layers)

    tensors = {}
    for tensor in reader.tensors:
        layer = re.match(r"blk\.(\d+)\.", tensor.name)
        if layer and int(layer[1]) >= layers:
            continue
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        vector = values.ndim == 1
        # Gemma's norms are kept without the 1 that the model adds.
        stored, values = rounded(values - 1 if gemma and vector else values, dtype)
        ours = values + numpy.float32(1) if gemma and vector else values
        if vector:
            twin.add_tensor(tensor.name, ours)
        elif dtype == "F16":
            twin.add_tensor(tensor.name, ours.astype(numpy.float16))
        else:
            words = numpy.frombuffer(stored, numpy.uint8).reshape(values.shape[0], -1)
            twin.add_tensor(tensor.name, words, raw_dtype=gguf.GGMLQuantizationType.BF16)
        if not gemma and re.search(r"attn_[qk]\.", tensor.name):
            heads = key("attention.head_count" if "attn_q." in tensor.name else "attention.head_count_kv")
            rows, columns = values.shape
            values = values.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
            stored, _ = rounded(values, dtype)
        tensors[theirs(tensor.name, gemma)] = (values.shape, stored)
    twin.write_header_to_file()
    twin.write_kv_data_to_file()
    twin.write_tensors_to_file()
    twin.close()

    names, index = list(tensors), {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        header, at = {"__metadata__": {"format": "pt"}}, 0
        for name in part:
            shape, stored = tensors[name]
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(stored)]}
            at += len(stored)
        header = json.dumps(header).encode()
        header += b" " * (-len(header) % 8)
        shard = f"model-{number:05}-of-00002.safetensors"
        index |= dict.fromkeys(part, shard)
        with open(out / shard, "wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            for name in part:
                file.write(tensors[name][1])
    write = lambda name, content: (out / name).write_text(json.dumps(content), encoding="utf-8")
    write("model.safetensors.index.json", {"weight_map": index})

    config = {
        "architectures": ["Gemma3ForCausalLM" if gemma else "LlamaForCausalLM"],
        "hidden_size": key("embedding_length"),
        "intermediate_size": key("feed_forward_length"),
        "num_hidden_layers": layers,
        "num_attention_heads": key("attention.head_count"),
        "num_key_value_heads": key("attention.head_count_kv"),
        "rms_norm_eps": key("attention.layer_norm_rms_epsilon"),
        "rope_theta": key("rope.freq_base"),
        "max_position_embeddings": key("context_length"),
        "tie_word_embeddings": "output.weight" not in [tensor.name for tensor in reader.tensors],
        "eos_token_id": value("tokenizer.ggml.eos_token_id"),
    }
    if gemma:
        head = key("attention.key_length")
        config |= {"hidden_activation": "gelu_pytorch_tanh", "head_dim": head, "query_pre_attn_scalar": head}
        config |= {"sliding_window": key("attention.sliding_window"), "rope_local_base_freq": 10000.0}
    write("config.json", config)
    tokens = value("tokenizer.ggml.tokens")
    named = lambda name: tokens[value(f"tokenizer.ggml.{name}_token_id")]
    texts = {"bos_token": named("bos"), "eos_token": named("eos")}
    if "tokenizer.chat_template" in fields:
        texts["chat_template"] = value("tokenizer.chat_template")
    write("tokenizer_config.json", texts)
    write("tokenizer.json", spm(value, tokens) if value("tokenizer.ggml.model") == "llama" else bytelevel(value, tokens))


def added(tokens, types):
    """Control tokens are special, a user's are not."""
    entry = lambda id: {
        "id": id,
        "content": tokens[id],
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": types[id] in (2, 3),
    }
    return [entry(id) for id in range(len(tokens)) if types[id] in (2, 3, 4)]


def bytelevel(value, tokens):
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added(tokens, value("tokenizer.ggml.token_type")),
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, level]},
        "post_processor": None,
        "decoder": level,
        "model": {
            "type": "BPE",
            "vocab": {token: id for id, token in enumerate(tokens)},
            "merges": [merge.split(" ", 1) for merge in value("tokenizer.ggml.merges")],
        },
    }


def spm(value, tokens):
    """SentencePiece's scores as ranked merges, the way transformers makes them of a `tokenizer.model`."""
    types, scores = value("tokenizer.ggml.token_type"), value("tokenizer.ggml.scores")
    ids = {token: id for id, token in enumerate(tokens)}
    merges = []
    for id, token in enumerate(tokens):
        if types[id] in (1, 4):
            splits = [(token[:at], token[at:]) for at in range(1, len(token))]
            known = [(left, right) for left, right in splits if left in ids and right in ids]
            merges += [(scores[id], *pair) for pair in sorted(known, key=lambda pair: (ids[pair[0]], ids[pair[1]]))]
    merges.sort(key=lambda merge: (merge[0], len(merge[1]), len(merge[2])), reverse=True)
    bos = tokens[value("tokenizer.ggml.bos_token_id")]
    sequence = lambda name: {"Sequence": {"id": name, "type_id": 0}}
    begin = {"SpecialToken": {"id": bos, "type_id": 0}}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added(tokens, types),
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [begin, sequence("A")],
            "pair": [begin, sequence("A"), begin, sequence("B")],
            "special_tokens": {bos: {"id": bos, "ids": [ids[bos]], "tokens": [bos]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}],
        },
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": ids,
            "merges": [merge[1:] for merge in merges],
        },
    }


def answer(file):
    tokenizer = tokenizers.Tokenizer.from_file(file)
    texts = json.load(sys.stdin)
    encode = lambda special: [tokenizer.encode(text, add_special_tokens=special).ids for text in texts]
    print(json.dumps({"plain": encode(False), "special": encode(True)}))


if sys.argv[1] == "tokens":
    import tokenizers

    answer(*sys.argv[2:])
else:
    import gguf
    import numpy

    folder(*sys.argv[2:])
