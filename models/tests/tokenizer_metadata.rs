//! Tokenizers from metadata made for the purpose: flags, special tokens, byte fallback, and files that lie.

mod support;

use hearth_models::{
    gguf::Gguf,
    tokenizer::{Tokenizer, TokenizerError},
};
use support::Builder;

const TOKENS: &[&str] = &["<unk>", "<s>", "</s>", "▁", "a", "b", "▁a", "ab", "<0xC3>", "<0xA9>", "<0x0A>", "<|end|>", "<tool>", "unused"];
/// Unknown, controls, normals, bytes, a control that is marked as a normal token, a user's and an unused one.
const TYPES: &[i32] = &[2, 3, 3, 1, 1, 1, 1, 1, 6, 6, 6, 1, 4, 5];
/// `▁a` is better than `ab`.
const SCORES: &[f32] = &[0.0, 0.0, 0.0, -3.0, -3.0, -3.0, -1.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];

fn types(builder: Builder, types: &[i32]) -> Builder {
    let bytes: Vec<u8> = types.iter().flat_map(|ty| ty.to_le_bytes()).collect();
    builder.array("tokenizer.ggml.token_type", 5, types.len() as u64, &bytes)
}

fn scores(builder: Builder, scores: &[f32]) -> Builder {
    let bytes: Vec<u8> = scores.iter().flat_map(|score| score.to_le_bytes()).collect();
    builder.array("tokenizer.ggml.scores", 6, scores.len() as u64, &bytes)
}

fn flag(builder: Builder, key: &str, on: bool) -> Builder {
    builder.entry(key, 7, &[u8::from(on)])
}

/// A SentencePiece model.
fn small() -> Builder {
    scores(types(Builder::default().str("tokenizer.ggml.model", "llama").strings("tokenizer.ggml.tokens", TOKENS), TYPES), SCORES)
}

fn open(builder: Builder) -> Result<Tokenizer, TokenizerError> {
    let file = builder.build();
    Tokenizer::from_gguf(&Gguf::parse(&file).unwrap())
}

#[test]
fn merges_by_score_and_falls_back_to_bytes() {
    let tokenizer = open(small()).unwrap();
    // A space comes before the text; `▁a` merges before `ab` can.
    assert_eq!(tokenizer.encode("ab", false, false).unwrap(), [6, 5]);
    assert_eq!(tokenizer.encode("bab", false, false).unwrap(), [3, 5, 7]);
    // é has bytes in the vocabulary, ß only its first; what is missing is unknown.
    assert_eq!(tokenizer.encode("é\n", false, false).unwrap(), [3, 8, 9, 10]);
    assert_eq!(tokenizer.encode("ß", false, false).unwrap(), [3, 8, 0]);
    assert_eq!(tokenizer.decode(&[3, 8, 9, 10, 6], false), " é\n a");
    assert_eq!(tokenizer.decode(&[8, 4], false), "\u{fffd}a");
    assert_eq!(tokenizer.token_bytes(8, false), [0xC3]);
    assert!(tokenizer.token_bytes(1_000, true).is_empty());
}

#[test]
fn special_tokens_stand_where_the_flags_say() {
    let tokenizer = open(small()).unwrap();
    assert_eq!(tokenizer.encode("a", true, false).unwrap(), [1, 6]);
    assert_eq!(tokenizer.encode("", true, false).unwrap(), [1]);
    // A user's token always counts, a control token only where it is asked for; after both comes a space again.
    assert_eq!(tokenizer.encode("a<tool>a", false, false).unwrap(), [6, 12, 6]);
    assert_eq!(tokenizer.encode("</s>a<tool>", false, true).unwrap(), [2, 6, 12]);
    assert!(!tokenizer.encode("</s>", false, false).unwrap().contains(&2));
    assert_eq!((tokenizer.decode(&[1, 12, 2], false), tokenizer.decode(&[1, 12, 2], true)), ("<tool>".into(), "<s><tool></s>".into()));
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.vocabulary()), (Some(1), Some(2), TOKENS.len()));
    // `<|end|>` is known by its text.
    assert_eq!((0..20).filter(|token| tokenizer.is_end(*token)).collect::<Vec<_>>(), [2, 11]);

    let bare =
        ["tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_space_prefix"].iter().fold(small(), |builder, key| flag(builder, key, false));
    let tokenizer = open(flag(bare, "tokenizer.ggml.add_eos_token", true)).unwrap();
    assert_eq!(tokenizer.encode("ab", true, false).unwrap(), [7, 2]);
    assert_eq!(tokenizer.encode(" ab", true, false).unwrap(), [6, 5, 2]);
}

