//! Three instances behind nginx with one Redis, on hosts of their own, are one service: limits and keys are shared, what is kept is found from any, one may be killed and all be
//! started anew under load, and a conversation goes where its beginning is computed already. One of the three is of the wasm shape.

use std::{
    collections::HashSet,
    io::{ErrorKind, Write},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use hearth_tests::{Cluster, cluster_programs, delta, in_network, request_with, skip, stream_with, test_data};
use serde_json::{Value, json};

/// Long enough for anything here on a slow machine.
const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn three_instances_are_one_service() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    if !cluster_programs() {
        return skip("nginx or redis-server is missing");
    }
    in_network("three_instances_are_one_service", |network| {
        let mut cluster = Cluster::start(network, &model);
        let key = create(&cluster, &["load"]);
        encrypted(&cluster);
        keys_and_limits(&cluster);
        kept_is_found_everywhere(&cluster, &key);
        one_is_killed(&mut cluster, &key);
        all_are_started_anew(&mut cluster, &key);
    });
}

#[test]
fn a_conversation_goes_where_its_beginning_is() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    if !cluster_programs() {
        return skip("nginx or redis-server is missing");
    }
    in_network("a_conversation_goes_where_its_beginning_is", |network| {
        let mut cluster = Cluster::start(network, &model);
        let key = create(&cluster, &["talk"]);
        let hashed = talk(&cluster, &key, "hashed");
        cluster.balance(&[("    hash $hearth_place consistent;\n", "")]);
        let in_turn = talk(&cluster, &key, "in turn");
        eprintln!("tokens of prompts that were in a prefix cache: {:.0} % by hash, {:.0} % round robin", hashed * 100.0, in_turn * 100.0);
        assert!(hashed > in_turn + 0.15, "{hashed} of the tokens are found by hash, {in_turn} round robin");
        assert!(hashed > 0.5, "{hashed} of the tokens are found by hash");
    });
}

/// Makes a key; its secret as clients send it.
fn create(cluster: &Cluster, arguments: &[&str]) -> String {
    let made = cluster.keys(&[&["create"], arguments].concat());
    format!("Bearer {}", made["token"].as_str().unwrap_or_else(|| panic!("a key: {made}")))
}

/// nginx ends TLS, with the sample's settings.
fn encrypted(cluster: &Cluster) {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-quiet", "-connect", &cluster.encrypted.to_string()]);
    let mut client = openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("openssl");
    let asked = b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    client.stdin.as_mut().expect("piped").write_all(asked).expect("it is sent");
    let answer = String::from_utf8(client.wait_with_output().expect("an answer").stdout).expect("text");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.to_lowercase().contains("\r\nstrict-transport-security:"), "{answer}");
}

/// A key's rate is one over all instances, and a key that is revoked is no good at any.
fn keys_and_limits(cluster: &Cluster) {
    const LIMIT: usize = 30;
    let limited = create(cluster, &["limited", "--scope", "read", "--requests-per-minute", &LIMIT.to_string()]);
    let minute = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs() / 60;
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        let began = minute();
        let mut answers = [[0; 2]; 3];
        for turn in 0..3 * LIMIT {
            let answer = request_with(cluster.instances[turn % 3].address, "GET", "/v1/models", &[("authorization", &limited)], None)
                .expect("an answer");
            assert!([200, 429].contains(&answer.status), "{}: {}", answer.status, answer.json());
            answers[turn % 3][usize::from(answer.status == 429)] += 1;
        }
        eprintln!("of a key with {LIMIT} requests a minute, granted and refused by each instance: {answers:?}");
        // A minute is the clock's: where another one began meanwhile, there were two times as many. And an instance that waits for Redis in vain, as on a machine that is busy
        // with other things, counts by itself for a moment. Either is over in the next minute; instances that did not share would grant each all of it in every minute.
        if answers == [[LIMIT / 3, 2 * LIMIT / 3]; 3] {
            break;
        }
        assert!(Instant::now() < deadline, "the limit is not one of all instances in any minute");
        wait("the next minute", || minute() != began);
    }
    let lost = cluster.keys(&["create", "lost", "--scope", "read"]);
    let (id, secret) = (lost["id"].as_str().expect("an id"), lost["token"].as_str().expect("a key"));
    let asked = || {
        let ask = |address| request_with(address, "GET", "/v1/models", &[("x-api-key", secret)], None).expect("an answer").status;
        cluster.instances.iter().map(|server| ask(server.address)).collect::<Vec<_>>()
    };
    assert_eq!(asked(), [200; 3]);
    cluster.keys(&["revoke", id]);
    assert_eq!(asked(), [401; 3]);
}

