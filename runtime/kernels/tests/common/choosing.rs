//! The choice of tokens on any device, against plain f64 over a sorted row.

use burn::tensor::{DType, Device, Tensor, TensorData};
use hearth_kernels::{Answer, Ask, Chooser, Mask, Odds, Penalty, Rule};

/// A small generator of reproducible noise (xorshift64*).
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }
}

const GREEDY: Rule = Rule { penalties: Vec::new(), temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, uniform: 0.0, odds: None };

/// The token of `rule` by the book, and how far the draw is from another one, as a share of the sum.
fn reference(rule: &Rule, logits: &[f32]) -> (Option<u32>, f64) {
    let mut row: Vec<(u32, f32)> = logits.iter().copied().enumerate().map(|(token, logit)| (token as u32, logit)).collect();
    for &Penalty { token, plus, divisor, minus } in &rule.penalties {
        let logit = &mut row[token as usize].1;
        *logit += plus;
        *logit = if *logit > 0.0 { *logit / divisor } else { *logit * divisor } - minus;
    }
    row.retain(|(_, logit)| !logit.is_nan());
    let in_order = row.clone();
    row.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap());
    let Some(&(best, highest)) = row.first() else { return (None, 1.0) };
    if rule.temperature == 0.0 {
        return (Some(best), 1.0);
    }
    let weight = |logit: f32, temperature: f32| if logit == highest { 1.0 } else { f64::from((logit - highest) / temperature).exp() };
    let mut margin = 1.0f64;
    if rule.top_k > 0 {
        row.truncate(rule.top_k);
    }
    if rule.top_p < 1.0 {
        let total: f64 = row.iter().map(|(_, logit)| weight(*logit, 1.0)).sum();
        let (mut sum, mut kept) = (0.0, row.len());
        for (place, (_, logit)) in row.iter().enumerate() {
            sum += weight(*logit, 1.0) / total;
            margin = margin.min((sum - f64::from(rule.top_p)).abs());
            if sum >= f64::from(rule.top_p) {
                kept = place + 1;
                break;
            }
        }
        row.truncate(kept);
    }
    if rule.min_p > 0.0 {
        row.retain(|(_, logit)| *logit >= highest + rule.min_p.ln());
    }
    // Where everything is kept, tokens are in their own order.
    if rule.top_k == 0 && rule.top_p >= 1.0 && rule.min_p <= 0.0 {
        row = in_order;
    }
    let total: f64 = row.iter().map(|(_, logit)| weight(*logit, rule.temperature)).sum();
    let mut sum = 0.0;
    let mut drawn = None;
    for (token, logit) in row {
        sum += weight(logit, rule.temperature) / total;
        margin = margin.min((sum - rule.uniform).abs());
        if sum > rule.uniform && drawn.is_none() {
            drawn = Some(token);
        }
    }
    (drawn, margin)
}

fn choose(rows: &[Vec<f32>], asks: Vec<Ask>, device: &Device) -> Vec<Answer> {
    choose_masked(rows, asks, &[], device)
}

fn choose_masked(rows: &[Vec<f32>], asks: Vec<Ask>, masks: &[Mask], device: &Device) -> Vec<Answer> {
    let shape = [rows.len(), rows[0].len()];
    let logits = Tensor::from_data(TensorData::new(rows.concat(), shape), (device, DType::F32));
    Chooser::new(asks, shape[1], device).answer(logits, masks).expect("answers are read")
}

/// Logits as a model's are: a few high ones above many low.
fn row(vocabulary: usize, noise: &mut Noise) -> Vec<f32> {
    let sharpness = 2.0 + 10.0 * noise.uniform();
    (0..vocabulary).map(|_| (sharpness * (noise.uniform() + noise.uniform() + noise.uniform()).powi(2)) as f32 - 20.0).collect()
}

