//! The port, and a server that runs: what it says of itself, what is in front of it, and a round trip.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use ureq::{Agent, http::Response};

use super::Report;
use crate::{bench::stream, cli::ServeArgs};

/// The default port, which OpenClaw's gateway also takes by default.
const SHARED_PORT: u16 = 18789;
/// Seconds by which two clocks may differ.
const SKEW: u64 = 60;
/// How long whatever holds the port may take to say what it is.
const PROBE: Duration = Duration::from_secs(2);
/// How long a server may keep us waiting for the next byte: a model may have to be loaded.
const PATIENCE: Duration = Duration::from_secs(120);
/// Tokens of the round trip.
const TOKENS: u32 = 16;

/// Whether the port is free, or who has it; the address of the server if it is one of ours.
pub(super) fn port(report: &mut Report, args: &ServeArgs) -> Option<String> {
    if let Err(error) = args.server.check_exposure(args.listen, args.needs_keys()) {
        report.failed("port", &error.into());
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return None };
    let Err(error) = runtime.block_on(hearth_server::bind(args.listen)) else {
        report.ok("port", format!("{} is free", args.listen));
        if args.listen.port() == SHARED_PORT {
            report.note(
                "port",
                format!(
                    "{SHARED_PORT} is also the port of OpenClaw's gateway: if that is to run here too, give one of them another (--listen)"
                ),
            );
        }
        return None;
    };
    let url = of(args.listen, args.server.wants_tls());
    // What a wrong certificate is no matter for: whether it is Hearth at all.
    if error.is_taken() && agent(true, PROBE).get(format!("{url}/health")).call().is_ok_and(is_hearth) {
        report.ok("port", format!("{} is served by Hearth", args.listen));
        return Some(url);
    }
    report.failed("port", &error.into());
    None
}

/// Whether it says how it is, as we do.
fn is_hearth(mut response: Response<ureq::Body>) -> bool {
    let text = response.body_mut().with_config().limit(4096).read_to_string().unwrap_or_default();
    serde_json::from_str::<Value>(&text).is_ok_and(|health| health["status"].is_string())
}

/// The address for a client on this machine.
fn of(listen: SocketAddr, tls: bool) -> String {
    let host = if listen.ip().is_unspecified() {
        "127.0.0.1".to_owned()
    } else {
        SocketAddr::new(listen.ip(), 0).to_string().trim_end_matches(":0").to_owned()
    };
    format!("{}://{host}:{}", if tls { "https" } else { "http" }, listen.port())
}

fn agent(any_certificate: bool, patience: Duration) -> Agent {
    let tls = ureq::tls::TlsConfig::builder().disable_verification(any_certificate).build();
    Agent::config_builder()
        .user_agent(concat!("hearth/", env!("CARGO_PKG_VERSION"), " doctor"))
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(5)))
        .timeout_recv_response(Some(patience))
        .timeout_per_read(Some(patience))
        .max_redirects(0)
        .tls_config(tls)
        .build()
        .into()
}

/// Asks a running server.
pub(super) fn ask(report: &mut Report, url: &str, args: Option<&ServeArgs>) {
    let url = url.trim_end_matches('/').trim_end_matches("/v1");
    // A certificate of our own making is trusted by nobody else.
    let own = args.is_some_and(|args| args.server.tls_self_signed);
    let agent = agent(own, PATIENCE);
    let health = match agent.get(format!("{url}/health")).call() {
        Ok(response) => response,
        Err(error) => {
            return report.error(
                "server",
                format!("{url} does not answer: {error}"),
                "start it (hearth serve), or name the address that its clients use with --url",
            );
        }
    };
    match health.status().as_u16() {
        200 => report.ok("server", format!("{url}/health says that it is ready")),
        503 => report.warning(
            "server",
            format!("{url}/health says that it is not ready (503)"),
            "models may still load: ask again; its log says more",
        ),
        status => report.error(
            "server",
            format!("{url}/health is answered with {status}"),
            "that is no Hearth, or what is in front of it does not let requests through",
        ),
    }
    clocks(report, &health);
    proxy(report, &health, args);
    round_trip(report, &agent, url, args);
}

