//! BERT once more, in plain f64 loops from its paper's formulas (GELU by its tanh, as llama.cpp has it).

use hearth_models::gguf::Gguf;

/// The embedding of `tokens`, of length 1.
pub fn embedding(gguf: &Gguf<'_>, tokens: &[u32]) -> Vec<f64> {
    let size = |key: &str| gguf.get_u32(&format!("bert.{key}")).unwrap() as usize;
    let tensor = |name: &str| {
        let info = &gguf.tensors[name];
        let mut values = vec![0.0; info.dimensions.iter().product::<u64>() as usize];
        info.ty.dequantize(&gguf.tensor_bytes(info), &mut values);
        values.into_iter().map(f64::from).collect::<Vec<_>>()
    };
    let width = size("embedding_length");
    let eps = f64::from(gguf.get_f32("bert.attention.layer_norm_epsilon").unwrap());
    let norm = |x: &[f64], name: &str| {
        let (weight, bias) = (tensor(&format!("{name}.weight")), tensor(&format!("{name}.bias")));
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64;
        x.iter().zip(weight).zip(bias).map(|((v, w), b)| (v - mean) / (variance + eps).sqrt() * w + b).collect::<Vec<_>>()
    };
    let project = |x: &[f64], name: &str| {
        let (weight, bias) = (tensor(&format!("{name}.weight")), tensor(&format!("{name}.bias")));
        weight.chunks(x.len()).zip(bias).map(|(row, b)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b).collect::<Vec<_>>()
    };
    let add = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x + y).collect::<Vec<_>>();

    let (words, positions, types) = (tensor("token_embd.weight"), tensor("position_embd.weight"), tensor("token_types.weight"));
    let mut rows: Vec<Vec<f64>> = tokens
        .iter()
        .enumerate()
        .map(|(position, &token)| {
            let word = add(&words[token as usize * width..][..width], &positions[position * width..][..width]);
            norm(&add(&word, &types[..width]), "token_embd_norm")
        })
        .collect();
    let (heads, head_dim) = (size("attention.head_count"), width / size("attention.head_count"));
    for layer in 0..size("block_count") {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let all = |part: &str| rows.iter().map(|x| project(x, &name(part))).collect::<Vec<_>>();
        let (queries, keys, values) = (all("attn_q"), all("attn_k"), all("attn_v"));
        for (x, query) in rows.iter_mut().zip(&queries) {
            let mut attended = Vec::new();
            for head in 0..heads {
                let part = head * head_dim..(head + 1) * head_dim;
                let score = |key: &Vec<f64>| query[part.clone()].iter().zip(&key[part.clone()]).map(|(q, k)| q * k).sum::<f64>();
                let weights: Vec<f64> = keys.iter().map(|key| (score(key) / (head_dim as f64).sqrt()).exp()).collect();
                let total: f64 = weights.iter().sum();
                attended.extend(part.map(|i| weights.iter().zip(&values).map(|(weight, value)| weight / total * value[i]).sum::<f64>()));
            }
            *x = norm(&add(x, &project(&attended, &name("attn_output"))), &name("attn_output_norm"));
            let gelu = |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh());
            let hidden: Vec<f64> = project(x, &name("ffn_up")).into_iter().map(gelu).collect();
            *x = norm(&add(x, &project(&hidden, &name("ffn_down"))), &name("layer_output_norm"));
        }
    }
    let pooled: Vec<f64> = match size("pooling_type") {
        1 => (0..width).map(|i| rows.iter().map(|x| x[i]).sum::<f64>() / rows.len() as f64).collect(),
        2 => rows[0].clone(),
        _ => rows[rows.len() - 1].clone(),
    };
    let length = pooled.iter().map(|x| x * x).sum::<f64>().sqrt();
    pooled.into_iter().map(|x| x / length).collect()
}