/// What one instance keeps, the others have: conversations, and responses that are gone on with.
fn kept_is_found_everywhere(cluster: &Cluster, key: &str) {
    let fields = [("authorization", key)];
    let ask = |instance: usize, method: &str, path: &str, body: Option<Value>| {
        let body = body.map(|body| body.to_string());
        let answer = request_with(cluster.instances[instance].address, method, path, &fields, body.as_deref().map(str::as_bytes))
            .expect("an answer");
        assert_eq!(answer.status, 200, "{method} {path} at instance {instance}: {}", answer.json());
        answer.json()
    };
    for first in 0..3 {
        let (second, third) = ((first + 1) % 3, (first + 2) % 3);
        let words = format!("Words that instance {first} kept.");
        let made = ask(first, "POST", "/v1/conversations", Some(json!({"items": [{"role": "user", "content": words}]})));
        let path = format!("/v1/conversations/{}", made["id"].as_str().expect("an id"));
        for other in 0..3 {
            assert_eq!(ask(other, "GET", &format!("{path}/items"), None)["data"][0]["content"][0]["text"], words.as_str());
        }
        let input = json!({"input": "Say hello.", "conversation": made["id"], "max_output_tokens": 4, "temperature": 0});
        let response = ask(second, "POST", "/v1/responses", Some(input));
        let items = ask(third, "GET", &format!("{path}/items"), None);
        assert_eq!(items["data"].as_array().map(Vec::len), Some(3), "what was kept, asked and answered: {items}");
        let next = json!({"input": "And again.", "previous_response_id": response["id"], "max_output_tokens": 4, "temperature": 0});
        ask(third, "POST", "/v1/responses", Some(next));
        ask(second, "DELETE", &path, None);
        let gone = request_with(cluster.instances[first].address, "GET", &path, &fields, None).expect("an answer");
        assert_eq!(gone.status, 404, "what another instance deleted");
    }
}

/// Only what the killed instance was answering may fail; whoever asks later is answered by the others, and by itself again once it is back.
fn one_is_killed(cluster: &mut Cluster, key: &str) {
    let victim = 0;
    let load = Load::default();
    let address = cluster.address;
    let killed = thread::scope(|scope| {
        let _stop = Stop(&load.over);
        (0..6).for_each(|client| {
            drop(scope.spawn({
                let load = &load;
                move || load.run(address, key, client)
            }))
        });
        wait("the load has begun", || load.answered.load(Relaxed) > 12);
        wait("the instance computes", || cluster.measure(victim, "hearth_num_requests_running") > 0.0);
        cluster.instances[victim].kill();
        let killed = Instant::now();
        let before = load.answered.load(Relaxed);
        wait("the others go on", || load.answered.load(Relaxed) > before + 24);
        killed
    });
    let failures = load.failures.into_inner().expect("no client panicked");
    eprintln!("one of three instances killed: {} answered, failed {failures:?}", load.answered.load(Relaxed));
    let its = cluster.instances[victim].address.to_string();
    for failure in failures {
        assert!(failure.began <= killed, "{failure:?} began when the instance was gone already");
        let id = failure.id.as_deref().unwrap_or_else(|| panic!("{failure:?} had no answer at all, and so could have been asked again"));
        assert_eq!(cluster.asked(id).last(), Some(&its), "{failure:?} was answered by another instance than that which was killed");
    }
    cluster.instances[victim].start_again();
    cluster.instances[victim].wait();
    asks_again(cluster, victim, key);
}

