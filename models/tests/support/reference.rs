//! The architectures once more, one position at a time in plain f64 loops from their papers' formulas: slow, and with nothing in common with the kernels.

use std::f64::consts::TAU;

use hearth_models::gguf::Gguf;

struct Reference<'a> {
    gguf: &'a Gguf<'a>,
    architecture: &'a str,
    /// The longest context to be served.
    context: usize,
}

/// The logits after the last of `tokens`, of a model that serves contexts of up to `context` tokens.
pub fn logits(gguf: &Gguf<'_>, context: usize, tokens: &[u32]) -> Vec<f64> {
    Reference { gguf, architecture: gguf.get_str("general.architecture").unwrap(), context }.logits(tokens)
}

fn product(weight: &[f64], x: &[f64]) -> Vec<f64> {
    weight.chunks(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
}

fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

impl Reference<'_> {
    fn size(&self, key: &str) -> Option<usize> {
        self.gguf.opt_u32(&format!("{}.{key}", self.architecture)).unwrap().map(|v| v as usize)
    }

    fn float(&self, key: &str) -> Option<f64> {
        self.gguf.opt_f32(&format!("{}.{key}", self.architecture)).unwrap().map(f64::from)
    }

    fn tensor(&self, name: &str) -> Option<Vec<f64>> {
        let info = self.gguf.tensors.get(name)?;
        let mut values = vec![0.0; info.dimensions.iter().product::<u64>() as usize];
        info.ty.dequantize(&self.gguf.tensor_bytes(info), &mut values);
        Some(values.into_iter().map(f64::from).collect())
    }

    fn is_gemma(&self) -> bool {
        self.architecture.starts_with("gemma")
    }

    /// `x` as it is where the file has no such norm.
    fn norm(&self, x: &[f64], weight: &str) -> Vec<f64> {
        let Some(weight) = self.tensor(weight) else { return x.to_vec() };
        let eps = self.float("attention.layer_norm_rms_epsilon").unwrap();
        let normed = x.chunks(weight.len()).flat_map(|group| {
            let mean = group.iter().map(|v| v * v).sum::<f64>() / group.len() as f64;
            group.iter().zip(&weight).map(|(v, w)| v / (mean + eps).sqrt() * w).collect::<Vec<_>>()
        });
        normed.collect()
    }

    /// The product with `<name>.weight`; with some rows of `<fused>.weight` where the file has that.
    fn project(&self, layer: usize, part: &str, fused: &str, rows: std::ops::Range<usize>, x: &[f64]) -> Vec<f64> {
        let tensor = |part: &str, kind: &str| self.tensor(&format!("blk.{layer}.{part}.{kind}"));
        let fused = tensor(fused, "weight").filter(|_| self.architecture == "phi3");
        let weight = fused.map_or_else(|| tensor(part, "weight").unwrap(), |all| all[rows.start * x.len()..rows.end * x.len()].to_vec());
        let mut y = product(&weight, x);
        if let Some(bias) = tensor(part, "bias") {
            add(&mut y, &bias);
        }
        y
    }

    /// A layer's sliding window.
    fn window(&self, layer: usize) -> Option<usize> {
        let period = match self.architecture {
            "llama" => usize::MAX,
            "gemma2" => self.size("attention.sliding_window_pattern").unwrap_or(2),
            "gemma3" => self.size("attention.sliding_window_pattern").unwrap_or(6),
            _ => return None,
        };
        self.size("attention.sliding_window").filter(|&window| window > 0 && layer % period + 1 < period)
    }

    /// Radians that a position turns pair `i` of a head by, and what it is stretched by.
    fn angle(&self, i: usize, rotated: usize, layer: usize) -> (f64, f64) {
        let turn = |base: f64| base.powf(-2.0 * i as f64 / rotated as f64);
        if self.architecture == "gemma3" && self.window(layer).is_some() {
            return (turn(10_000.0), 1.0);
        }
        let base = self.float("rope.freq_base").unwrap_or(10_000.0);
        let original = self.size("rope.scaling.original_context_length").or(self.size("context_length")).unwrap_or(0) as f64;
        let list = if self.context as f64 > original { "rope_factors_long.weight" } else { "rope_factors_short.weight" };
        let factors = self.tensor("rope_freqs.weight").or(self.tensor(list));
        let turn = turn(base) / factors.map_or(1.0, |factors| factors[i]);
        let factor = self.float("rope.scaling.factor").unwrap_or(1.0);
        let magnitude = self.float("rope.scaling.attn_factor").unwrap_or(1.0);
        if self.gguf.opt_str(&format!("{}.rope.scaling.type", self.architecture)).unwrap() != Some("yarn") {
            return (turn / factor, magnitude);
        }
        // The pair of which the wave is as long as a part of the original context.
        let pair = |part: f64| rotated as f64 * (original / part / TAU).ln() / (2.0 * base.ln());
        let (first, last) = (pair(32.0).floor().max(0.0), pair(1.0).ceil());
        let slow = ((i as f64 - first) / (last - first)).clamp(0.0, 1.0);
        (slow * turn / factor + (1.0 - slow) * turn, magnitude * (1.0 + 0.1 * factor.ln()))
    }

    fn rotate(&self, x: &mut [f64], head_dim: usize, position: usize, layer: usize) {
        let rotated = self.size("rope.dimension_count").unwrap_or(head_dim);
        for i in 0..rotated / 2 {
            let (angle, magnitude) = self.angle(i, rotated, layer);
            let (sin, cos) = (position as f64 * angle).sin_cos();
            let (a, b) = if self.architecture == "llama" { (2 * i, 2 * i + 1) } else { (i, i + rotated / 2) };
            for head in x.chunks_mut(head_dim) {
                let (x, y) = (head[a], head[b]);
                (head[a], head[b]) = (magnitude * (x * cos - y * sin), magnitude * (x * sin + y * cos));
            }
        }
    }

    fn logits(&self, tokens: &[u32]) -> Vec<f64> {
        let (width, heads) = (self.size("embedding_length").unwrap(), self.size("attention.head_count").unwrap());
        let kv_heads = self.size("attention.head_count_kv").unwrap_or(heads);
        let head_dim = self.size("attention.key_length").unwrap_or(width / heads);
        let embedding = self.tensor("token_embd.weight").unwrap();
        let mut rows: Vec<Vec<f64>> = tokens.iter().map(|&t| embedding[t as usize * width..][..width].to_vec()).collect();
        if self.is_gemma() {
            rows.iter_mut().flatten().for_each(|v| *v *= (width as f64).sqrt());
        }
        let (wide, narrow, hidden) = (heads * head_dim, kv_heads * head_dim, self.size("feed_forward_length").unwrap());
        let cap = self.float("attn_logit_softcapping");
        for layer in 0..self.size("block_count").unwrap() {
            let name = |part: &str| format!("blk.{layer}.{part}");
            let (mut keys, mut values) = (vec![], vec![]);
            for (position, x) in rows.iter_mut().enumerate() {
                let normed = self.norm(x, &name("attn_norm.weight"));
                let part = |part: &str, rows: std::ops::Range<usize>| self.project(layer, part, "attn_qkv", rows, &normed);
                let mut q = self.norm(&part("attn_q", 0..wide), &name("attn_q_norm.weight"));
                let mut k = self.norm(&part("attn_k", wide..wide + narrow), &name("attn_k_norm.weight"));
                self.rotate(&mut q, head_dim, position, layer);
                self.rotate(&mut k, head_dim, position, layer);
                keys.push(k);
                values.push(part("attn_v", wide + narrow..wide + 2 * narrow));

                let first = self.window(layer).map_or(0, |window| (position + 1).saturating_sub(window));
                let mut attended = vec![];
                for (head, q) in q.chunks(head_dim).enumerate() {
                    let part = head / (heads / kv_heads) * head_dim..(head / (heads / kv_heads) + 1) * head_dim;
                    let score = |k: &Vec<f64>| {
                        let score = product(&k[part.clone()], q)[0] / (head_dim as f64).sqrt();
                        cap.map_or(score, |cap| cap * (score / cap).tanh()).exp()
                    };
                    let scores: Vec<f64> = keys[first..].iter().map(score).collect();
                    let sum: f64 = scores.iter().sum();
                    let mut mix = vec![0.0; head_dim];
                    for (score, v) in scores.iter().zip(&values[first..]) {
                        mix.iter_mut().zip(&v[part.clone()]).for_each(|(m, v)| *m += score / sum * v);
                    }
                    attended.extend(mix);
                }
                let y = self.project(layer, "attn_output", "", 0..0, &attended);
                add(x, &self.norm(&y, &name("post_attention_norm.weight")));

                let normed = self.norm(x, &name("ffn_norm.weight"));
                let y = match self.architecture {
                    "qwen3moe" => self.mixture(layer, &normed),
                    _ => {
                        let gate = self.project(layer, "ffn_gate", "ffn_up", 0..hidden, &normed);
                        let up = self.project(layer, "ffn_up", "ffn_up", hidden..2 * hidden, &normed);
                        let gated: Vec<f64> = gate.iter().zip(up).map(|(&g, u)| self.activate(g) * u).collect();
                        self.project(layer, "ffn_down", "", 0..0, &gated)
                    }
                };
                add(x, &self.norm(&y, &name("post_ffw_norm.weight")));
            }
        }
        let normed = self.norm(rows.last().unwrap(), "output_norm.weight");
        let logits = product(&self.tensor("output.weight").unwrap_or(embedding), &normed);
        match self.float("final_logit_softcapping") {
            Some(cap) => logits.into_iter().map(|l| (l / cap).tanh() * cap).collect(),
            None => logits,
        }
    }

    /// The experts with the highest probabilities, which are made to sum to 1 again.
    fn mixture(&self, layer: usize, x: &[f64]) -> Vec<f64> {
        let tensor = |part: &str| self.tensor(&format!("blk.{layer}.{part}.weight")).unwrap();
        let logits = product(&tensor("ffn_gate_inp"), x);
        let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
        let mut chosen: Vec<(usize, f64)> = logits.iter().map(|logit| logit.exp() / total).enumerate().collect();
        chosen.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        chosen.truncate(self.size("expert_used_count").unwrap());
        let total: f64 = chosen.iter().map(|(_, probability)| probability).sum();
        let mut sum = vec![0.0; x.len()];
        for (expert, probability) in chosen {
            let through = |part: &str, x: &[f64]| {
                let stack = tensor(part);
                product(stack.chunks(stack.len() / logits.len()).nth(expert).unwrap(), x)
            };
            let (gate, up) = (through("ffn_gate_exps", x), through("ffn_up_exps", x));
            let gated: Vec<f64> = gate.iter().zip(up).map(|(&g, u)| self.activate(g) * u).collect();
            sum.iter_mut().zip(through("ffn_down_exps", &gated)).for_each(|(sum, y)| *sum += probability / total * y);
        }
        sum
    }

    fn activate(&self, x: f64) -> f64 {
        match self.is_gemma() {
            true => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh()),
            false => x / (1.0 + (-x).exp()),
        }
    }
}
