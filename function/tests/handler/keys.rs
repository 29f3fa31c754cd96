//! Who may ask what: keys, how they are sent, what is refused in which form, and whose what is kept is.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hearth_function::keys::{self, Created, Credential, KeysError, Limits, New, Scope};
use http::{HeaderValue, Method};
use serde_json::{Value, json};

use crate::world::{Answer, Fate, World, hello, wait};

/// A world whose requests need a key.
fn closed() -> World {
    World::obliging().setting("keys", "required")
}

pub fn key(world: &World, scope: Scope) -> Created {
    wait(keys::create(world, New { name: "test".into(), scopes: vec![scope], ..New::default() })).unwrap()
}

pub fn bearer(key: &Created) -> String {
    format!("Bearer {}", key.token.reveal())
}

/// A chat with one header.
fn chat(world: &World, name: &str, value: &str) -> Answer {
    world.send_with(Method::POST, "/v1/chat/completions", &[(name, value)], hello(json!({})).to_string())
}

fn get(world: &World, path: &str, key: &Created) -> Answer {
    world.send_with(Method::GET, path, &[("authorization", &bearer(key))], "")
}

fn post(world: &World, path: &str, key: &Created, body: &Value) -> Answer {
    world.send_with(Method::POST, path, &[("authorization", &bearer(key))], body.to_string())
}

#[test]
fn a_key_is_sent_as_clients_send_it() {
    let world = closed();
    let made = key(&world, Scope::Chat);
    let (id, secret, token) = (&made.key.id, made.secret.reveal(), made.token.reveal());
    assert_eq!((id.len(), secret.len(), token), (32, 64, &*format!("hearth-{id}-{secret}")));
    let pair = |pair: &str| STANDARD.encode(pair);
    for (name, value) in [
        ("authorization", format!("Bearer {token}")),
        ("Authorization", format!("bearer   {token} ")),
        ("authorization", format!("Basic {}", pair(&format!("{id}:{secret}")))),
        ("authorization", format!("BASIC {}", pair(&format!("{id}:{secret}")).trim_end_matches('='))),
        ("x-api-key", token.to_owned()),
    ] {
        let answer = chat(&world, name, &value);
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(answer.header("hearth-log-key"), id, "the server's log has whose it was");
    }
    // A proxy's own Basic beside it is none of ours.
    let both = [("x-api-key", token), ("authorization", "Basic bmdpbng6cGFzcw==")];
    assert_eq!(world.send_with(Method::POST, "/v1/chat/completions", &both, hello(json!({})).to_string()).status, 200);
}

#[test]
fn what_is_no_key_is_refused_in_each_api_s_own_form() {
    let world = closed();
    let made = key(&world, Scope::Chat);
    let (id, secret) = (made.key.id.clone(), made.secret.reveal().to_owned());
    let flipped = format!("{}{}", &secret[..63], if secret.ends_with('0') { '1' } else { '0' });
    let other = key(&world, Scope::Chat);
    let refused = |name: &str, value: &str| {
        let answer = chat(&world, name, value);
        assert_eq!(answer.status, 401, "{name}: {value}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{value}");
        assert!(!answer.text().contains(&secret[..16]), "an error tells no secret");
        assert_eq!(answer.header("hearth-log-key"), "");
        answer.error().1
    };
    for value in [
        format!("Bearer hearth-{id}-{flipped}"),
        format!("Bearer hearth-{id}-{}", other.secret.reveal()),
        format!("Bearer hearth-{}-{secret}", "0".repeat(32)),
        format!("Bearer hearth-{id}-{}", secret.to_uppercase() + "x"),
        format!("Bearer hearth-{id}-"),
        "Bearer sk-something".into(),
        "Bearer".into(),
        "Bearer ".into(),
        format!("Digest {secret}"),
        format!("Basic {}", STANDARD.encode(format!("{id}:{flipped}"))),
        format!("Basic {}", STANDARD.encode("no colon")),
        "Basic !!!".into(),
        "Basic".into(),
        format!("Bearer {}", "x".repeat(5000)),
        format!("Bearer hearth-../{}-{secret}", &id[..29]),
    ] {
        assert_eq!(refused("authorization", &value), "invalid_api_key", "{value}");
    }
    assert_eq!(refused("x-api-key", &secret), "invalid_api_key");
    assert_eq!(refused("x-other", "1"), "missing_api_key");
    let token = bearer(&made);
    let twice = [("authorization", &*token), ("authorization", &*token)];
    assert_eq!(world.send_with(Method::GET, "/v1/models", &twice, "").status, 401);

    assert_eq!(world.post("/v1/messages", &json!({})).anthropic_error().0, "authentication_error");
    assert!(world.post("/api/chat", &json!({})).ollama_error().contains("key"));
    assert_eq!(world.get("/api/tags").status, 401);
    // It is known before the body is looked at.
    assert_eq!(world.chat_bytes("{").error().1, "missing_api_key");
}