/// Waits until nginx passes requests on to an instance that has come back.
fn asks_again(cluster: &Cluster, place: usize, key: &str) {
    let its = cluster.instances[place].address.to_string();
    wait("nginx asks the instance again", || {
        let answer = chat(cluster.address, key, None, "Say hello.", false).unwrap_or_else(|failure| panic!("{failure:?}"));
        cluster.asked(&answer.id).last() == Some(&its)
    });
}

/// Each instance in its turn is ended by SIGTERM and started again, and nobody notices.
fn all_are_started_anew(cluster: &mut Cluster, key: &str) {
    let load = Load::default();
    let address = cluster.address;
    thread::scope(|scope| {
        let _stop = Stop(&load.over);
        (0..6).for_each(|client| {
            drop(scope.spawn({
                let load = &load;
                move || load.run(address, key, client)
            }))
        });
        for place in 0..cluster.instances.len() {
            let before = load.answered.load(Relaxed);
            wait("the load goes on", || load.answered.load(Relaxed) > before + 12);
            let server = &mut cluster.instances[place];
            server.end();
            server.start_again();
            server.wait();
            // nginx leaves one alone for some seconds that took no connection; the next goes when this one is back for it as well.
            asks_again(cluster, place, key);
        }
        let before = load.answered.load(Relaxed);
        wait("the load goes on", || load.answered.load(Relaxed) > before + 12);
    });
    let failures = load.failures.into_inner().expect("no client panicked");
    eprintln!("all instances started anew, one after another: {} answered, failed {failures:?}", load.answered.load(Relaxed));
    assert!(failures.is_empty(), "{failures:?}");
}

/// Clients that ask through nginx, one request after another.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    answered: AtomicUsize,
    failures: Mutex<Vec<Failure>>,
}

/// A request without a whole answer.
#[derive(Debug)]
#[allow(dead_code, reason = "what is not asserted is shown")]
struct Failure {
    began: Instant,
    /// Its id, where the head of an answer had come.
    id: Option<String>,
    why: String,
}

struct Answer {
    text: String,
    id: String,
}

impl Load {
    /// Streams, whole answers, and a conversation that is kept and found, in turn.
    fn run(&self, address: SocketAddr, key: &str, client: usize) {
        for turn in client.. {
            if self.over.load(Relaxed) {
                return;
            }
            let question = format!("Tell me {} facts about the number {client}.", turn % 7 + 1);
            let session = format!("{client}-{}", turn / 5);
            let done = match turn % 4 {
                0 | 1 => chat(address, key, Some(&session), &question, true).map(drop),
                2 => chat(address, key, None, &question, false).map(drop),
                _ => keep(address, key, &question),
            };
            match done {
                Ok(()) => drop(self.answered.fetch_add(1, Relaxed)),
                Err(failure) => self.failures.lock().expect("no client panicked").push(failure),
            }
        }
    }
}

