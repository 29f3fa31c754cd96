//! The vocabulary: texts, scores and attributes of the tokens, and which of them begin and end a text.

use tokenizers::models::bpe::Vocab as Ids;

use super::TokenizerError;
use crate::gguf::Gguf;

/// What a token is. A control token may be unused as well, hence a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes(u8);

impl Attributes {
    pub(super) const NONE: Self = Self(0);
    pub(super) const UNKNOWN: Self = Self(1);
    pub(super) const NORMAL: Self = Self(2);
    pub(super) const CONTROL: Self = Self(4);
    pub(super) const USER_DEFINED: Self = Self(8);
    pub(super) const BYTE: Self = Self(16);
    /// Whitespace before it belongs to it.
    pub(super) const LSTRIP: Self = Self(32);
    /// Whitespace after it belongs to it.
    pub(super) const RSTRIP: Self = Self(64);
    /// Not in a text unless asked for.
    pub(super) const HIDDEN: Self = Self(Self::UNKNOWN.0 | Self::CONTROL.0);
    /// Found in a text before anything else.
    pub(super) const SPECIAL: Self = Self(Self::HIDDEN.0 | Self::USER_DEFINED.0);

    #[cfg(test)]
    pub(super) const SWALLOWS_LEFT: Self = Self(Self::CONTROL.0 | Self::LSTRIP.0);
    #[cfg(test)]
    pub(super) const SWALLOWS_RIGHT: Self = Self(Self::CONTROL.0 | Self::RSTRIP.0);

    pub(super) fn any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }

    fn set(&mut self, flag: Self, on: bool) {
        self.0 = if on { self.0 | flag.0 } else { self.0 & !flag.0 };
    }

    /// From GGUF's `tokenizer.ggml.token_type`. Unused tokens (5) carry nothing.
    fn from_gguf(ty: i32) -> Self {
        match ty {
            1 => Self::NORMAL,
            2 => Self::UNKNOWN,
            3 => Self::CONTROL,
            4 => Self::USER_DEFINED,
            6 => Self::BYTE,
            _ => Self::NONE,
        }
    }
}

/// A token.
#[derive(Debug)]
pub(super) struct Token {
    /// Its text in the vocabulary's own alphabet.
    pub(super) text: String,
    /// What it is.
    pub(super) attributes: Attributes,
}

/// The tokens of a model.
#[derive(Debug)]
pub(super) struct Vocab {
    pub(super) tokens: Vec<Token>,
    pub(super) bos: Option<u32>,
    pub(super) eos: Option<u32>,
    pub(super) unknown: Option<u32>,
    pub(super) separator: Option<u32>,
    /// The tokens that end a generation, sorted.
    pub(super) ends: Vec<u32>,
}

/// The ids that a kind of tokenizer takes for granted where the metadata is silent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DefaultIds {
    pub(super) bos: Option<u32>,
    pub(super) eos: Option<u32>,
    pub(super) unknown: Option<u32>,
    pub(super) separator: Option<u32>,
}

/// Texts of tokens that end a generation, whatever the metadata says: files often name only one of a model's several.
const ENDS: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];