fn rules(vocabulary: usize, noise: &mut Noise) -> Vec<Rule> {
    let drawn = Rule { temperature: 1.0, ..GREEDY };
    let mut rules = vec![
        GREEDY,
        drawn.clone(),
        Rule { temperature: 0.3, ..drawn.clone() },
        Rule { temperature: 3.0, ..drawn.clone() },
        Rule { top_k: 40, ..drawn.clone() },
        Rule { top_k: 1, ..drawn.clone() },
        Rule { top_k: 64, top_p: 0.7, temperature: 1.5, ..drawn.clone() },
        // More than the device's candidates.
        Rule { top_k: 300, ..drawn.clone() },
        Rule { top_p: 0.3, ..drawn.clone() },
        Rule { top_p: 0.95, temperature: 0.8, ..drawn.clone() },
        Rule { top_p: 0.999_9, ..drawn.clone() },
        Rule { min_p: 0.05, ..drawn.clone() },
        Rule { min_p: 1e-6, temperature: 2.0, ..drawn.clone() },
        Rule { top_k: 50, top_p: 0.9, min_p: 0.02, temperature: 0.7, ..drawn },
    ];
    for index in 0..rules.len() {
        let mut tokens: Vec<u32> = (0..30).map(|_| (noise.uniform() * vocabulary as f64) as u32).collect();
        tokens.sort_unstable();
        tokens.dedup();
        let penalties = tokens.into_iter().map(|token| Penalty { token, plus: 1.5, divisor: 1.25, minus: 0.5 }).collect();
        rules.push(Rule { penalties, ..rules[index].clone() });
    }
    rules.iter_mut().for_each(|rule| rule.uniform = noise.uniform());
    rules
}

/// Every kind of rule over vocabularies with tails and of several blocks; all rows of a step together and each alone.
pub(crate) fn rules_choose_as_by_the_book(device: &Device) {
    let mut noise = Noise(0x1234_5678_9abc_def1);
    for vocabulary in [1, 7, 259, 1024, 49_153] {
        let rules = rules(vocabulary, &mut noise);
        let rows: Vec<Vec<f32>> = rules.iter().map(|_| row(vocabulary, &mut noise)).collect();
        let asks: Vec<Ask> = rules.iter().cloned().map(Ask::Token).collect();
        let answers = choose(&rows, asks.clone(), device);
        for (((rule, row), ask), answer) in rules.iter().zip(&rows).zip(asks).zip(answers) {
            let (want, margin) = reference(rule, row);
            // Where f64 and f32 sums may fall on different sides, anything near is right.
            if margin > 1e-5 {
                assert_eq!(answer, Answer::Token(want), "{rule:?} over {vocabulary} tokens");
            }
            assert_eq!(choose(std::slice::from_ref(row), vec![ask], device), [answer], "{rule:?} alone");
        }
    }
}

/// Equals, infinities, and rows that are not numbers.
pub(crate) fn strange_rows_have_a_highest(device: &Device) {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let mut wide = vec![-3.0; 5000];
    (wide[77], wide[4000], wide[1]) = (2.5, 2.5, nan);
    let mut zeros = vec![-1.0; 5000];
    (zeros[4999], zeros[30]) = (0.0, -0.0);
    let cases: [(Vec<f32>, Option<u32>); 8] = [
        (wide, Some(77)),
        (zeros, Some(30)),
        (vec![1.0, 5.0, nan, 5.0], Some(1)),
        (vec![-inf, nan], Some(0)),
        (vec![nan, -inf, -inf], Some(1)),
        (vec![-inf, inf, nan, inf], Some(1)),
        (vec![nan], None),
        (vec![-nan; 2000], None),
    ];
    for (row, want) in cases {
        let sharp = Rule { temperature: 1e-30, ..GREEDY };
        let first = Rule { temperature: 1.0, top_k: 1, ..GREEDY };
        let kept = Rule { temperature: 1.0, top_p: 0.0, min_p: 0.5, ..GREEDY };
        for rule in [GREEDY, sharp, first, kept] {
            let what = format!("{:?}, {rule:?}", &row[..row.len().min(4)]);
            assert_eq!(choose(std::slice::from_ref(&row), vec![Ask::Token(rule)], device), [Answer::Token(want)], "{what}");
        }
    }
}

