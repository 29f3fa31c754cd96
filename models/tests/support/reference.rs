//! The two architectures once more, one position at a time in plain f64 loops from their papers' formulas: slow, and with nothing in common with the kernels.

use hearth_models::gguf::Gguf;

struct Reference<'a> {
    gguf: &'a Gguf<'a>,
    is_gemma: bool,
}

/// The logits after the last of `tokens`.
pub fn logits(gguf: &Gguf<'_>, tokens: &[u32]) -> Vec<f64> {
    let is_gemma = gguf.get_str("general.architecture").unwrap() == "gemma3";
    Reference { gguf, is_gemma }.logits(tokens)
}

fn product(weight: &[f64], x: &[f64]) -> Vec<f64> {
    weight.chunks(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
}

fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

impl Reference<'_> {
    fn size(&self, key: &str) -> Option<usize> {
        let architecture = self.gguf.get_str("general.architecture").unwrap();
        self.gguf.opt_u32(&format!("{architecture}.{key}")).unwrap().map(|v| v as usize)
    }

    fn float(&self, key: &str) -> Option<f64> {
        let architecture = self.gguf.get_str("general.architecture").unwrap();
        self.gguf.opt_f32(&format!("{architecture}.{key}")).unwrap().map(f64::from)
    }

    fn tensor(&self, name: &str) -> Option<Vec<f64>> {
        let info = self.gguf.tensors.get(name)?;
        let mut values = vec![0.0; info.dimensions.iter().product::<u64>() as usize];
        info.ty.dequantize(&self.gguf.tensor_bytes(info), &mut values);
        Some(values.into_iter().map(f64::from).collect())
    }

    fn norm(&self, x: &[f64], weight: &str) -> Vec<f64> {
        let (weight, eps) = (self.tensor(weight).unwrap(), self.float("attention.layer_norm_rms_epsilon").unwrap());
        let normed = x.chunks(weight.len()).flat_map(|group| {
            let mean = group.iter().map(|v| v * v).sum::<f64>() / group.len() as f64;
            group.iter().zip(&weight).map(|(v, w)| v / (mean + eps).sqrt() * w).collect::<Vec<_>>()
        });
        normed.collect()
    }

    fn project(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let mut y = product(&self.tensor(&format!("{name}.weight")).unwrap(), x);
        if let Some(bias) = self.tensor(&format!("{name}.bias")) {
            add(&mut y, &bias);
        }
        y
    }

    /// A sliding-window layer?
    fn is_local(&self, layer: usize) -> bool {
        let period = self.size("attention.sliding_window_pattern").unwrap_or(6);
        self.size("attention.sliding_window").is_some_and(|window| window > 0) && layer % period + 1 < period
    }

    fn rotate(&self, x: &mut [f64], head_dim: usize, position: usize, layer: usize) {
        let rotated = self.size("rope.dimension_count").unwrap_or(head_dim);
        let (base, scale) = match self.is_local(layer) {
            true => (10_000.0, 1.0),
            false => (self.float("rope.freq_base").unwrap_or(10_000.0), 1.0 / self.float("rope.scaling.factor").unwrap_or(1.0)),
        };
        let factors = self.tensor("rope_freqs.weight");
        for head in x.chunks_mut(head_dim) {
            for i in 0..rotated / 2 {
                let factor = factors.as_ref().map_or(1.0, |f| f[i]);
                let angle = position as f64 * scale * base.powf(-2.0 * i as f64 / rotated as f64) / factor;
                let (a, b) = if self.is_gemma { (i, i + rotated / 2) } else { (2 * i, 2 * i + 1) };
                let (x, y) = (head[a], head[b]);
                (head[a], head[b]) = (x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos());
            }
        }
    }

    fn logits(&self, tokens: &[u32]) -> Vec<f64> {
        let (width, heads) = (self.size("embedding_length").unwrap(), self.size("attention.head_count").unwrap());
        let kv_heads = self.size("attention.head_count_kv").unwrap_or(heads);
        let head_dim = self.size("attention.key_length").unwrap_or(width / heads);
        let embedding = self.tensor("token_embd.weight").unwrap();
        let mut rows: Vec<Vec<f64>> = tokens.iter().map(|&t| embedding[t as usize * width..][..width].to_vec()).collect();
        if self.is_gemma {
            rows.iter_mut().flatten().for_each(|v| *v *= (width as f64).sqrt());
        }
        for layer in 0..self.size("block_count").unwrap() {
            let name = |part: &str| format!("blk.{layer}.{part}");
            let (mut keys, mut values) = (vec![], vec![]);
            for (position, x) in rows.iter_mut().enumerate() {
                let normed = self.norm(x, &name("attn_norm.weight"));
                let (mut q, mut k) = (self.project(&name("attn_q"), &normed), self.project(&name("attn_k"), &normed));
                if self.is_gemma {
                    q = self.norm(&q, &name("attn_q_norm.weight"));
                    k = self.norm(&k, &name("attn_k_norm.weight"));
                }
                self.rotate(&mut q, head_dim, position, layer);
                self.rotate(&mut k, head_dim, position, layer);
                keys.push(k);
                values.push(self.project(&name("attn_v"), &normed));

                let first = match self.size("attention.sliding_window") {
                    Some(window) if self.is_local(layer) => (position + 1).saturating_sub(window),
                    _ => 0,
                };
                let mut attended = vec![];
                for (head, q) in q.chunks(head_dim).enumerate() {
                    let part = head / (heads / kv_heads) * head_dim..(head / (heads / kv_heads) + 1) * head_dim;
                    let score = |k: &Vec<f64>| (product(&k[part.clone()], q)[0] / (head_dim as f64).sqrt()).exp();
                    let scores: Vec<f64> = keys[first..].iter().map(score).collect();
                    let sum: f64 = scores.iter().sum();
                    let mut mix = vec![0.0; head_dim];
                    for (score, v) in scores.iter().zip(&values[first..]) {
                        mix.iter_mut().zip(&v[part.clone()]).for_each(|(m, v)| *m += score / sum * v);
                    }
                    attended.extend(mix);
                }
                let mut y = self.project(&name("attn_output"), &attended);
                if self.is_gemma {
                    y = self.norm(&y, &name("post_attention_norm.weight"));
                }
                add(x, &y);

                let normed = self.norm(x, &name("ffn_norm.weight"));
                let (gate, up) = (self.project(&name("ffn_gate"), &normed), self.project(&name("ffn_up"), &normed));
                let hidden: Vec<f64> = gate.iter().zip(up).map(|(&g, u)| self.activate(g) * u).collect();
                let mut y = self.project(&name("ffn_down"), &hidden);
                if self.is_gemma {
                    y = self.norm(&y, &name("post_ffw_norm.weight"));
                }
                add(x, &y);
            }
        }
        let normed = self.norm(rows.last().unwrap(), "output_norm.weight");
        let logits = product(&self.tensor("output.weight").unwrap_or(embedding), &normed);
        match self.float("final_logit_softcapping") {
            Some(cap) => logits.into_iter().map(|l| (l / cap).tanh() * cap).collect(),
            None => logits,
        }
    }

    fn activate(&self, x: f64) -> f64 {
        match self.is_gemma {
            true => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh()),
            false => x / (1.0 + (-x).exp()),
        }
    }
}
