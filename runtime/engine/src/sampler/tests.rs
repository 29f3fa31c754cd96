use super::*;

fn sampler(sampling: Sampling) -> Sampler {
    Sampler::new(sampling, &[], 7)
}

/// How often each of the tokens is drawn in 4,000 draws.
fn shares(sampling: Sampling, logits: &[f32]) -> Vec<f64> {
    let mut random = SplitMix64::new(99);
    let mut counts = vec![0.0; logits.len()];
    for _ in 0..4000 {
        // A new sampler each time, so that penalties have nothing to count.
        let seeded = Sampling { seed: Some(random.next()), ..sampling.clone() };
        counts[sampler(seeded).sample(&mut logits.to_vec()).unwrap() as usize] += 1.0 / 4000.0;
    }
    counts
}

fn logits_of(probabilities: &[f32]) -> Vec<f32> {
    probabilities.iter().map(|probability| probability.ln() + 3.0).collect()
}

#[test]
fn greedy_takes_the_highest_and_of_equals_the_lowest_id() {
    let mut sampler = sampler(Sampling { temperature: 0.0, ..Sampling::default() });
    assert_eq!(sampler.sample(&mut [1.0, 5.0, f32::NAN, 5.0]), Some(1));
    assert_eq!(sampler.sample(&mut [f32::NEG_INFINITY, f32::NAN]), Some(0));
    assert_eq!(sampler.sample(&mut [f32::NAN]), None);
}

#[test]
fn draws_follow_the_distribution_and_temperature_sharpens_it() {
    let logits = logits_of(&[0.2, 0.5, 0.3]);
    let plain = shares(Sampling::default(), &logits);
    for (share, expected) in plain.iter().zip([0.2, 0.5, 0.3]) {
        assert!((share - expected).abs() < 0.04, "{plain:?}");
    }
    let sharp = shares(Sampling { temperature: 0.5, ..Sampling::default() }, &logits);
    for (share, expected) in sharp.iter().zip([0.04 / 0.38, 0.25 / 0.38, 0.09 / 0.38]) {
        assert!((share - expected).abs() < 0.04, "{sharp:?}");
    }
}

#[test]
fn each_filter_cuts_where_it_says() {
    let logits = logits_of(&[0.1, 0.4, 0.3, 0.2]);
    let drawn = |sampling: Sampling| -> Vec<usize> {
        shares(sampling, &logits).iter().enumerate().filter(|(_, share)| **share > 0.0).map(|(token, _)| token).collect()
    };
    assert_eq!(drawn(Sampling::default()), [0, 1, 2, 3]);
    assert_eq!(drawn(Sampling { top_k: 2, ..Sampling::default() }), [1, 2]);
    assert_eq!(drawn(Sampling { top_p: 0.6, ..Sampling::default() }), [1, 2], "the token that reaches it is kept");
    assert_eq!(drawn(Sampling { top_p: 0.0, ..Sampling::default() }), [1]);
    assert_eq!(drawn(Sampling { min_p: 0.45, ..Sampling::default() }), [1, 2, 3]);
    // Top-k comes before top-p: of the two left, the first has 4/7.
    assert_eq!(drawn(Sampling { top_k: 2, top_p: 0.5, ..Sampling::default() }), [1]);
    // The filters come before the temperature: it does not widen them.
    assert_eq!(drawn(Sampling { top_p: 0.6, temperature: 5.0, ..Sampling::default() }), [1, 2]);
}

#[test]
fn top_p_over_a_wide_vocabulary_keeps_what_a_full_sort_keeps() {
    let mut random = SplitMix64::new(3);
    let candidates: Vec<Candidate> = (0..5000).map(|token| (token, random.uniform() as f32 * 2.0)).collect();
    for top_p in [0.001, 0.1, 0.5, 0.95] {
        let mut sorted = candidates.clone();
        sorted.sort_by(by_logit);
        let total: f64 = sorted.iter().map(|(_, logit)| f64::from(*logit).exp()).sum();
        let mut sum = 0.0;
        let count = 1 + sorted
            .iter()
            .take_while(|(_, logit)| {
                sum += f64::from(*logit).exp();
                sum < f64::from(top_p) * total
            })
            .count();
        let mut kept = candidates.clone();
        keep_probable(&mut kept, top_p);
        assert_eq!(kept, sorted[..count], "top_p {top_p}");
    }
}

#[test]
fn the_same_seed_draws_the_same_tokens() {
    let logits = logits_of(&[0.25, 0.25, 0.25, 0.25]);
    let run = |seed| -> Vec<u32> {
        let mut sampler = sampler(Sampling { seed, ..Sampling::default() });
        (0..40).map(|_| sampler.sample(&mut logits.clone()).unwrap()).collect()
    };
    assert_eq!(run(Some(42)), run(Some(42)));
    assert_ne!(run(Some(42)), run(Some(43)));
    assert_eq!(run(None), run(Some(7)), "without a seed the drawn one counts");
}

#[test]
fn penalties_count_what_they_should() {
    let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
    // The repeat penalty sees the prompt, the other two only what was generated.
    let mut repeat = Sampler::new(Sampling { repeat_penalty: 2.0, ..greedy.clone() }, &[0], 0);
    let mut logits = [1.5, 1.0, -1.0];
    assert_eq!(repeat.sample(&mut logits), Some(1));
    assert_eq!(logits[0], 0.75);
    let mut presence = Sampler::new(Sampling { presence_penalty: 0.6, frequency_penalty: 0.1, ..greedy }, &[0], 0);
    assert_eq!(presence.sample(&mut [1.5, 1.0]), Some(0));
    let mut logits = [1.5, 1.0];
    assert_eq!(presence.sample(&mut logits), Some(1));
    assert!((logits[0] - 0.8).abs() < 1e-6);
    let mut logits = [1.5, 1.0];
    presence.counts.insert(0, 3);
    presence.sample(&mut logits);
    assert!((logits[0] - 0.6).abs() < 1e-6);
}

#[test]
fn strange_logits_and_temperatures_still_give_a_token() {
    let mut hot = sampler(Sampling { temperature: 1e-30, ..Sampling::default() });
    assert_eq!(hot.sample(&mut [1.0, 2.0, 0.0]), Some(1));
    let mut plain = sampler(Sampling { top_p: 0.9, min_p: 0.1, ..Sampling::default() });
    assert_eq!(plain.sample(&mut [f32::NEG_INFINITY, f32::INFINITY, f32::NAN]), Some(1));
    assert_eq!(plain.sample(&mut [f32::NAN, f32::NAN]), None);
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let refused = |sampling: Sampling, name: &str| assert!(sampling.check().unwrap_err().message.contains(name));
    refused(Sampling { temperature: -1.0, ..Sampling::default() }, "sampling.temperature");
    refused(Sampling { temperature: f32::NAN, ..Sampling::default() }, "sampling.temperature");
    refused(Sampling { top_p: 1.5, ..Sampling::default() }, "sampling.top_p");
    refused(Sampling { min_p: -0.1, ..Sampling::default() }, "sampling.min_p");
    refused(Sampling { repeat_penalty: 0.0, ..Sampling::default() }, "sampling.repeat_penalty");
    refused(Sampling { presence_penalty: f32::INFINITY, ..Sampling::default() }, "sampling.presence_penalty");
    assert!(Sampling::default().check().is_ok());
}
