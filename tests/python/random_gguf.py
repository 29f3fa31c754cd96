"""Writes small GGUFs of random weights, FOLDER/CASE-TYPE.gguf: `random_gguf.py FOLDER CASE TYPE...`, a case of the table below and types of tensors.

Blocks of quantized types are random bits with scales that give weights a deviation of about 1/sqrt(columns), so that every code, scale and min occurs.
"""

import math
import sys
from dataclasses import dataclass, field, replace

import numpy
from gguf import GGMLQuantizationType as Type, GGUFWriter, RopeScalingType

VOCABULARY, CONTEXT = 512, 512
random = numpy.random.default_rng(7)
BEGINNING = random.bit_generator.state


@dataclass
class Case:
    """A model: what its converter writes about it, with everything made small. The context of its first training, where RoPE is scaled, is a part of `CONTEXT`."""

    architecture: str
    layers: int = 2
    width: int = 256
    feed_forward: int = 512
    heads: int = 4
    kv_heads: int = 2
    head: int = 64
    tied: bool = False
    biases: bool = False
    head_norms: bool = False
    post_norms: bool = False
    fused: bool = False
    # What the norm before attention is about: a large one makes large scores.
    sharpness: float = 1.0
    base: float | None = 10000.0
    # Calls of the writer: method and arguments.
    keys: list = field(default_factory=list)
    # RoPE factors: name of the tensor and values.
    factors: dict = field(default_factory=dict)
    # Each with a feed-forward of its own.
    experts: int = 0


def llama3(head, base, factor, low, high, original):
    """Llama 3's factors: waves longer than original/low are stretched by `factor`, those shorter than original/high are not."""
    waves = 2 * math.pi * base ** (numpy.arange(0, head, 2) / head)
    smooth = numpy.clip((original / waves - low) / (high - low), 0, 1)
    return 1 / ((1 - smooth) / factor + smooth)