#[test]
fn what_needs_no_key_needs_none() {
    let world = closed();
    for path in ["/", "/docs", "/openapi.json", "/health", "/v1/health"] {
        assert_eq!(world.get(path).status, 200, "{path}");
    }
    assert_eq!(world.get("/v1/chat/ws").status, 426);
    assert_eq!(world.get("/nowhere").status, 404);
    // Where none is asked for, whatever is sent is let be: clients send something always.
    let open = World::obliging().setting("keys", "none");
    let answer = chat(&open, "authorization", "Bearer sk-no-key-required");
    assert_eq!((answer.status.as_u16(), answer.header("hearth-log-key")), (200, ""));
    // A setting that is misspelt opens nothing.
    assert_eq!(World::obliging().setting("keys", "requierd").get("/v1/models").status, 401);
}

#[test]
fn a_scope_lets_its_holder_do_what_it_says() {
    let world = closed();
    let (admin, service, reader) = {
        let made = wait(keys::init(&world)).unwrap();
        assert_eq!(made.iter().map(|made| &*made.key.name).collect::<Vec<_>>(), ["admin", "service", "read-only"]);
        assert!(matches!(wait(keys::init(&world)), Err(KeysError::NotEmpty)));
        let mut made = made.into_iter();
        (made.next().unwrap(), made.next().unwrap(), made.next().unwrap())
    };
    for (made, chats) in [(&admin, 200), (&service, 200), (&reader, 403)] {
        assert_eq!(get(&world, "/v1/models", made).status, 200);
        assert_eq!(get(&world, "/api/tags", made).status, 200);
        for (path, body) in [
            ("/v1/chat/completions", hello(json!({}))),
            ("/v1/responses", json!({"input": "x"})),
            ("/v1/conversations", json!({})),
            ("/tokenize", json!({"content": "x"})),
            ("/v1/embeddings", json!({"input": "x"})),
        ] {
            assert_eq!(post(&world, path, made, &body).status, chats, "{path}: {}", made.key.name);
        }
    }
    assert_eq!(post(&world, "/v1/chat/completions", &reader, &hello(json!({}))).error().1, "insufficient_permissions");
    let anthropic = post(&world, "/v1/messages", &reader, &json!({})).anthropic_error();
    assert!(anthropic.0 == "permission_error" && anthropic.1.contains("'chat'"), "{anthropic:?}");
    assert!(post(&world, "/api/chat", &reader, &json!({})).ollama_error().contains("scope"));
}

