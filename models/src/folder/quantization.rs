//! Which tensors are quantized as they are loaded, and to what.

use std::{fmt, str::FromStr};

use hearth_kernels::WeightType;

/// How the matrices of a folder are quantized. Vectors stay as they are, and so do the few matrices that are small and matter much: routers of experts and
/// the embeddings of positions and token types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantization {
    /// 8.5 bits a weight: Q8_0.
    Q8_0,
    /// 4.5 bits a weight: Q4_K. The embedding and the output head, which suffer most, become Q8_0; rows that are no multiple of 256 elements become Q5_0.
    Q4K,
}

/// Matrices that are left alone, by a part of their names.
const LEFT: [&str; 3] = ["ffn_gate_inp", "position_embd", "token_types"];

impl Quantization {
    /// The names that it is asked for by.
    pub const NAMES: [&str; 2] = ["q8_0", "q4_k"];

    /// The type that the tensor `name` of `ty` and these dimensions (columns first) becomes.
    pub(super) fn apply(self, name: &str, dimensions: &[u64], ty: WeightType) -> WeightType {
        let [columns, _, ..] = dimensions else { return ty };
        if !name.ends_with(".weight") || LEFT.iter().any(|part| name.contains(part)) {
            return ty;
        }
        let wanted: &[WeightType] = match self {
            Self::Q4K if !matches!(name, "token_embd.weight" | "output.weight") => &[WeightType::Q4K, WeightType::Q5_0],
            _ => &[WeightType::Q8_0],
        };
        wanted.iter().copied().find(|wanted| columns.is_multiple_of(wanted.block_len() as u64)).unwrap_or(ty)
    }

    /// The type that a matrix is meant to become, where its rows allow.
    pub(super) fn wanted(self, name: &str) -> WeightType {
        self.apply(name, &[256, 2], WeightType::F32)
    }
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Q8_0 => "q8_0",
            Self::Q4K => "q4_k",
        })
    }
}

impl FromStr for Quantization {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "q8_0" => Ok(Self::Q8_0),
            "q4_k" => Ok(Self::Q4K),
            other => Err(format!("`{other}` is not known; there are {}", Self::NAMES.join(" and "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_are_quantized_as_their_rows_allow() {
        use WeightType::{BF16, F16, F32, Q4K, Q5_0, Q8_0};
        for (how, name, dimensions, ty) in [
            (Quantization::Q8_0, "blk.0.attn_q.weight", &[64_u64, 64][..], Q8_0),
            (Quantization::Q8_0, "blk.0.attn_q.weight", &[40, 64], BF16),
            (Quantization::Q8_0, "blk.0.attn_q.bias", &[64], BF16),
            (Quantization::Q4K, "blk.0.attn_q.weight", &[512, 64], Q4K),
            (Quantization::Q4K, "blk.0.ffn_up_exps.weight", &[512, 64, 8], Q4K),
            (Quantization::Q4K, "blk.0.attn_q.weight", &[576, 64], Q5_0),
            (Quantization::Q4K, "token_embd.weight", &[512, 64], Q8_0),
            (Quantization::Q4K, "output_norm.weight", &[512], BF16),
            (Quantization::Q4K, "blk.0.ffn_gate_inp.weight", &[512, 8], BF16),
        ] {
            assert_eq!(how.apply(name, dimensions, BF16), ty, "{how} {name} {dimensions:?}");
        }
        assert_eq!(Quantization::Q4K.apply("a.weight", &[1, 1], F16), F16);
        assert_eq!(Quantization::Q8_0.wanted("a.weight"), Q8_0);
        assert_eq!(Quantization::Q4K.apply("a.norm", &[256, 2], F32), F32);
        for name in Quantization::NAMES {
            assert_eq!(name.parse::<Quantization>().unwrap().to_string(), name);
        }
        assert!("q3_k".parse::<Quantization>().unwrap_err().contains("q8_0 and q4_k"));
    }
}