/// Ends a load, also where the test fails meanwhile.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Asks for a chat through nginx and reads the answer to its end.
fn chat(address: SocketAddr, key: &str, session: Option<&str>, question: &str, streamed: bool) -> Result<Answer, Failure> {
    let messages = json!([{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": question}]);
    ask(address, key, session, &messages, streamed)
}

fn ask(address: SocketAddr, key: &str, session: Option<&str>, messages: &Value, streamed: bool) -> Result<Answer, Failure> {
    let body = json!({"messages": messages, "stream": streamed, "max_tokens": 16, "temperature": 0});
    let mut fields = vec![("authorization", key)];
    fields.extend(session.map(|session| ("x-session-affinity", session)));
    let began = Instant::now();
    let fail = |id: Option<&str>, why: String| Failure { began, id: id.map(str::to_owned), why };
    let id_of = |headers: &[(String, String)]| {
        headers.iter().find(|(name, _)| name == "x-request-id").map(|(_, id)| id.clone()).unwrap_or_default()
    };
    if !streamed {
        let answer = request_with(address, "POST", "/v1/chat/completions", &fields, Some(body.to_string().as_bytes()));
        let answer = answer.map_err(|error| fail(None, error.to_string()))?;
        let id = id_of(&answer.headers);
        let read: Value = serde_json::from_slice(&answer.body).map_err(|error| fail(Some(&id), error.to_string()))?;
        let text = read["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
        return if answer.status == 200 { Ok(Answer { text, id }) } else { Err(fail(Some(&id), read.to_string())) };
    }
    let mut events = stream_with(address, "/v1/chat/completions", &fields, &body).map_err(|error| fail(None, error.to_string()))?;
    let id = id_of(&events.headers);
    if events.status != 200 {
        return Err(fail(Some(&id), format!("status {}", events.status)));
    }
    let mut text = String::new();
    loop {
        match events.next_event() {
            Ok(Some(event)) if event == "[DONE]" => return Ok(Answer { text, id }),
            Ok(Some(event)) if event.contains("\"error\"") => return Err(fail(Some(&id), event)),
            Ok(Some(event)) => text.push_str(&delta(&event)),
            Ok(None) => return Err(fail(Some(&id), ErrorKind::UnexpectedEof.to_string())),
            Err(error) => return Err(fail(Some(&id), error.to_string())),
        }
    }
}

/// Keeps a conversation and finds it again, wherever nginx sends the two requests.
fn keep(address: SocketAddr, key: &str, words: &str) -> Result<(), Failure> {
    let began = Instant::now();
    let fail = |why: String| Failure { began, id: None, why };
    let fields = [("authorization", key)];
    let body = json!({"items": [{"role": "user", "content": words}]}).to_string();
    let made =
        request_with(address, "POST", "/v1/conversations", &fields, Some(body.as_bytes())).map_err(|error| fail(error.to_string()))?;
    let made: Value = serde_json::from_slice(&made.body).map_err(|error| fail(error.to_string()))?;
    let path = format!("/v1/conversations/{}/items", made["id"].as_str().ok_or_else(|| fail(made.to_string()))?);
    let found = request_with(address, "GET", &path, &fields, None).map_err(|error| fail(error.to_string()))?;
    let found: Value = serde_json::from_slice(&found.body).map_err(|error| fail(error.to_string()))?;
    if found["data"][0]["content"][0]["text"] == words { Ok(()) } else { Err(fail(found.to_string())) }
}

fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Seven conversations of five turns, each turn of all after the last one of all; the share of their prompts' tokens that a prefix cache had.
///
/// Seven, for a number that three divides would come back to the same instance by chance.
fn talk(cluster: &Cluster, key: &str, run: &str) -> f64 {
    let sum = |name: &str| (0..3).map(|instance| cluster.measure(instance, name)).sum::<f64>();
    let before = (sum("hearth_prefix_cache_hits_total"), sum("hearth_prefix_cache_queries_total"));
    let mut talks: Vec<Value> = (0..7)
        .map(|talk| json!([{"role": "system", "content": format!("This is talk {talk}, {run}. You are a patient teacher who answers in one short sentence.")}]))
        .collect();
    let mut places = HashSet::new();
    for turn in 0..5 {
        for (index, messages) in talks.iter_mut().enumerate() {
            let question = format!(
                "Question {turn}: a farmer has {} apples and {} pears, sells a few of them at the market each morning, and brings the rest home to the \
                 family in the evening. What does the farmer tell the children about the fruit that is left?",
                3 + index,
                7 * turn + 2
            );
            messages.as_array_mut().expect("a list").push(json!({"role": "user", "content": question}));
            let answer =
                ask(cluster.address, key, Some(&format!("{run} {index}")), messages, false).unwrap_or_else(|failure| panic!("{failure:?}"));
            messages.as_array_mut().expect("a list").push(json!({"role": "assistant", "content": answer.text}));
            places.insert((index, cluster.asked(&answer.id)));
        }
    }
    eprintln!("{run}: {} places of 7 conversations", places.len());
    if run == "hashed" {
        assert_eq!(places.len(), 7, "each conversation has one place: {places:?}");
    }
    let hits = sum("hearth_prefix_cache_hits_total") - before.0;
    hits / (sum("hearth_prefix_cache_queries_total") - before.1)
}