#[test]
fn a_key_is_for_its_models_and_knows_of_no_others() {
    let world = closed();
    let new = New { name: "one".into(), scopes: vec![Scope::Chat], models: vec!["other".into()], ..New::default() };
    let made = wait(keys::create(&world, new)).unwrap();
    let ids = |answer: Answer| answer.json()["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(get(&world, "/v1/models", &made)), ["other"]);
    assert_eq!(get(&world, "/api/tags", &made).json()["models"].as_array().unwrap().len(), 1);
    assert_eq!(get(&world, "/v1/models/tiny", &made).status, 404);
    // The default is the first that it may use.
    assert_eq!(post(&world, "/v1/chat/completions", &made, &hello(json!({}))).json()["model"], "other");
    for name in ["tiny", "nothing"] {
        let answer = post(&world, "/v1/chat/completions", &made, &hello(json!({"model": name})));
        assert_eq!((answer.status.as_u16(), answer.error()), (403, (json!("model"), json!("model_not_allowed"))));
    }
    assert_eq!(
        post(&world, "/api/chat", &made, &json!({"model": "tiny:latest", "messages": [{"role": "user", "content": "x"}]})).status,
        403
    );
    let anthropic = json!({"model": "tiny", "max_tokens": 5, "messages": [{"role": "user", "content": "a"}]});
    assert_eq!(post(&world, "/v1/messages", &made, &anthropic).anthropic_error().0, "permission_error");
    assert_eq!(post(&world, "/v1/embeddings", &made, &json!({"model": "tiny", "input": "x"})).status, 403);
}

#[test]
fn a_key_is_rotated_revoked_and_over() {
    let world = closed();
    let made = key(&world, Scope::Chat);
    let models = |key: &Created| get(&world, "/v1/models", key);
    let next = wait(keys::rotate(&world, &made.key.id)).unwrap();
    assert_eq!((&next.key.id, models(&made).status.as_u16(), models(&next).status.as_u16()), (&made.key.id, 401, 200));
    let other = key(&world, Scope::Chat);
    let revoked = wait(keys::revoke(&world, &made.key.id)).unwrap();
    assert!(revoked.revoked.is_some());
    assert_eq!((models(&next).status.as_u16(), models(&next).error().1), (401, json!("revoked_api_key")));
    // Who has not the secret is told nothing of it.
    assert_eq!(models(&made).error().1, "invalid_api_key");
    assert_eq!(models(&other).status, 200);
    assert!(matches!(wait(keys::rotate(&world, &made.key.id)), Err(KeysError::Revoked(_))));
    for nothing in ["", "x", &"0".repeat(32), "../../etc"] {
        assert!(matches!(wait(keys::revoke(&world, nothing)), Err(KeysError::NotFound(_))));
    }
    // One whose time is over; none is made that is.
    let new = |expires| New { name: "soon".into(), scopes: vec![Scope::Read], expires: Some(expires), ..New::default() };
    assert!(matches!(wait(keys::create(&world, new(1))), Err(KeysError::Invalid(_))));
    let soon = wait(keys::create(&world, new(u64::MAX))).unwrap();
    assert_eq!(models(&soon).status, 200);
    let path = format!("key/{}", soon.key.id);
    world.tamper(|kept| {
        let mut record: Value = serde_json::from_slice(&kept[&path]).unwrap();
        record["expires"] = json!(1000);
        kept.insert(path, record.to_string().into_bytes());
    });
    assert_eq!((models(&soon).status.as_u16(), models(&soon).error().1), (401, json!("expired_api_key")));
}

#[test]
fn a_record_is_no_key_and_is_listed_without_its_hash() {
    let world = closed();
    let new = New {
        name: " Ada's laptop ".into(),
        scopes: vec![Scope::Chat],
        limits: Limits { requests_per_minute: Some(5), ..Limits::default() },
        ..New::default()
    };
    let made = wait(keys::create(&world, new)).unwrap();
    assert!(!format!("{made:?}").contains(made.secret.reveal()), "Debug shows no secret");
    let raw: Vec<u8> = world.store().into_iter().flat_map(|(key, value)| [key.into_bytes(), value].concat()).collect();
    let raw = String::from_utf8_lossy(&raw);
    assert!(!raw.contains(made.secret.reveal()) && raw.contains("Ada's laptop"), "only a hash is kept");
    let listed = wait(keys::list(&world)).unwrap();
    assert_eq!((listed.len(), &listed[0].id, &*listed[0].name, listed[0].last_used), (1, &made.key.id, "Ada's laptop", None));
    assert_eq!(listed[0].limits.requests_per_minute, Some(5));
    let told = serde_json::to_string(&listed).unwrap();
    assert!(!told.contains("hash") && !told.contains("salt"), "{told}");
    for (name, scopes) in [("", vec![Scope::Read]), ("a\nb", vec![Scope::Read]), ("x", vec![])] {
        assert!(matches!(wait(keys::create(&world, New { name: name.into(), scopes, ..New::default() })), Err(KeysError::Invalid(_))));
    }
}

#[test]
fn the_last_use_is_noted_at_most_once_a_minute_and_undoes_no_revocation() {
    let world = closed();
    let made = key(&world, Scope::Chat);
    let mut sets = 0;
    let path = format!("key-used/{}", made.key.id);
    let counted = path.clone();
    let (sender, receiver) = std::sync::mpsc::channel();
    world.fates(move |operation, key| {
        if operation == "set" && key.starts_with("key") {
            assert_eq!(key, counted, "no record is written for a use");
            sets += 1;
            sender.send(sets).unwrap();
        }
        Fate::Done
    });
    for _ in 0..5 {
        assert_eq!(get(&world, "/v1/models", &made).status, 200);
    }
    assert_eq!(receiver.try_iter().last(), Some(1));
    let used = wait(keys::list(&world)).unwrap()[0].last_used.unwrap();
    world.tamper(|kept| drop(kept.insert(path, (used - 61).to_string().into_bytes())));
    get(&world, "/v1/models", &made);
    assert_eq!(receiver.try_iter().last(), Some(2));
    assert!(wait(keys::list(&world)).unwrap()[0].last_used.unwrap() >= used);
    // That it cannot be noted is no matter.
    world.fates(|operation, _| if operation == "set" { Fate::Failed } else { Fate::Done });
    assert_eq!(get(&world, "/v1/models", &made).status, 200);
}

#[test]
fn a_store_that_fails_lets_nobody_in_and_a_damaged_record_neither() {
    let world = closed();
    let made = key(&world, Scope::Chat);
    world.fates(|_, _| Fate::Failed);
    let answer = get(&world, "/v1/models", &made);
    assert_eq!((answer.status.as_u16(), answer.error().1), (503, json!("store_failed")));
    world.heal();
    let good = world.store()[&format!("key/{}", made.key.id)].clone();
    // Every record that is a bit different lets in nobody whom it should not.
    for at in 0..good.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut damaged = good.clone();
            damaged[at] ^= flip;
            world.tamper(|kept| drop(kept.insert(format!("key/{}", made.key.id), damaged.clone())));
            let wrong = format!("Bearer hearth-{}-{}", made.key.id, "0".repeat(64));
            let status = chat(&world, "authorization", &wrong).status.as_u16();
            assert!([401, 500].contains(&status), "{status}: {}", String::from_utf8_lossy(&damaged));
            let _ = wait(keys::list(&world));
        }
    }
    world.tamper(|kept| drop(kept.insert(format!("key/{}", made.key.id), b"{}".to_vec())));
    let answer = get(&world, "/v1/models", &made);
    assert_eq!((answer.status.as_u16(), answer.error().1), (500, json!("store_damaged")));
}