def yarn(case):
    keys = [("rope_scaling_type", RopeScalingType.YARN), ("rope_scaling_factor", 4.0), ("rope_scaling_orig_ctx_len", CONTEXT // 4)]
    return replace(case, keys=case.keys + keys)


def longrope(original):
    """Phi 4 mini, its factors about as they are: the fast pairs nearly alone, the slow ones up to 40 times slower. The attention factor is that of 32 times the context."""
    keys = [
        ("rope_dimension_count", 48),
        ("rope_scaling_orig_ctx_len", original),
        ("sliding_window", 262144),
        ("rope_scaling_attn_factors", math.sqrt(1 + math.log(32) / math.log(4096))),
    ]
    factors = {"rope_factors_long": numpy.geomspace(1, 40, 24), "rope_factors_short": numpy.geomspace(1, 2.5, 24)}
    return Case("phi3", fused=True, tied=True, keys=keys, factors=factors)


LLAMA = Case("llama", keys=[("rope_dimension_count", 64)])
QWEN2 = Case("qwen2", tied=True, biases=True, base=1e6)
QWEN3 = Case("qwen3", tied=True, head_norms=True, head=128, base=1e6, keys=[("key_length", 128), ("value_length", 128)])
EXPERTS = [("expert_count", 6), ("expert_used_count", 3), ("expert_feed_forward_length", 256)]
GEMMA2 = Case(
    "gemma2",
    heads=2,
    kv_heads=1,
    head=256,
    tied=True,
    post_norms=True,
    base=None,
    # The window is short, so that it slides.
    keys=[("key_length", 256), ("value_length", 256), ("sliding_window", 16), ("attn_logit_softcapping", 50.0), ("final_logit_softcapping", 30.0)],
)
CASES = {
    "llama": LLAMA,
    "llama3": replace(LLAMA, base=5e5, factors={"rope_freqs": llama3(64, 5e5, 8.0, 1.0, 4.0, CONTEXT // 4)}),
    "llama-linear": replace(LLAMA, keys=LLAMA.keys + [("rope_scaling_type", RopeScalingType.LINEAR), ("rope_scaling_factor", 4.0)]),
    "llama-yarn": yarn(LLAMA),
    "mistral": replace(LLAMA, kv_heads=1, keys=LLAMA.keys + [("sliding_window", 4096)]),
    "qwen2": QWEN2,
    "qwen2-yarn": yarn(QWEN2),
    "qwen3": QWEN3,
    "qwen3-yarn": yarn(QWEN3),
    "qwen3moe": replace(QWEN3, architecture="qwen3moe", tied=False, feed_forward=256, keys=QWEN3.keys + EXPERTS, experts=6),
    "gemma2": GEMMA2,
    # Scores that reach their cap.
    "gemma2-sharp": replace(GEMMA2, sharpness=4.0),
    # Known by its layers; 144 elements of width a head of 128.
    "gemma2-27b": replace(GEMMA2, layers=46, width=288, feed_forward=288, head=128, keys=[("key_length", 128), ("value_length", 128)] + GEMMA2.keys[2:]),
    "gemma3": Case("gemma3", tied=True, head_norms=True, post_norms=True, base=1e6, keys=[("key_length", 64), ("value_length", 64), ("sliding_window", 16)]),
    "phi3": Case(
        "phi3",
        kv_heads=4,
        fused=True,
        keys=[("rope_dimension_count", 64), ("rope_scaling_orig_ctx_len", CONTEXT), ("sliding_window", 20)],
    ),
    "phi3-short": longrope(CONTEXT),
    "phi3-long": longrope(CONTEXT // 4),
}


def f16(values):
    return values.astype(numpy.float16).view(numpy.uint8)


def blocks(count, deviation, *parts):
    """`count` blocks; each part is ("d", factor), an f16 near deviation × factor, or ("bits", n), n random bytes."""
    columns = []
    for kind, value in parts:
        if kind == "d":
            sign = 1 if value > 0 else -1
            columns.append(f16(sign * abs(value) * deviation * random.uniform(0.8, 1.2, (count, 1))))
        else:
            columns.append(random.integers(0, 256, (count, value), dtype=numpy.uint8))
    return numpy.concatenate(columns, axis=1)


def quantized(type, rows, columns):
    """Raw bytes `[rows, bytes of a row]` of a random matrix."""
    deviation = columns**-0.5
    layout = {
        Type.Q4_0: (32, [("d", 1 / 4.6), ("bits", 16)]),
        Type.Q4_1: (32, [("d", 1 / 4.6), ("d", -7.5 / 4.6), ("bits", 16)]),
        Type.Q5_0: (32, [("d", 1 / 9.2), ("bits", 20)]),
        Type.Q5_1: (32, [("d", 1 / 9.2), ("d", -15.5 / 9.2), ("bits", 20)]),
        Type.Q8_0: (32, [("d", 1 / 74), ("bits", 32)]),
        Type.Q2_K: (256, [("bits", 80), ("d", 1 / 9), ("d", 1.5 / 9)]),
        Type.Q3_K: (256, [("bits", 108), ("d", 1 / 42)]),
        Type.Q4_K: (256, [("d", 1 / 150), ("d", 7.5 / 150), ("bits", 140)]),
        Type.Q5_K: (256, [("d", 1 / 300), ("d", 15.5 / 300), ("bits", 172)]),
        Type.Q6_K: (256, [("bits", 208), ("d", 1 / 1370)]),
    }
    block, parts = layout[type]
    return blocks(rows * columns // block, deviation, *parts).reshape(rows, -1)


def add_matrix(writer, type, name, *shape):
    """Adds a random matrix, or a stack of them: columns come last."""
    columns = shape[-1]
    rows = math.prod(shape[:-1])
    if type in (Type.F32, Type.F16, Type.BF16):
        values = random.normal(0, columns**-0.5, shape).astype(numpy.float32)
        if type == Type.F32:
            writer.add_tensor(name, values)
        elif type == Type.F16:
            writer.add_tensor(name, values.astype(numpy.float16))
        else:
            words = (values.view(numpy.uint32) >> 16).astype(numpy.uint16)
            writer.add_tensor(name, words.view(numpy.uint8), raw_dtype=type)
    else:
        writer.add_tensor(name, quantized(type, rows, columns).reshape(*shape[:-1], -1), raw_dtype=type)


def add_experts(writer, type, case, layer):
    """A router that is sure of its choice, so that it chooses alike where activations are rounded otherwise, and the experts."""
    name = lambda part: f"blk.{layer}.{part}.weight"
    router = random.normal(0, 4 * case.width**-0.5, (case.experts, case.width))
    writer.add_tensor(name("ffn_gate_inp"), router.astype(numpy.float32))
    add_matrix(writer, type, name("ffn_gate_exps"), case.experts, case.feed_forward, case.width)
    add_matrix(writer, type, name("ffn_up_exps"), case.experts, case.feed_forward, case.width)
    add_matrix(writer, type, name("ffn_down_exps"), case.experts, case.width, case.feed_forward)


def main(folder, name, *types):
    for type in types:
        random.bit_generator.state = BEGINNING
        write(f"{folder}/{name}-{type}.gguf", CASES[name], Type[type])


def write(out, case, type):
    writer = GGUFWriter(out, case.architecture)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(case.width)
    writer.add_block_count(case.layers)
    writer.add_feed_forward_length(case.feed_forward)
    writer.add_head_count(case.heads)
    writer.add_head_count_kv(case.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    if case.base is not None:
        writer.add_rope_freq_base(case.base)
    for key, *arguments in case.keys:
        getattr(writer, f"add_{key}")(*arguments)

    # The smallest vocabulary that a SentencePiece model may have: specials, all bytes, and pieces that no test types.
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    kinds = [2, 3, 3] + [6] * 256
    while len(pieces) < VOCABULARY:
        pieces.append(f"piece{len(pieces)}")
        kinds.append(1)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(pieces)
    writer.add_token_scores([-float(i) for i in range(VOCABULARY)])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)

    def matrix(name, rows, columns):
        add_matrix(writer, type, name, rows, columns)

    def vector(name, length, center, deviation=0.1):
        writer.add_tensor(name, random.normal(center, deviation, length).astype(numpy.float32))

    wide, narrow = case.heads * case.head, case.kv_heads * case.head
    matrix("token_embd.weight", VOCABULARY, case.width)
    vector("output_norm.weight", case.width, 1)
    if not case.tied:
        matrix("output.weight", VOCABULARY, case.width)
    for name, values in case.factors.items():
        writer.add_tensor(f"{name}.weight", values.astype(numpy.float32))
    for layer in range(case.layers):
        name = lambda part: f"blk.{layer}.{part}.weight"
        vector(name("attn_norm"), case.width, case.sharpness)
        vector(name("ffn_norm"), case.width, 1)
        if case.head_norms:
            vector(name("attn_q_norm"), case.head, 1)
            vector(name("attn_k_norm"), case.head, 1)
        if case.post_norms:
            vector(name("post_attention_norm"), case.width, 1)
            vector(name("post_ffw_norm"), case.width, 1)
        apart = {"attn_q": wide, "attn_k": narrow, "attn_v": narrow, "ffn_gate": case.feed_forward, "ffn_up": case.feed_forward}
        if case.experts:
            apart = {part: rows for part, rows in apart.items() if part.startswith("attn")}
        fused = {"attn_qkv": wide + 2 * narrow, "ffn_up": 2 * case.feed_forward}
        for part, rows in (fused if case.fused else apart).items():
            matrix(name(part), rows, case.width)
            if case.biases and part.startswith("attn"):
                vector(f"blk.{layer}.{part}.bias", rows, 0, 0.3)
        matrix(name("attn_output"), case.width, wide)
        if case.experts:
            add_experts(writer, type, case, layer)
        else:
            matrix(name("ffn_down"), case.width, case.feed_forward)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
