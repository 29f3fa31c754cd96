//! The split of a text into words before byte-pair encoding, by the name in `tokenizer.ggml.pre`.
//!
//! The patterns are facts of the models, from their `tokenizer.json`. They apply in order, each to the pieces that the one before left: a match is a piece, and so is
//! what lies between two.

use fancy_regex::Regex;

use super::TokenizerError;

/// GPT-2's words.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)";

const DIGIT: &str = r"\p{N}";
const UP_TO_3_DIGITS: &str = r"\p{N}{1,3}";
const LINES: &str = r"[^\n]+|[\n]+";

/// Contractions in either case, as the younger patterns begin or end with them.
macro_rules! contractions {
    () => {
        "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    };
}

/// Llama 3's words, with its groups of digits for another's.
macro_rules! llama3 {
    ($digits:literal) => {
        concat!(contractions!(), r"|[^\r\n\p{L}\p{N}]?\p{L}+|", $digits, r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    };
}

const LLAMA3: &str = llama3!(r"\p{N}{1,3}");
const QWEN2: &str = llama3!(r"\p{N}");
const QWEN35: &str =
    concat!(contractions!(), r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+");
const SEED_CODER: &str = concat!(contractions!(), r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+");
const BAILING: &str =
    r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";

/// Words that keep their case together: letters that are not a-z, then letters that are not A-Z.
macro_rules! by_case {
    ($suffix:expr, $digits:literal) => {
        concat!(
            r"[^\r\n\p{L}\p{N}]?(?:(?=\p{L})[^a-z])*(?:(?=\p{L})[^A-Z])+",
            $suffix,
            r"|[^\r\n\p{L}\p{N}]?(?:(?=\p{L})[^a-z])+(?:(?=\p{L})[^A-Z])*",
            $suffix,
            "|",
            $digits,
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
}

const TEKKEN: &str = by_case!("", r"\p{N}");
const GPT4O: &str = by_case!(concat!(contractions!(), "?"), r"\p{N}{1,3}");

/// DeepSeek's list of cased letters, of an older Unicode than a category would match.
const DEEPSEEK_LETTERS: &str = concat!(
    r"\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}",
    r"\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}",
    r"\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}",
    r"\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}",
    r"\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}",
    r"\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}",
    r"\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}",
    r"\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}",
    r"\x{1E900}-\x{1E943}]+"
);
const DEEPSEEK_MARKS: &str = r"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+";
const DEEPSEEK_CJK: &str = r"[\x{800}-\x{9FA5}\x{AC00}-\x{D7FF}]+";
const DEEPSEEK3_CJK: &str = r"[\x{4E00}-\x{9FA5}\x{3040}-\x{30FF}]+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

/// How a text is split, and what else the model's name implies.
#[derive(Debug)]
pub(super) struct PreTokenizer {
    patterns: Vec<Regex>,
    /// Whether words are spelt in GPT-2's alphabet of bytes; otherwise as they are, their spaces marked.
    pub(super) byte_level: bool,
    /// A word that is a token is that token, whatever the merges say.
    pub(super) whole_words: bool,
    /// The same for runs of newlines only.
    pub(super) whole_newlines: bool,
    /// Whether a text begins with the begin-of-sequence token unless the file says otherwise.
    pub(super) begins: bool,
}

impl PreTokenizer {
    /// Looks `name` up.
    pub(super) fn from_name(name: &str) -> Result<Self, TokenizerError> {
        let patterns: &[&str] = match name {
            "default" => &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
            "gpt-2" | "phi-2" | "jina-es" | "jina-de" | "gigachat" | "jina-v2-es" | "jina-v2-de" | "a.x-4.0" | "mellum" | "modern-bert"
            | "jina-v1-en" | "jina-v2-code" | "roberta-bpe" | "mpt" | "olmo" | "jais" | "trillion" | "granite-docling" | "exaone4" => {
                &[GPT2]
            }
            "starcoder" | "refact" | "command-r" | "smollm" | "codeshell" | "exaone" | "minerva-7b" | "mellum2" => &[DIGIT, GPT2],
            "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0" | "lfm2" | "jina-v5-nano" | "dbrx"
            | "smaug-bpe" | "chatglm-bpe" | "glm4" | "glm5" => &[LLAMA3],
            "qwen2" | "deepseek-r1-qwen" | "kormo" | "f2llmv2" | "megrez" | "stablelm2" | "hunyuan" | "solar-open" | "grok-2" => &[QWEN2],
            "qwen35" => &[QWEN35],
            "laguna" => &[LINES, QWEN2],
            "minicpm5" => &[UP_TO_3_DIGITS, llama3!(r"\p{N}+")],
            "seed-coder" => &[SEED_CODER],
            "bailingmoe" | "bailingmoe2" | "llada-moe" => &[BAILING],
            "tekken" => &[TEKKEN],
            "gpt-4o" | "llama4" | "kanana2" | "talkie" | "minimax-m2" => &[GPT4O],
            "deepseek-llm" => &[r"[\r\n]", DEEPSEEK_LETTERS, DEEPSEEK_MARKS, r"\s+$", DEEPSEEK_CJK, r"\p{N}+"],
            "deepseek-coder" => &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", DEEPSEEK_CJK, DIGIT],
            "deepseek-v3" | "hunyuan-dense" | "joyai-llm" | "hy_v4" => &[UP_TO_3_DIGITS, DEEPSEEK3_CJK, DEEPSEEK3],
            "falcon" => &[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
            "poro-chat" | "bloom" | "gpt3-finnish" => &[BLOOM],
            "viking" => &[BLOOM, DIGIT],
            "gemma4" => &[LINES],
            other => {
                return Err(TokenizerError::Unsupported(format!("no pre-tokenizer is known as `{other}` (metadata `tokenizer.ggml.pre`)")));
            }
        };
        let compile =
            |pattern: &&str| Regex::new(pattern).map_err(|error| TokenizerError::Unsupported(format!("pattern of `{name}`: {error}")));
        let llama3 = matches!(
            name,
            "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0" | "lfm2" | "jina-v5-nano"
        );
        Ok(Self {
            patterns: patterns.iter().map(compile).collect::<Result<_, _>>()?,
            byte_level: name != "gemma4",
            whole_words: llama3 || matches!(name, "tekken" | "glm4" | "glm5" | "minicpm5"),
            whole_newlines: name == "gemma4",
            begins: llama3 || matches!(name, "tekken" | "gemma4"),
        })
    }

    /// The words of `text`, in order and complete.
    pub(super) fn split<'t>(&self, text: &'t str) -> Result<Vec<&'t str>, TokenizerError> {
        let mut pieces = vec![text];
        for pattern in &self.patterns {
            let mut finer = Vec::with_capacity(2 * pieces.len());
            for piece in pieces {
                let mut at = 0;
                for found in pattern.find_iter(piece) {
                    let found = found.map_err(|error| TokenizerError::Encode(format!("the text does not split into words: {error}")))?;
                    finer.extend([&piece[at..found.start()], found.as_str()].into_iter().filter(|part| !part.is_empty()));
                    at = found.end();
                }
                finer.extend(Some(&piece[at..]).filter(|rest| !rest.is_empty()));
            }
            pieces = finer;
        }
        Ok(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_into_words_without_loss() {
        for (name, words) in [
            ("gpt-2", &["I", "'ll", "  ", " pay", " 1234", " €", "\n\n"][..]),
            ("smollm", &["I", "'ll", "  ", " pay", " ", "1", "2", "3", "4", " €", "\n\n"]),
            ("llama-bpe", &["I", "'ll", "  ", " pay", " ", "123", "4", " €\n\n"]),
        ] {
            assert_eq!(PreTokenizer::from_name(name).unwrap().split("I'll   pay 1234 €\n\n").unwrap(), words, "{name}");
        }
        assert!(PreTokenizer::from_name("no-such").is_err());
    }
}
