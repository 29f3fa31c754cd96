//! Any bytes: parsing ends, without a panic, and what parses can be read to the end; a tokenizer that can be made of it encodes and decodes.
#![no_main]

use hearth_models::{
    gguf::{Array, Gguf, Value},
    tokenizer::Tokenizer,
};

fn walk(array: Array<'_>) {
    assert_eq!(
        array
            .iter()
            .inspect(|value| if let Value::Array(inner) = value {
                walk(*inner)
            })
            .count(),
        array.len()
    );
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(gguf) = Gguf::parse(bytes) {
        for tensor in gguf.tensors.values() {
            std::hint::black_box(gguf.tensor_bytes(tensor));
        }
        for value in gguf.metadata.values() {
            if let Value::Array(array) = value {
                walk(*array);
            }
        }
        if let Ok(tokenizer) = Tokenizer::from_gguf(&gguf)
            && let Ok(tokens) = tokenizer.encode("Hello, world! é <s>\n", true, true)
        {
            std::hint::black_box(tokenizer.decode(&tokens, true));
        }
    }
});