/// Tokens for filling in the middle of a text: key of their id, texts that they are known by, and whether they end a generation.
const INFILL: &[(&str, &[&str], bool)] = &[
    (
        "tokenizer.ggml.fim_pre_token_id",
        &["<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>", "<|prefix|>"],
        false,
    ),
    (
        "tokenizer.ggml.fim_suf_token_id",
        &["<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>", "<|suffix|>"],
        false,
    ),
    (
        "tokenizer.ggml.fim_mid_token_id",
        &["<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>", "<|middle|>"],
        false,
    ),
    ("tokenizer.ggml.fim_pad_token_id", &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"], true),
    ("tokenizer.ggml.fim_rep_token_id", &["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"], true),
    ("tokenizer.ggml.fim_sep_token_id", &["<|file_sep|>"], true),
];

impl Vocab {
    /// Reads the vocabulary; the map from texts to ids goes to the algorithm that needs it.
    pub(super) fn read(gguf: &Gguf<'_>, defaults: DefaultIds) -> Result<(Self, Ids), TokenizerError> {
        let texts = gguf.get_array_str("tokenizer.ggml.tokens")?;
        let types = gguf.opt_array_i32("tokenizer.ggml.token_type")?;
        if let Some(types) = &types
            && types.len() < texts.len()
        {
            return Err(TokenizerError::metadata(
                "tokenizer.ggml.token_type",
                format!("{} entries for {} tokens", types.len(), texts.len()),
            ));
        }
        let mut ids = Ids::with_capacity(texts.len());
        let mut tokens = Vec::with_capacity(texts.len());
        for (id, text) in texts.iter().enumerate() {
            let text = if text.is_empty() { format!("[EMPTY_{id}]") } else { (*text).to_owned() };
            ids.insert(text.clone(), id as u32);
            let attributes = types.as_ref().map_or(Attributes::NORMAL, |types| Attributes::from_gguf(types[id]));
            tokens.push(Token { text, attributes });
        }
        // An id outside the vocabulary counts as not given.
        let id_of = |key: &str, default: Option<u32>| -> Result<Option<u32>, TokenizerError> {
            let valid = |id: &u32| (*id as usize) < tokens.len();
            Ok(gguf.opt_u32(key)?.filter(valid).or(default.filter(valid)))
        };
        let mut vocab = Self {
            bos: id_of("tokenizer.ggml.bos_token_id", defaults.bos)?,
            eos: id_of("tokenizer.ggml.eos_token_id", defaults.eos)?,
            unknown: id_of("tokenizer.ggml.unknown_token_id", defaults.unknown)?,
            // sic: the key is misspelt in the format itself
            separator: id_of("tokenizer.ggml.seperator_token_id", defaults.separator)?,
            ends: Vec::new(),
            tokens: Vec::new(),
        };
        vocab.ends.extend(vocab.eos);
        vocab.ends.extend(id_of("tokenizer.ggml.eot_token_id", None)?);
        vocab.ends.extend(id_of("tokenizer.ggml.eom_token_id", None)?);
        let infill = INFILL.iter().map(|(key, ..)| id_of(key, None)).collect::<Result<Vec<_>, _>>()?;
        vocab.tokens = tokens;
        vocab.find_known_texts(&ids, &infill);
        vocab.set_strips(gguf, &ids)?;
        Ok((vocab, ids))
    }

    /// A vocabulary of `tokens`, with the ids of those that begin and end a text and of further ones that end a generation.
    pub(super) fn of_tokens(tokens: Vec<Token>, bos: Option<u32>, eos: Option<u32>, mut ends: Vec<u32>) -> Self {
        let ids = (0..).zip(&tokens).map(|(id, token)| (token.text.clone(), id)).collect();
        ends.extend(eos);
        let mut vocab = Self { tokens, bos, eos, unknown: None, separator: None, ends };
        vocab.find_known_texts(&ids, &[None; INFILL.len()]);
        vocab
    }

    /// Finds the tokens that are known by their texts: converters often leave them unnamed, or mark them as normal ones.
    fn find_known_texts(&mut self, ids: &Ids, infill: &[Option<u32>]) {
        for ((_, texts, ends), named) in INFILL.iter().zip(infill) {
            let known = named.or_else(|| {
                let found = texts.iter().find_map(|text| ids.get(*text).copied())?;
                self.tokens[found as usize].attributes.set(Attributes::CONTROL, true);
                Some(found)
            });
            if *ends {
                self.ends.extend(known);
            }
        }
        for id in ENDS.iter().filter_map(|text| ids.get(*text).copied()) {
            self.tokens[id as usize].attributes.set(Attributes::CONTROL, true);
            self.ends.push(id);
        }
        // The harmony format's marks stand in the answer's text, where a client may parse them.
        for text in ["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"] {
            if let Some(&id) = ids.get(text) {
                self.tokens[id as usize].attributes = Attributes::USER_DEFINED;
            }
        }
        let ends_with = |vocab: &Self, text: &str| ids.get(text).is_some_and(|id| vocab.ends.contains(id));
        // There `<|end|>` ends a message, and the turn goes on until one of the others.
        let called = ends_with(self, "<|call|>") || ends_with(self, "<|calls|>");
        if called && (ends_with(self, "<|return|>") || ends_with(self, "<|flush|>")) {
            self.release(ids, "<|end|>", Attributes::USER_DEFINED);
        }
        // In these vocabularies `</s>` is a tag of HTML.
        if ends_with(self, "<|tool_response>") || ends_with(self, "<|plamo:eos|>") {
            self.release(ids, "</s>", Attributes::NORMAL);
        }
        self.ends.sort_unstable();
        self.ends.dedup();
    }

    /// Makes a token no end.
    fn release(&mut self, ids: &Ids, text: &str, attributes: Attributes) {
        if let Some(&id) = ids.get(text)
            && self.ends.contains(&id)
        {
            self.ends.retain(|&end| end != id);
            self.tokens[id as usize].attributes = attributes;
        }
    }

    /// Which special tokens swallow the whitespace beside them. GGUF does not say; llama.cpp knows these models by name.
    fn set_strips(&mut self, gguf: &Gguf<'_>, ids: &Ids) -> Result<(), TokenizerError> {
        let name = gguf.opt_str("general.name")?.unwrap_or_default().to_lowercase();
        let pre = gguf.opt_str("tokenizer.ggml.pre")?.unwrap_or_default();
        let architecture = gguf.opt_str("general.architecture")?.unwrap_or_default();
        let tokens = &mut self.tokens;
        let mut set = |text: &str, flag: Attributes, on: bool| {
            if let Some(&id) = ids.get(text) {
                tokens[id as usize].attributes.set(flag, on);
            }
        };
        if ["jina-v2-de", "jina-v2-es", "jina-v2-code"].iter().any(|p| pre.contains(p))
            || ["nomic-bert-moe", "jina-bert-v3"].iter().any(|a| architecture.contains(a))
        {
            set("<mask>", Attributes::LSTRIP, true);
        } else if name.contains("modern-bert") {
            set("[MASK]", Attributes::LSTRIP, true);
        } else if name.contains("phi-3") || name.contains("phi3") {
            set("</s>", Attributes::RSTRIP, true);
            let kept = ["<unk>", "<s>", "<|endoftext|>"];
            for token in tokens.iter_mut().filter(|token| token.attributes.any(Attributes::SPECIAL)) {
                token.attributes.set(Attributes::RSTRIP, !kept.contains(&token.text.as_str()));
            }
        }
        Ok(())
    }
}