/// The server's clock against ours.
fn clocks<B>(report: &mut Report, response: &Response<B>) {
    let Some(date) = response.headers().get("date").and_then(|date| date.to_str().ok()) else { return };
    let Ok(theirs) = OffsetDateTime::parse(&date.replace("GMT", "+0000"), &Rfc2822) else { return };
    let apart = SystemTime::from(theirs).duration_since(SystemTime::now()).unwrap_or_else(|error| error.duration()).as_secs();
    if apart > SKEW {
        report.warning(
            "clock",
            format!("this clock and the server's are {apart} seconds apart"),
            "have both set by NTP, as with systemd-timesyncd",
        );
    } else {
        report.ok("clock", "this clock and the server's agree");
    }
}

/// What is in front of the server, and whether the server knows it.
fn proxy<B>(report: &mut Report, response: &Response<B>, args: Option<&ServeArgs>) {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let front = header("via").or_else(|| header("server").filter(|server| !server.to_ascii_lowercase().starts_with("hearth")));
    let Some(front) = front else { return report.ok("proxy", "nothing in front of the server says its name") };
    match args {
        Some(args) if args.server.trusted_proxy.is_empty() => report.warning(
            "proxy",
            format!("{front} is in front of the server, which trusts no proxy: to its limits all clients are one address"),
            "have it send X-Forwarded-For and X-Forwarded-Proto, and name its address with --trusted-proxy",
        ),
        _ => report.ok("proxy", format!("{front} is in front of the server")),
    }
}

/// A chat of a few tokens.
fn round_trip(report: &mut Report, agent: &Agent, url: &str, args: Option<&ServeArgs>) {
    let key = args.and_then(|args| args.api_key.as_ref().map(|key| key.reveal().to_owned()));
    let key = key.or_else(|| std::env::var("HEARTH_API_KEY").ok().filter(|key| !key.is_empty()));
    let model = {
        let mut request = agent.get(format!("{url}/v1/models"));
        if let Some(key) = &key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let mut response = match request.call() {
            Ok(response) => response,
            Err(error) => return report.failed("round trip", &error.into()),
        };
        let text = response.body_mut().read_to_string().unwrap_or_default();
        match (response.status().as_u16(), serde_json::from_str::<Value>(&text)) {
            (401 | 403, _) => {
                return report.warning(
                    "round trip",
                    "the server asks for a key, so no chat was tried",
                    "HEARTH_API_KEY=… hearth doctor, with a key that may chat",
                );
            }
            (200, Ok(list)) => list["data"][0]["id"].as_str().map(str::to_owned),
            (status, _) => return report.error("round trip", format!("{url}/v1/models is answered with {status}"), "see the server's log"),
        }
    };
    let body = json!({
        "model": model,
        "messages": [{"role": "user", "content": "Count from one to twenty."}],
        "max_tokens": TOKENS,
        "temperature": 0,
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    match stream::ask(agent, &format!("{url}/v1/chat/completions"), key.as_deref(), &body) {
        Ok(answer) => {
            let gaps: Duration = answer.gaps.iter().sum();
            report.ok(
                "round trip",
                format!("first text after {} ms, {} tokens in {} ms more", answer.first.as_millis(), answer.tokens(), gaps.as_millis()),
            );
            // Through a proxy that waits for the whole answer all of it comes at once.
            if answer.gaps.len() >= 8 && answer.gaps.iter().all(|gap| gap.as_micros() < 200) && answer.first > Duration::from_millis(100) {
                report.warning(
                    "proxy",
                    "the answer came in one piece: what is in front of the server holds it back",
                    "turn its buffering off, as nginx's `proxy_buffering off`",
                );
            }
        }
        Err(failure) => report.error(
            "round trip",
            format!("a chat failed ({}): {}", failure.kind, failure.detail.chars().take(300).collect::<String>()),
            "see the server's log",
        ),
    }
}