#[test]
fn one_key_may_stand_in_the_settings() {
    let world = World::obliging().setting("api_key", " open-sesame ").setting("limit_requests_per_minute", "3");
    assert_eq!(world.get("/v1/models").status, 401, "where there is one it is needed");
    for (name, value) in
        [("authorization", "Bearer open-sesame".to_owned()), ("authorization", format!("Basic {}", STANDARD.encode("me:open-sesame")))]
    {
        let answer = chat(&world, name, &value);
        assert_eq!((answer.status.as_u16(), answer.header("hearth-log-key")), (200, "static"), "{}", answer.text());
    }
    assert_eq!(chat(&world, "authorization", "Bearer open-sesam").status, 401);
    assert_eq!(chat(&world, "x-api-key", "open-sesame").status, 200);
    assert_eq!(chat(&world, "x-api-key", "open-sesame").status, 429, "the settings' limits are its");
    // It needs no store.
    let world = World::obliging().setting("api_key", "open-sesame");
    world.fates(|_, _| Fate::Failed);
    assert_eq!(chat(&world, "x-api-key", "open-sesame").status, 200);
}

#[test]
fn what_is_kept_is_its_owner_s_and_nobody_else_finds_it() {
    let world = closed();
    let (anna, berta, admin) = (key(&world, Scope::Chat), key(&world, Scope::Chat), key(&world, Scope::Admin));
    let response = post(&world, "/v1/responses", &anna, &json!({"input": "Hi"})).json()["id"].as_str().unwrap().to_owned();
    let conversation = post(&world, "/v1/conversations", &anna, &json!({"items": [{"role": "user", "content": "Hi"}]})).json();
    let conversation = conversation["id"].as_str().unwrap();
    let item = get(&world, &format!("/v1/conversations/{conversation}/items"), &anna).json()["data"][0]["id"].as_str().unwrap().to_owned();
    let paths = [
        format!("/v1/responses/{response}"),
        format!("/v1/responses/{response}/input_items"),
        format!("/v1/conversations/{conversation}"),
        format!("/v1/conversations/{conversation}/items"),
        format!("/v1/conversations/{conversation}/items/{item}"),
    ];
    for path in &paths {
        assert_eq!(get(&world, path, &anna).status, 200, "{path}");
        for other in [&berta, &admin] {
            assert_eq!(get(&world, path, other).status, 404, "{path}");
            if !path.ends_with("items") {
                let headers = [("authorization", &*bearer(other))];
                assert_eq!(world.send_with(Method::DELETE, path, &headers, "").status, 404, "{path}");
            }
        }
    }
    for body in [json!({"input": "x", "previous_response_id": response}), json!({"input": "x", "conversation": conversation})] {
        assert!([400, 404].contains(&post(&world, "/v1/responses", &berta, &body).status.as_u16()));
        assert_eq!(post(&world, "/v1/responses", &anna, &body).status, 200);
    }
    let reference = json!({"input": [{"type": "item_reference", "id": item}]});
    assert_eq!(post(&world, "/v1/responses", &berta, &reference).status, 400);
    // Another secret is the same owner.
    let next = wait(keys::rotate(&world, &anna.key.id)).unwrap();
    assert_eq!(get(&world, &paths[0], &next).status, 200);
}