/// Rows whose logits are wanted come whole, and those that nobody wants not at all.
pub(crate) fn each_row_gets_what_it_asks_for(device: &Device) {
    let mut noise = Noise(99);
    let rows: Vec<Vec<f32>> = (0..4).map(|_| row(2000, &mut noise)).collect();
    let token = reference(&GREEDY, &rows[2]).0;
    let asks = vec![Ask::Logits, Ask::Nothing, Ask::Token(GREEDY), Ask::Logits];
    let want = [Answer::Logits(rows[0].clone()), Answer::Nothing, Answer::Token(token), Answer::Logits(rows[3].clone())];
    assert_eq!(choose(&rows, asks, device), want);
    assert_eq!(choose(&rows[..1], vec![Ask::Logits], device), want[..1]);
    assert_eq!(choose(&rows[..1], vec![Ask::Nothing], device), [Answer::Nothing]);
}

/// Draws at evenly spaced places give each token its share.
pub(crate) fn draws_follow_the_distribution(device: &Device) {
    let probabilities = [0.1f32, 0.4, 0.3, 0.2];
    // Far apart, in blocks of their own.
    let mut row = vec![f32::NEG_INFINITY; 9000];
    for (index, probability) in probabilities.iter().enumerate() {
        row[index * 2600 + 5] = probability.ln() + 3.0;
    }
    let rule = |draw: u32| Rule { temperature: 1.0, uniform: (f64::from(draw) + 0.5) / 100.0, ..GREEDY };
    let answers = choose(&vec![row; 100], (0..100).map(|draw| Ask::Token(rule(draw))).collect(), device);
    for (index, probability) in probabilities.iter().enumerate() {
        let token = Answer::Token(Some((index * 2600 + 5) as u32));
        let count = answers.iter().filter(|answer| **answer == token).count();
        assert_eq!(count, (100.0 * probability).round() as usize, "token {index}");
    }
}

/// Random tokens of each row are allowed, a few or most of them: what is chosen is what the book chooses of a row without the others.
pub(crate) fn masked_tokens_are_never_chosen(device: &Device) {
    let mut noise = Noise(0x00dd_ba11);
    for vocabulary in [1, 31, 259, 1024, 49_153] {
        let rules = rules(vocabulary, &mut noise);
        let rows: Vec<Vec<f32>> = rules.iter().map(|_| row(vocabulary, &mut noise)).collect();
        let asks: Vec<Ask> = rules.iter().cloned().map(Ask::Token).collect();
        let (mut masks, mut left) = (Vec::new(), rows.clone());
        // Every third row has no mask.
        for (row, logits) in left.iter_mut().enumerate().filter(|(row, _)| row % 3 != 0) {
            let share = [0.001, 0.5, 0.99][row % 7 % 3];
            let spared = (noise.uniform() * vocabulary as f64) as usize;
            let mut allowed = vec![0; vocabulary.div_ceil(32)];
            for (token, logit) in logits.iter_mut().enumerate() {
                if noise.uniform() < share || token == spared {
                    allowed[token / 32] |= 1 << (token % 32);
                } else {
                    *logit = f32::NAN;
                }
            }
            // Words that are missing allow nothing.
            allowed.truncate(allowed.iter().rposition(|word| *word != 0).unwrap_or(0) + 1);
            masks.push(Mask { row, allowed });
        }
        let answers = choose_masked(&rows, asks.clone(), &masks, device);
        assert_eq!(answers, choose(&left, asks, device), "a masked token is one without a number");
        for ((rule, row), answer) in rules.iter().zip(&left).zip(answers) {
            let Answer::Token(Some(token)) = answer else { panic!("{answer:?}") };
            assert!(!row[token as usize].is_nan(), "{rule:?} over {vocabulary} tokens chose a masked one");
            let (want, margin) = reference(rule, row);
            assert!(margin <= 1e-5 || want == Some(token), "{rule:?} over {vocabulary} tokens: {token} in place of {want:?}");
        }
    }
    let nothing = Mask { row: 0, allowed: Vec::new() };
    let hot = Rule { temperature: 1.0, top_p: 0.5, ..GREEDY };
    for rule in [GREEDY, hot] {
        assert_eq!(choose_masked(&[vec![1.0; 40]], vec![Ask::Token(rule)], std::slice::from_ref(&nothing), device), [Answer::Token(None)]);
    }
    // The lowest of logits is better than any that is masked.
    let only = Mask { row: 0, allowed: vec![0, 1] };
    let row = [vec![f32::INFINITY; 32], vec![f32::NEG_INFINITY; 8]].concat();
    assert_eq!(choose_masked(&[row], vec![Ask::Token(GREEDY)], &[only], device), [Answer::Token(Some(32))]);
}

