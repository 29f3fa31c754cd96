"""Writes a small GGUF of random weights: `random_gguf.py ARCHITECTURE TYPE OUT`.

Blocks of quantized types are random bits with scales that give weights a deviation of about 1/sqrt(columns), so that every code, scale and min occurs.
"""

import math
import sys

import numpy
from gguf import GGMLQuantizationType as Type, GGUFWriter

LAYERS, WIDTH, FEED_FORWARD, HEADS, KV_HEADS, VOCABULARY, CONTEXT = 2, 256, 512, 4, 2, 512, 512
EXPERTS, EXPERTS_USED, EXPERT_FEED_FORWARD = 6, 3, 256
random = numpy.random.default_rng(7)


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


def add_experts(writer, type, layer):
    """A router that is sure of its choice, so that it chooses alike where activations are rounded otherwise, and the experts."""
    name = lambda part: f"blk.{layer}.{part}.weight"
    router = random.normal(0, 4 * WIDTH**-0.5, (EXPERTS, WIDTH))
    writer.add_tensor(name("ffn_gate_inp"), router.astype(numpy.float32))
    add_matrix(writer, type, name("ffn_gate_exps"), EXPERTS, EXPERT_FEED_FORWARD, WIDTH)
    add_matrix(writer, type, name("ffn_up_exps"), EXPERTS, EXPERT_FEED_FORWARD, WIDTH)
    add_matrix(writer, type, name("ffn_down_exps"), EXPERTS, WIDTH, EXPERT_FEED_FORWARD)


def main(architecture, type_name, out):
    type = Type[type_name]
    writer = GGUFWriter(out, architecture)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    head = WIDTH // HEADS
    writer.add_key_length(head)
    writer.add_value_length(head)
    gemma, experts = architecture == "gemma3", architecture == "qwen3moe"
    if experts:
        writer.add_expert_count(EXPERTS)
        writer.add_expert_used_count(EXPERTS_USED)
        writer.add_expert_feed_forward_length(EXPERT_FEED_FORWARD)
    if gemma:
        writer.add_sliding_window(16)
    else:
        writer.add_rope_dimension_count(head)

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

    def norm(name, length):
        writer.add_tensor(name, random.normal(1, 0.1, length).astype(numpy.float32))

    matrix("token_embd.weight", VOCABULARY, WIDTH)
    norm("output_norm.weight", WIDTH)
    if not gemma:
        matrix("output.weight", VOCABULARY, WIDTH)
    for layer in range(LAYERS):
        name = lambda part: f"blk.{layer}.{part}.weight"
        norm(name("attn_norm"), WIDTH)
        norm(name("ffn_norm"), WIDTH)
        if gemma or experts:
            norm(name("attn_q_norm"), head)
            norm(name("attn_k_norm"), head)
        if gemma:
            norm(name("post_attention_norm"), WIDTH)
            norm(name("post_ffw_norm"), WIDTH)
        matrix(name("attn_q"), HEADS * head, WIDTH)
        matrix(name("attn_k"), KV_HEADS * head, WIDTH)
        matrix(name("attn_v"), KV_HEADS * head, WIDTH)
        matrix(name("attn_output"), WIDTH, HEADS * head)
        if experts:
            add_experts(writer, type, layer)
            continue
        matrix(name("ffn_gate"), FEED_FORWARD, WIDTH)
        matrix(name("ffn_up"), FEED_FORWARD, WIDTH)
        matrix(name("ffn_down"), WIDTH, FEED_FORWARD)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
