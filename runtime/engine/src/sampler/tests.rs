use burn::tensor::{Device, Tensor, TensorData};
use hearth_kernels::{Answer, Ask, Chooser};

use super::*;

impl Sampler {
    /// Chooses the next token after `logits` and takes it.
    fn sample(&mut self, logits: &[f32]) -> Option<u32> {
        let device = Device::flex();
        let chooser = Chooser::new(vec![Ask::Token(self.rule(&[]))], logits.len(), &device);
        let answers = chooser.answer(Tensor::from_data(TensorData::new(logits.to_vec(), [1, logits.len()]), &device), &[]).unwrap();
        let [Answer::Token(token)] = answers[..] else { panic!("a token was asked for, not {answers:?}") };
        token.inspect(|token| self.take(*token))
    }
}

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
        counts[sampler(seeded).sample(logits).unwrap() as usize] += 1.0 / 4000.0;
    }
    counts
}

fn logits_of(probabilities: &[f32]) -> Vec<f32> {
    probabilities.iter().map(|probability| probability.ln() + 3.0).collect()
}

#[test]
fn greedy_takes_the_highest_and_of_equals_the_lowest_id() {
    let mut sampler = sampler(Sampling { temperature: 0.0, ..Sampling::default() });
    assert_eq!(sampler.sample(&[1.0, 5.0, f32::NAN, 5.0]), Some(1));
    assert_eq!(sampler.sample(&[f32::NEG_INFINITY, f32::NAN]), Some(0));
    assert_eq!(sampler.sample(&[f32::NAN]), None);
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
fn the_same_seed_draws_the_same_tokens() {
    let logits = logits_of(&[0.25, 0.25, 0.25, 0.25]);
    let run = |seed| -> Vec<u32> {
        let mut sampler = sampler(Sampling { seed, ..Sampling::default() });
        (0..40).map(|_| sampler.sample(&logits).unwrap()).collect()
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
    assert_eq!(repeat.rule(&[]).penalties, [Penalty { token: 0, plus: 0.0, divisor: 2.0, minus: 0.0 }]);
    assert_eq!(repeat.sample(&[1.5, 1.0, -1.0]), Some(1), "1.5 becomes 0.75");
    assert_eq!(repeat.sample(&[-1.5, -1.0, -2.5]), Some(1), "negative logits are multiplied: -3, -2");
    let mut presence = Sampler::new(Sampling { presence_penalty: 0.6, frequency_penalty: 0.1, ..greedy }, &[0], 0);
    assert_eq!(presence.sample(&[1.5, 1.0]), Some(0));
    assert_eq!(presence.sample(&[1.5, 1.0]), Some(1), "1.5 becomes 0.8");
    presence.take(0);
    let minus: Vec<f32> = presence.rule(&[1, 1]).penalties.iter().map(|penalty| penalty.minus).collect();
    assert_eq!(minus, [0.6 + 0.1 * 2.0, 0.6 + 0.1 * 3.0], "guesses count as if they had been taken");
}

#[test]
fn biases_come_before_the_penalties() {
    let logit_bias = [(0, -100.0), (2, 1.5)].into();
    let mut biased = Sampler::new(Sampling { temperature: 0.0, repeat_penalty: 2.0, logit_bias, ..Sampling::default() }, &[], 0);
    assert_eq!(biased.sample(&[9.0, 1.0, 0.0]), Some(2), "0 becomes 1.5");
    assert_eq!(biased.sample(&[9.0, 1.0, 0.0]), Some(1), "1.5 becomes 0.75");
    assert_eq!(
        biased.rule(&[]).penalties[1..],
        [Penalty { token: 1, plus: 0.0, divisor: 2.0, minus: 0.0 }, Penalty { token: 2, plus: 1.5, divisor: 2.0, minus: 0.0 }]
    );
}

#[test]
fn a_rule_after_guesses_is_the_rule_once_they_are_taken() {
    let settings = Sampling { repeat_penalty: 1.3, frequency_penalty: 0.2, ..Sampling::default() };
    let prompt: Vec<u32> = (0..100).collect();
    let mut sampler = Sampler::new(settings, &prompt, 5);
    let guessed: Vec<u32> = (200..270).collect();
    for taken in 0..guessed.len() {
        let ahead: Vec<Rule> = (taken..guessed.len()).map(|end| sampler.rule(&guessed[taken..end])).collect();
        sampler.take(guessed[taken]);
        let after: Vec<Rule> = (taken + 1..guessed.len()).map(|end| sampler.rule(&guessed[taken + 1..end])).collect();
        assert_eq!(ahead[1..], after);
    }
}

#[test]
fn strange_logits_and_temperatures_still_give_a_token() {
    let mut hot = sampler(Sampling { temperature: 1e-30, ..Sampling::default() });
    assert_eq!(hot.sample(&[1.0, 2.0, 0.0]), Some(1));
    let mut plain = sampler(Sampling { top_p: 0.9, min_p: 0.1, ..Sampling::default() });
    assert_eq!(plain.sample(&[f32::NEG_INFINITY, f32::INFINITY, f32::NAN]), Some(1));
    assert_eq!(plain.sample(&[f32::NAN, f32::NAN]), None);
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
    refused(Sampling { logit_bias: [(7, f32::NAN)].into(), ..Sampling::default() }, "sampling.logit_bias.7");
    refused(Sampling { logit_bias: [(7, 100.5)].into(), ..Sampling::default() }, "give -100 to 100");
    refused(Sampling { logit_bias: (0..1025).map(|token| (token, 1.0)).collect(), ..Sampling::default() }, "at most 1024");
    assert!(Sampling::default().check().is_ok());
}
