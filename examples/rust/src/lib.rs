//! A guest in Rust: two routes that run a model through wasi-nn, in each of its modes (docs/wasi-nn.md).
//!
//! ```text
//! GET  /tensor?1,2,3     tensor mode: the guest gives tokens, gets logits, and chooses the next eight tokens itself, the likeliest each time
//! POST /generate         generate mode: the body is the request's JSON document; the answer streams as it is made
//! ```

use anyhow::Context;
use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use spin_sdk::{
    http::{BoxBody, FullBody, IntoResponse, Request, Response, box_body},
    http_service,
    wasip3::wit_bindgen::yield_async,
};

mod ml {
    spin_sdk::wit_bindgen::generate!({
        path: "../../wit/wasi-nn",
        world: "ml",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

use ml::wasi::nn::{
    errors::{self, ErrorCode},
    graph,
    inference::GraphExecutionContext,
    tensor::{Tensor, TensorType},
};

/// The model's name in the host, where the component's environment says no other.
const MODEL: &str = "smollm2-135m-instruct";

type Answer = anyhow::Result<Response<BoxBody>>;

#[http_service]
async fn serve(request: Request) -> anyhow::Result<impl IntoResponse> {
    match (request.method().as_str(), request.uri().path()) {
        ("GET", "/tensor") => tensor(request.uri().query().unwrap_or_default()),
        ("POST", "/generate") => {
            let body = request.into_body().collect().await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
            generate(&body.to_bytes())
        }
        _ => answer(404, &json!({"error": "there are GET /tensor?1,2,3 and POST /generate"})),
    }
}

/// One context: one sequence of the model.
fn context() -> Result<GraphExecutionContext, errors::Error> {
    let model = std::env::var("MODEL").unwrap_or_else(|_| MODEL.to_owned());
    graph::load_by_name(&model)?.init_execution_context()
}

fn tensor(query: &str) -> Answer {
    let Ok(ids) = query.split(',').map(str::parse).collect::<Result<Vec<i32>, _>>() else {
        return answer(400, &json!({"error": format!("'{query}' is no list of tokens: ask for /tensor?1,2,3")}));
    };
    match likeliest(ids, 8) {
        Ok(tokens) => answer(200, &json!({"tokens": tokens})),
        Err(error) => failed(&error),
    }
}

/// The `count` tokens that follow `ids`, the likeliest each time.
fn likeliest(mut ids: Vec<i32>, count: usize) -> Result<Vec<i32>, errors::Error> {
    let context = context()?;
    let mut found = Vec::new();
    for _ in 0..count {
        // The context keeps what it was given: each call brings the new tokens alone.
        let data: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let outputs = context.compute(vec![("input_ids".to_owned(), Tensor::new(&[ids.len() as u32], TensorType::I32, &data))])?;
        let logits = output(&outputs, "logits").unwrap_or_default();
        let logits = logits.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        // The first of those that are equal.
        let best = logits.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
        ids = vec![best.map_or(0, |(token, _)| token as i32)];
        found.extend(&ids);
    }
    Ok(found)
}

/// Streams what the model says to a request, a chunk of the host's at a time.
fn generate(request: &[u8]) -> Answer {
    let inputs = vec![("request".to_owned(), Tensor::new(&[request.len() as u32], TensorType::U8, request))];
    let begun = context().and_then(|context| context.compute(inputs).map(|outputs| (context, outputs)));
    // What is wrong with a request is told by its first chunk.
    let (context, outputs) = match begun {
        Ok(begun) => begun,
        Err(error) => return failed(&error),
    };
    let chunks = stream::unfold(Some((context, Some(outputs))), |state| async move {
        let (context, first) = state?;
        // The chunk before goes out while the next is computed.
        yield_async().await;
        let outputs = match first.map_or_else(|| context.compute(Vec::new()), Ok) {
            Ok(outputs) => outputs,
            Err(error) => return Some((Err(anyhow::anyhow!(error.data())), None)),
        };
        let text = Bytes::from(output(&outputs, "text").unwrap_or_default());
        let is_last = outputs.iter().any(|(name, _)| name == "result");
        Some((anyhow::Ok(Frame::data(text)), (!is_last).then_some((context, None))))
    });
    let response = Response::builder().header("content-type", "text/plain; charset=utf-8");
    response.body(box_body(StreamBody::new(Box::pin(chunks)))).context("a response")
}

fn output(outputs: &[(String, Tensor)], name: &str) -> Option<Vec<u8>> {
    outputs.iter().find(|(of, _)| of == name).map(|(_, tensor)| tensor.data())
}

/// What the host says of an error is a JSON document with the kind and a message.
fn failed(error: &errors::Error) -> Answer {
    let status = if error.code() == ErrorCode::InvalidArgument { 400 } else { 503 };
    let data = serde_json::from_str(&error.data()).unwrap_or(Value::Null);
    answer(status, &json!({ "error": data }))
}

fn answer(status: u16, value: &Value) -> Answer {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(box_body(FullBody::new(Bytes::from(value.to_string())))).context("a response")
}
