"""Writes a small BERT of random weights with a WordPiece vocabulary: `random_bert.py POOLING TYPE OUT`, with `mean` or `cls` for POOLING."""

import sys

import numpy
from gguf import GGMLQuantizationType as Type, GGUFWriter, PoolingType
from random_gguf import add_matrix, random

LAYERS, WIDTH, FEED_FORWARD, HEADS, CONTEXT = 2, 256, 512, 4, 128


def vocabulary():
    """Tokens and their types, as a converter writes them: the beginnings of words are marked in place of their continuations."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789.,!?'-")
    words = "the a of and to in is it that was for on are with as his they at be this have from or one had by word but not what all were we".split()
    pieces = ["ing", "ed", "er", "ly", "s", "tion", "ness", "able", "est", "ment"]
    # Letters are single pieces as well.
    texts = list(dict.fromkeys(["▁" + text for text in letters + words] + letters + pieces))
    return specials + texts, [3] * len(specials) + [1] * len(texts)


def main(pooling, type_name, out):
    type = Type[type_name]
    tokens, kinds = vocabulary()
    writer = GGUFWriter(out, "bert")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(PoolingType[pooling.upper()])
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_type_count(2)
    for name in ["pad", "unk", "bos", "sep", "mask"]:
        text = {"bos": "[CLS]"}.get(name, f"[{name.upper()}]")
        getattr(writer, f"add_{name}_token_id")(tokens.index(text))

    def vector(name, length, center):
        writer.add_tensor(name, random.normal(center, 0.1, length).astype(numpy.float32))

    def floats(name, rows):
        writer.add_tensor(name, random.normal(0, 0.5, (rows, WIDTH)).astype(numpy.float32))

    def norm(name):
        vector(f"{name}.weight", WIDTH, 1)
        vector(f"{name}.bias", WIDTH, 0)

    add_matrix(writer, type, "token_embd.weight", len(tokens), WIDTH)
    floats("token_types.weight", 2)
    floats("position_embd.weight", CONTEXT)
    norm("token_embd_norm")
    for layer in range(LAYERS):
        shapes = {"attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH, WIDTH), "attn_v": (WIDTH, WIDTH), "attn_output": (WIDTH, WIDTH)}
        shapes |= {"ffn_up": (FEED_FORWARD, WIDTH), "ffn_down": (WIDTH, FEED_FORWARD)}
        for part, shape in shapes.items():
            add_matrix(writer, type, f"blk.{layer}.{part}.weight", *shape)
            vector(f"blk.{layer}.{part}.bias", shape[0], 0)
        norm(f"blk.{layer}.attn_output_norm")
        norm(f"blk.{layer}.layer_output_norm")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main(*sys.argv[1:])
