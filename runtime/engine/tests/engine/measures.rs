//! What the engine tells whoever takes measures, as Prometheus' recorder has it. Each test's model has a name of its own, for the recorder is the process's.

use std::sync::{Arc, OnceLock};

use futures::{FutureExt, future::join_all};
use hearth_engine::{Engine, EngineOptions, ErrorKind, Graph, HISTOGRAMS};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::{
    client::{context, generate, greedy, start, wait_for},
    toy::{self, Control, REPEATS, kv_bytes, options},
};

fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let builder = HISTOGRAMS.iter().fold(PrometheusBuilder::new(), |builder, (name, buckets)| {
            builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), buckets).unwrap()
        });
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).unwrap();
        handle
    })
}

/// An engine that serves the toy as `name`, and takes measures.
fn measured(name: &str, options: EngineOptions) -> (Engine, Graph, Arc<Control>) {
    recorder();
    let engine = Engine::start(options).unwrap();
    let (model, control) = toy::model(1024, None);
    let graph = engine.add_loaded(name, model, None).unwrap();
    (engine, graph, control)
}

/// The value of a model's series now; `more` are its labels beside the model's name.
fn value(model: &str, name: &str, more: &str) -> f64 {
    let page = recorder().render();
    let series = format!("hearth_{name}{{model_name=\"{model}\"{more}}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}

#[tokio::test]
async fn tokens_times_and_ends_are_counted_at_steps() {
    let (engine, graph, _) = measured("counted", options());
    let prompts = ["one", "three", "seven"];
    let request = |prompt: &str| {
        let mut request = greedy(prompt, 20);
        request["ignore_end"] = true.into();
        request
    };
    join_all(prompts.iter().map(|prompt| async { generate(&graph, &request(prompt)).await })).await;
    wait_for(&engine, |stats| stats.generated_tokens == 60 && stats.blocks_used == 0);
    let of = |name: &str| value("counted", name, "");
    // Each has a token of its own at its beginning.
    assert_eq!(of("prompt_tokens_total"), (3 + 5 + 5 + 3) as f64);
    assert_eq!((of("generation_tokens_total"), of("prefix_cache_queries_total"), of("prefix_cache_hits_total")), (60.0, 16.0, 0.0));
    assert_eq!(value("counted", "request_success_total", ",finished_reason=\"length\""), 3.0);
    assert_eq!(value("counted", "request_success_total", ",finished_reason=\"abort\""), 0.0);
    // The first token of each is one measure, each further one another.
    assert_eq!((of("time_to_first_token_seconds_count"), of("inter_token_latency_seconds_count")), (3.0, 57.0));
    for name in ["e2e_request_latency_seconds", "request_queue_time_seconds", "request_prefill_time_seconds", "request_decode_time_seconds"]
    {
        assert_eq!(of(&format!("{name}_count")), 3.0, "{name}");
    }
    let parts = ["queue", "prefill", "decode"].map(|part| of(&format!("request_{part}_time_seconds_sum")));
    assert!((of("e2e_request_latency_seconds_sum") - parts.iter().sum::<f64>()).abs() < 1e-6);
    assert_eq!((of("request_prompt_tokens_sum"), of("request_generation_tokens_sum")), (16.0, 60.0));
    assert_eq!(of("iteration_sequences_sum"), 60.0, "each token is a sequence's part in a step, the first one its prompt's");
    assert_eq!(of("iteration_tokens_sum"), 16.0 + 57.0);
    assert_eq!(value("counted", "time_to_first_token_seconds_bucket", ",le=\"+Inf\""), 3.0);
    assert_eq!((of("num_requests_running"), of("num_requests_waiting"), of("kv_cache_usage_perc")), (0.0, 0.0, 0.0));
    // The same prompt again finds what of it fills a block.
    let long = "words_and_".repeat(10);
    generate(&graph, &greedy(&long, 1)).await;
    generate(&graph, &greedy(&long, 1)).await;
    wait_for(&engine, |stats| stats.generated_tokens == 62 && stats.blocks_used == 0);
    assert_eq!(of("prefix_cache_hits_total"), 96.0);
    assert_eq!(of("prefix_cache_queries_total"), 16.0 + 202.0);
}

#[tokio::test]
async fn who_is_refused_or_goes_away_is_counted_and_what_is_there_now_is_told() {
    let (engine, graph, control) = measured("refused", EngineOptions { sequences: 1, queue: 1, ..options() });
    control.allow(0);
    let (mut running, mut waiting, mut refused) = (context(&graph), context(&graph), context(&graph));
    assert!(start(&mut running, &greedy("one", 900)).now_or_never().is_none());
    control.wait_for_step();
    assert!(start(&mut waiting, &greedy("two", 900)).now_or_never().is_none());
    let third = greedy("three", 3);
    let mut refusal = Box::pin(start(&mut refused, &third).map(Result::unwrap_err)).fuse();
    assert!((&mut refusal).now_or_never().is_none());
    control.allow(1);
    assert_eq!(refusal.await.kind, ErrorKind::QueueFull);
    assert_eq!(value("refused", "request_refusals_total", ",reason=\"queue_full\""), 1.0);
    assert_eq!(value("refused", "request_refusals_total", ",reason=\"waited_too_long\""), 0.0);
    // What there is is told after a step.
    control.allow(1);
    wait_for(&engine, |stats| stats.running == 1 && stats.waiting == 1);
    assert_eq!((value("refused", "num_requests_running", ""), value("refused", "num_requests_waiting", "")), (1.0, 1.0));
    assert!(value("refused", "kv_cache_usage_perc", "") > 0.0);
    drop((running, waiting));
    control.release();
    wait_for(&engine, |stats| stats.blocks_used == 0 && stats.waiting == 0);
    assert_eq!(value("refused", "request_success_total", ",finished_reason=\"abort\""), 2.0);
    assert_eq!(value("refused", "num_requests_waiting", ""), 0.0);
}

#[tokio::test]
async fn blocks_that_are_taken_are_preemptions() {
    let (engine, graph, _) = measured("short", EngineOptions { kv_bytes: kv_bytes(64), context: 1024, ..options() });
    let prompts: Vec<String> = (0..24).map(|number| format!("{number}_{}", "words_and_".repeat(number * 7 % 30))).collect();
    join_all(prompts.iter().map(|prompt| async { generate(&graph, &greedy(prompt, 200)).await })).await;
    wait_for(&engine, |stats| stats.blocks_used == 0);
    let preemptions = engine.stats().preemptions;
    assert!(preemptions > 0, "{:?}", engine.stats());
    assert_eq!(value("short", "num_preemptions_total", ""), preemptions as f64);
    assert_eq!(
        value("short", "request_success_total", ",finished_reason=\"length\"")
            + value("short", "request_success_total", ",finished_reason=\"stop\""),
        24.0
    );
}

#[tokio::test]
async fn guesses_that_were_right_are_tokens_like_others() {
    let (engine, graph, _) = measured("guessed", EngineOptions { speculation: 6, ..options() });
    generate(&graph, &greedy(&format!("{}_cycle", char::from(REPEATS)), 200)).await;
    wait_for(&engine, |stats| stats.generated_tokens == 200);
    let stats = engine.stats();
    assert!(stats.accepted_tokens > 0);
    assert_eq!(value("guessed", "spec_decode_num_draft_tokens_total", ""), stats.drafted_tokens as f64);
    assert_eq!(value("guessed", "spec_decode_num_accepted_tokens_total", ""), stats.accepted_tokens as f64);
    // Those that came with the first token have no time of their own.
    let measured = value("guessed", "inter_token_latency_seconds_count", "");
    assert!((190.0..=199.0).contains(&measured), "{measured}");
}

#[tokio::test]
async fn loads_are_counted_by_result() {
    recorder();
    let engine = Engine::start(options()).unwrap();
    engine.add_model("never-there", "/nowhere/at/all.gguf".into(), None);
    engine.ready("never-there").await.unwrap_err();
    assert_eq!(value("never-there", "model_loads_total", ",result=\"failed\""), 1.0);
}