/// Log-probabilities are those of the row as it came, whatever a rule or a mask does to it; the likeliest come in order.
pub(crate) fn odds_are_those_of_the_plain_row(device: &Device) {
    let mut noise = Noise(0x0dd5);
    for vocabulary in [1, 5, 259, 49_153] {
        let rows: Vec<Vec<f32>> = (0..6).map(|_| row(vocabulary, &mut noise)).collect();
        let last = vocabulary as u32 - 1;
        let penalties = vec![Penalty { token: last, plus: 90.0, divisor: 1.0, minus: 0.0 }];
        let asks = vec![
            Ask::Token(GREEDY),
            Ask::Token(Rule { odds: Some(0), ..GREEDY }),
            Ask::Odds { token: last, top: 20 },
            Ask::Nothing,
            Ask::Token(Rule { odds: Some(3), penalties, temperature: 0.7, top_k: 2, ..GREEDY }),
            Ask::Token(Rule { odds: Some(Odds::MOST), temperature: 2.0, uniform: 0.999, ..GREEDY }),
        ];
        let mask = Mask { row: 1, allowed: vec![1] };
        let answers = choose_masked(&rows, asks, &[mask], device);
        assert_eq!((&answers[0], &answers[3]), (&Answer::Token(reference(&GREEDY, &rows[0]).0), &Answer::Nothing));
        for (row, most, token) in [(1, 0, Some(0)), (2, 20, Some(last)), (4, 3, Some(last)), (5, Odds::MOST, None)] {
            let Answer::Odds(odds) = &answers[row] else { panic!("{:?}", answers[row]) };
            assert!(token.is_none_or(|token| odds.token == token), "{} in place of {token:?} in row {row}", odds.token);
            let logits = &rows[row];
            let total: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
            let near = |token: u32, logprob: f32| {
                let want = f64::from(logits[token as usize]) - total.ln();
                assert!((f64::from(logprob) - want).abs() < 2e-5, "token {token} of {vocabulary}: {logprob} in place of {want}");
            };
            near(odds.token, odds.logprob);
            odds.top.iter().for_each(|(token, logprob)| near(*token, *logprob));
            let mut order: Vec<u32> = (0..vocabulary as u32).collect();
            order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b)));
            order.truncate(most);
            assert_eq!(odds.top.iter().map(|(token, _)| *token).collect::<Vec<_>>(), order);
        }
    }
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let odds = |row: Vec<f32>, token| choose(&[row], vec![Ask::Odds { token, top: 1 }], device).remove(0);
    assert_eq!(odds(vec![inf, 1.0, 2.0], 0), Answer::Odds(Odds { token: 0, logprob: 0.0, top: vec![(0, 0.0)] }));
    assert_eq!(odds(vec![inf, 1.0, nan], 2), Answer::Odds(Odds { token: 2, logprob: -inf, top: vec![(0, 0.0)] }));
    assert_eq!(odds(vec![nan, nan], 0), Answer::Token(None));
}
