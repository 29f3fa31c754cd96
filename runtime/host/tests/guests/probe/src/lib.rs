//! A guest that does, path by path, what the host's tests want to see: it streams, waits, traps, spins, leaks, and reaches for models, stores and other hosts.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use spin_sdk::{
    http::{BoxBody, FullBody, IntoResponse, Request, Response, box_body},
    http_service,
    key_value::Store,
    variables,
    wasip3::{clocks::monotonic_clock::wait_for, wit_bindgen::yield_async},
};

mod ml {
    spin_sdk::wit_bindgen::generate!({
        path: "../../../../../wit/wasi-nn",
        world: "ml",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

use ml::wasi::nn::{
    errors,
    graph::{self, ExecutionTarget, GraphEncoding},
    inference::GraphExecutionContext,
    tensor::{Tensor, TensorType},
};

mod kv {
    spin_sdk::wit_bindgen::generate!({
        path: "../../../../../wit/spin",
        world: "keyvalue",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

use kv::wasi::keyvalue::{
    atomics::{self, Cas, CasError},
    store::{self as buckets, Error},
};

static SERVED: AtomicU32 = AtomicU32::new(0);

type Answer = anyhow::Result<Response<BoxBody>>;

#[http_service]
async fn serve(request: Request) -> anyhow::Result<impl IntoResponse> {
    let query = request.uri().query().unwrap_or("").to_owned();
    let argument = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned);
    let number = |name: &str| argument(name).and_then(|text| text.parse::<usize>().ok());
    match request.uri().path().to_owned().as_str() {
        "/hello" => text("hello"),
        // How many requests this instance has served.
        "/served" => text(format!("{}", SERVED.fetch_add(1, Relaxed) + 1)),
        // With its length in the head, and no end of the body.
        "/length" => {
            let mut response = pieces(1, "wait".to_owned())?;
            response.headers_mut().insert("content-length", "8".parse()?);
            Ok(response)
        }
        "/uri" => text(request.uri().to_string()),
        "/environment" => text(std::env::var(argument("name").unwrap_or_default()).unwrap_or_default()),
        "/file" => text(std::fs::read_to_string(argument("path").unwrap_or_default())?),
        "/write" => text(format!("{:?}", std::fs::write(argument("path").unwrap_or_default(), "x").is_ok())),
        "/echo" => {
            let body = request.into_body().map_err(|error| anyhow::anyhow!("{error:?}"));
            answer(body.boxed_unsync())
        }
        "/print" => {
            println!("printed to stdout");
            eprintln!("printed to stderr");
            text("printed")
        }
        "/error" => anyhow::bail!("the handler's own error"),
        "/panic" => panic!("before any response"),
        "/never" => wait().await,
        // Pieces, then an end of another kind.
        "/pieces" => pieces(number("count").unwrap_or(3), argument("then").unwrap_or_default()),
        "/spin" => spin(),
        "/grow" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(black_box(vec![1_u8; 1 << 20]));
            }
        }
        "/variable" => text(format!("{:?}", variables::get(argument("name").unwrap_or_default()).await)),
        "/store" => store().await,
        "/counters" => text(counters(&argument("label").unwrap_or_default()).unwrap_or_else(|error| format!("{error:?}"))),
        // As many writes at once as are asked for, all of the same bytes.
        "/store-flood" => {
            let store = Store::open_default().await?;
            let value = vec![0; number("bytes").unwrap_or(0)];
            let writes = (0..number("count").unwrap_or(1)).map(|_| store.set("flood", &value));
            let refused = futures::future::join_all(writes).await.into_iter().filter_map(Result::err).next();
            text(format!("{refused:?}"))
        }
        "/store-open" => text(match Store::open(argument("label").unwrap_or_default()).await {
            Ok(_) => "opened".to_owned(),
            Err(error) => format!("{error:?}"),
        }),
        "/outbound" => {
            let url = argument("url").unwrap_or_default();
            text(match spin_sdk::http::get(url).await {
                Ok(_) => "sent".to_owned(),
                Err(error) => format!("{error:?}"),
            })
        }
        "/tensors" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(Tensor::new(&[1], TensorType::U8, &[0]));
            }
        }
        "/tensor" => {
            let tensor = Tensor::new(&[2, 1], TensorType::Bf16, &[1, 2, 3, 4]);
            text(format!("{:?} {:?} {:?}", tensor.dimensions(), tensor.ty(), tensor.data()))
        }
        "/load" => text(
            match graph::load(
                &vec![vec![0; number("bytes").unwrap_or(8)]; number("parts").unwrap_or(1)],
                encoding(&argument("encoding").unwrap_or_default()),
                ExecutionTarget::Cpu,
            ) {
                Ok(_) => "loaded".to_owned(),
                Err(error) => describe(&error),
            },
        ),
        "/graph" => text(match graph::load_by_name(&argument("name").unwrap_or_default()) {
            Ok(_) => "loaded".to_owned(),
            Err(error) => describe(&error),
        }),
        // A generation, chunk by chunk as the host computes it; `leak=1` forgets the context.
        "/generate" => generate(&argument("name").unwrap_or_default(), number("tokens").unwrap_or(8), argument("leak").is_some()),
        "/compute" => {
            let (graph, input) = (open(&argument("name").unwrap_or_default())?, argument("input").unwrap_or_default());
            let tensor = Tensor::new(&[1], TensorType::U8, &[0]);
            text(match graph.compute(vec![(input, tensor)]) {
                Ok(outputs) => format!("{:?}", outputs.into_iter().map(|(name, _)| name).collect::<Vec<_>>()),
                Err(error) => describe(&error),
            })
        }
        path => text(format!("nothing at {path}")),
    }
}

fn text(text: impl Into<String>) -> Answer {
    answer(box_body(FullBody::new(Bytes::from(text.into()))))
}

fn answer(body: BoxBody) -> Answer {
    Ok(Response::new(body))
}

/// Waits on the host: the runtime in here traps where it would wait for nothing.
async fn wait() -> ! {
    loop {
        wait_for(3_600_000_000_000).await;
    }
}

fn spin() -> ! {
    let mut count = 0_u64;
    loop {
        count = black_box(count.wrapping_add(1));
    }
}

fn pieces(count: usize, then: String) -> Answer {
    let stream = stream::unfold(0, move |at| {
        let then = then.clone();
        async move {
            yield_async().await;
            if at < count {
                return Some((anyhow::Ok(Frame::data(Bytes::from(format!("piece {at}\n")))), at + 1));
            }
            match then.as_str() {
                "trap" => panic!("in the middle of the response"),
                "error" => Some((Err(anyhow::anyhow!("an error in the middle of the response")), at + 1)),
                "spin" => spin(),
                "wait" => wait().await,
                _ => None,
            }
        }
    });
    answer(box_body(StreamBody::new(Box::pin(stream))))
}

async fn store() -> Answer {
    let store = Store::open_default().await?;
    store.set("a", b"1").await?;
    store.set("b", b"2").await?;
    store.delete("c").await?;
    let (a, b, c, exists) = futures::join!(store.get("a"), store.get("b"), store.get("c"), store.exists("a"));
    let keys = store.get_keys().await.collect().await?;
    let long = store.set("k".repeat(2000), b"").await.map_err(|error| format!("{error:?}"));
    text(format!("{:?} {:?} {:?} {:?} {keys:?} {long:?}", a?, b?, c?, exists?))
}

/// The stores as `wasi:keyvalue` has them, with all that it adds.
fn counters(label: &str) -> Result<String, Error> {
    let bucket = buckets::open(label)?;
    let totals = [atomics::increment(&bucket, "n", 40)?, atomics::increment(&bucket, "n", 2)?];
    let (value, there) = (bucket.get("n")?.unwrap_or_default(), bucket.exists("m")?);
    bucket.set("m", b"x")?;
    let number = atomics::increment(&bucket, "m", 1);
    let (old, new) = (Cas::new(&bucket, "m")?, Cas::new(&bucket, "m")?);
    let (current, swapped) = (old.current()?, atomics::swap(old, b"y").is_ok());
    let newer = match atomics::swap(new, b"z") {
        Err(CasError::CasFailed(newer)) => newer.current()?,
        other => panic!("{other:?}"),
    };
    bucket.delete("m")?;
    for at in 0..1001 {
        bucket.set(&format!("p{at:04}"), b"")?;
    }
    let first = bucket.list_keys(None)?;
    let second = bucket.list_keys(first.cursor.as_deref())?;
    let pages = (first.keys.len(), second.keys, second.cursor);
    Ok(format!("{totals:?} {value:?} {there} {number:?} {current:?} {swapped} {newer:?} {pages:?}"))
}

fn encoding(name: &str) -> GraphEncoding {
    match name {
        "ggml" => GraphEncoding::Ggml,
        "autodetect" => GraphEncoding::Autodetect,
        _ => GraphEncoding::Onnx,
    }
}

fn describe(error: &errors::Error) -> String {
    format!("{:?} {}", error.code(), error.data())
}

fn open(name: &str) -> anyhow::Result<GraphExecutionContext> {
    let graph = graph::load_by_name(name).map_err(|error| anyhow::anyhow!(describe(&error)))?;
    graph.init_execution_context().map_err(|error| anyhow::anyhow!(describe(&error)))
}

fn generate(name: &str, tokens: usize, leak: bool) -> Answer {
    let context = open(name)?;
    let request = format!(r#"{{"prompt":"a","max_tokens":{tokens},"ignore_end":true,"sampling":{{"temperature":0}}}}"#);
    let stream = stream::unfold((Some(context), Some(request)), move |(context, request)| async move {
        let context = context?;
        yield_async().await;
        let inputs = match &request {
            Some(request) => vec![("request".to_owned(), Tensor::new(&[request.len() as u32], TensorType::U8, request.as_bytes()))],
            None => Vec::new(),
        };
        let outputs = match context.compute(inputs) {
            Ok(outputs) => outputs,
            Err(error) => return Some((Err(anyhow::anyhow!(describe(&error))), (None, None))),
        };
        let ended = outputs.iter().any(|(name, _)| name == "result");
        let tokens: usize = outputs.iter().filter(|(name, _)| name == "tokens").map(|(_, tensor)| tensor.data().len() / 4).sum();
        let next = match (ended, leak) {
            (true, true) => {
                std::mem::forget(context);
                None
            }
            (true, false) => None,
            (false, _) => Some(context),
        };
        Some((Ok(Frame::data(Bytes::from(format!("{tokens}\n")))), (next, None)))
    });
    answer(box_body(StreamBody::new(Box::pin(stream))))
}