#[test]
fn words_say_what_begins_a_text_where_the_file_does_not() {
    let bpe = |pre: &str| {
        let file = Builder::default().str("tokenizer.ggml.model", "gpt2").str("tokenizer.ggml.pre", pre);
        let file = file.strings("tokenizer.ggml.tokens", &["a", "<|endoftext|>"]).strings("tokenizer.ggml.merges", &[]);
        file.u32("tokenizer.ggml.bos_token_id", 1).u32("tokenizer.ggml.eos_token_id", 1)
    };
    let begun = |file: Builder| open(file).unwrap().encode("a", true, false).unwrap() == [1, 0];
    // Llama 3 and Mistral's later models begin with their token; Qwen, Phi 4 and Phi 4 mini with nothing.
    let names = ["llama-bpe", "tekken", "qwen2", "dbrx", "gpt-4o"];
    assert_eq!(names.map(|pre| begun(bpe(pre))), [true, true, false, false, false]);
    for on in [true, false] {
        assert_eq!(names.map(|pre| begun(flag(bpe(pre), "tokenizer.ggml.add_bos_token", on))), [on; 5]);
    }
}

#[test]
fn a_marked_control_token_is_the_text_that_it_was() {
    let tokenizer = open(small()).unwrap();
    let mark = '\u{fdd0}';
    let (written, plain) = ("a</s><tool>", "a<tool>b");
    let encoded = tokenizer.encode_marked(&format!("<s>{}</s>", tokenizer.mark(written, mark)), false, mark).unwrap();
    let text = tokenizer.encode(written, false, false).unwrap();
    assert_eq!(encoded, [&[1][..], &text, &[2]].concat());
    assert!(text.contains(&12), "a user's token counts all the same");
    assert!(matches!(tokenizer.mark(plain, mark), std::borrow::Cow::Borrowed(same) if same == plain));
    assert_eq!(tokenizer.encode_marked(plain, true, mark).unwrap(), tokenizer.encode(plain, true, true).unwrap());
}

#[test]
fn phi_3_swallows_space_after_special_tokens() {
    let tokenizer = open(flag(small().str("general.name", "Phi-3 mini"), "tokenizer.ggml.add_space_prefix", false)).unwrap();
    assert_eq!(tokenizer.encode("</s> \n a<s> a", false, true).unwrap(), [2, 4, 1, 6]);
}

#[test]
fn long_words_take_linear_time() {
    let words = Builder::default()
        .str("tokenizer.ggml.model", "bert")
        .strings("tokenizer.ggml.tokens", &["[UNK]", "▁a", "a", "aaa", "▁b", "[CLS]", "[SEP]"]);
    let ids = [("unknown", 0), ("bos", 5), ("seperator", 6)];
    let tokenizer =
        open(ids.iter().fold(words, |builder, (name, id)| builder.u32(&format!("tokenizer.ggml.{name}_token_id"), *id))).unwrap();
    assert_eq!(tokenizer.encode("AAAA b\u{301} ab?", true, false).unwrap(), [5, 1, 3, 4, 0, 0, 6]);
    assert_eq!(tokenizer.encode(&"a".repeat(3 << 18), false, false).unwrap().len(), (1 << 18) + 2);
}

#[test]
fn metadata_that_lies_is_refused() {
    let refused = |builder: Builder| open(builder).unwrap_err().to_string();
    let model = |name: &str| Builder::default().str("tokenizer.ggml.model", name);
    assert!(refused(Builder::default()).contains("tokenizer.ggml.model"));
    assert!(refused(model("rwkv").strings("tokenizer.ggml.tokens", TOKENS)).contains("unsupported"));
    assert!(refused(model("llama")).contains("tokenizer.ggml.tokens"));
    assert!(refused(model("llama").strings("tokenizer.ggml.tokens", TOKENS)).contains("tokenizer.ggml.scores"));
    assert!(refused(scores(model("llama").strings("tokenizer.ggml.tokens", TOKENS), &SCORES[1..])).contains("13 scores for 14 tokens"));
    assert!(
        refused(types(scores(model("llama").strings("tokenizer.ggml.tokens", TOKENS), SCORES), &TYPES[1..]))
            .contains("13 entries for 14 tokens")
    );
    let bpe = || model("gpt2").strings("tokenizer.ggml.tokens", &["a", "b", "ab"]);
    assert!(refused(bpe()).contains("tokenizer.ggml.merges"));
    assert!(refused(bpe().strings("tokenizer.ggml.merges", &["a b"]).str("tokenizer.ggml.pre", "no-such")).contains("no-such"));
    assert!(refused(model("bert").strings("tokenizer.ggml.tokens", &["a"])).contains("unknown_token_id"));
    // Merges of tokens that do not exist, ids beyond the vocabulary and empty or repeated texts do no harm.
    let merges = ["a b", "x y", "a", "", " ", "ab  b", "b a"];
    let tokenizer = open(
        bpe().strings("tokenizer.ggml.merges", &merges).u32("tokenizer.ggml.eos_token_id", 3).u32("tokenizer.ggml.bos_token_id", u32::MAX),
    )
    .unwrap();
    assert_eq!((tokenizer.encode("abba", true, true).unwrap(), tokenizer.eos(), tokenizer.bos()), (vec![2, 1, 0], None, None));
    let odd = scores(model("llama").strings("tokenizer.ggml.tokens", &["", "a", "a", "", "▁"]), &[f32::NAN; 5]);
    assert_eq!(open(odd).unwrap().encode("aß", false, true).unwrap(), [4, 2, 0, 0]);
    assert!(open(scores(model("llama").strings("tokenizer.ggml.tokens", &[]), &[])).unwrap().encode("a", true, true).unwrap().is_empty());
}