#[test]
fn a_credential_is_read_or_refused_and_never_shown() {
    let read = |text: &str| Credential::authorization(&HeaderValue::from_str(text).unwrap());
    let (id, secret) = ("0123456789abcdef0123456789abcdef", "ab".repeat(32));
    let Ok(Credential::Key { id: found, .. }) = read(&format!("Bearer hearth-{id}-{secret}")) else { panic!("a key") };
    assert_eq!(found, id);
    assert!(!format!("{:?}", read(&format!("Bearer hearth-{id}-{secret}"))).contains(&secret));
    assert!(!format!("{:?}", read("Bearer open-sesame")).contains("sesame"));
    assert!(Credential::authorization(&HeaderValue::from_bytes(b"Bearer \xff").unwrap()).is_err());
}

#[test]
fn no_authorization_breaks_the_handler_or_lets_in_whom_it_should_not() {
    let world = closed();
    let made = key(&world, Scope::Chat);
    let token = bearer(&made);
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", made.key.id, made.secret.reveal())));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut dice = |bound: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    };
    let mut refused = 0;
    for round in 0..4000 {
        let mut value = if round % 2 == 0 { token.clone() } else { basic.clone() }.into_bytes();
        for _ in 0..=dice(3) {
            let at = dice(value.len());
            match dice(4) {
                0 => value[at] = 32 + dice(95) as u8,
                1 if value.len() > 1 => drop(value.remove(at)),
                2 => value.insert(at, [b' ', b'-', b':', b'=', 0x7e, 0xff][dice(6)]),
                _ => value.truncate(at.max(1)),
            }
        }
        let Ok(header) = HeaderValue::from_bytes(&value) else { continue };
        let known = match Credential::authorization(&header) {
            Ok(Credential::Key { id, secret }) => id == made.key.id && secret == made.secret,
            _ => false,
        };
        let mut request = http::Request::get("/v1/models").body(crate::world::Frames::whole("")).unwrap();
        request.headers_mut().insert("authorization", header);
        let status = wait(hearth_function::handle(world.clone(), request)).status();
        assert_eq!(status, if known { 200 } else { 401 }, "{}", String::from_utf8_lossy(&value));
        refused += usize::from(!known);
    }
    assert!(refused > 3000, "{refused}");
}
