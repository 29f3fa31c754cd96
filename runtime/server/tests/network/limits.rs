//! What one address, and all together, may take of a server.

use std::time::{Duration, Instant};

use hearth_server::Options;
use http::Request;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    common::{Client, SOON},
    world::World,
};

async fn get(client: &mut Client) -> u16 {
    client.get("/").await;
    client.response().await.0
}

#[tokio::test]
async fn an_address_has_its_rate_and_another_its_own() {
    let world = World::start(Options { rate_per_address: 5, ..Options::default() }).await;
    let (mut client, mut other) = (world.connect().await, world.connect_from("127.0.0.2").await);
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(get(&mut client).await);
    }
    assert_eq!(statuses[..5], [200; 5]);
    assert!(statuses[5..].contains(&429), "{statuses:?}");
    // A second connection makes no second client.
    let mut second = world.connect().await;
    loop {
        second.get("/").await;
        let (status, head, body) = second.response().await;
        if status == 429 {
            assert!(head.contains("retry-after: 1\r\n") && head.contains("content-type: application/json\r\n"), "{head}");
            let error = &serde_json::from_str::<serde_json::Value>(&body).unwrap()["error"];
            assert_eq!((error["type"].as_str(), error["code"].as_str()), (Some("rate_limit_error"), Some("rate_limit_exceeded")));
            assert!(error["message"].as_str().unwrap().contains("5 requests a second"), "{error}");
            break;
        }
    }
    assert_eq!(get(&mut other).await, 200);
    sleep(Duration::from_millis(1050)).await;
    assert_eq!(get(&mut client).await, 200, "on the same connection, after the time that was said");
}

#[tokio::test]
async fn heads_and_bodies_have_their_largest() {
    let world = World::start(Options { headers: 20, header_bytes: 8192, body_bytes: 1000, ..Options::default() }).await;
    let upload = async |headers: &str, body: &str| {
        let mut client = world.connect().await;
        client.send(&format!("POST /upload HTTP/1.1\r\nhost: test\r\n{headers}\r\n{body}")).await;
        let (status, _, body) = client.response().await;
        (status, body)
    };
    assert_eq!(upload("content-length: 1000\r\n", &"x".repeat(1000)).await, (200, "read 1000".to_owned()));
    let (status, body) = upload("content-length: 1001\r\n", "").await;
    assert!(status == 413 && body.contains("1000 bytes") && body.contains("request_too_large"), "{status} {body}");
    let (status, body) =
        upload("transfer-encoding: chunked\r\n", &format!("1f4\r\n{0}\r\n1f5\r\n{0}y\r\n0\r\n\r\n", "x".repeat(500))).await;
    assert!(status == 400 && body.contains("larger"), "{status} {body}");

    let many: String = (0..21).map(|at| format!("x-{at}: 1\r\n")).collect();
    let long = format!("x-long: {}\r\n", "x".repeat(20_000));
    for headers in [&many, &long] {
        let mut client = world.connect().await;
        client.send(&format!("GET / HTTP/1.1\r\nhost: test\r\n{headers}\r\n")).await;
        assert_eq!(client.head().await.0, 431);
    }
    let (client, connection) = h2::client::handshake(TcpStream::connect(world.address).await.unwrap()).await.unwrap();
    tokio::spawn(connection);
    for (count, status) in [(20, 200), (21, 431)] {
        let mut request = Request::get(format!("http://{}/", world.address));
        for at in 0..count {
            request = request.header(format!("x-{at}"), "1");
        }
        let mut client = client.clone().ready().await.unwrap();
        let answer = client.send_request(request.body(()).unwrap(), true).unwrap().0;
        assert_eq!(timeout(SOON, answer).await.unwrap().unwrap().status(), status, "{count} fields over HTTP/2");
    }
}

/// A body makes the parser's buffer larger than a head may be, and what fits into it would be taken.
#[tokio::test]
async fn a_head_has_its_largest_behind_a_body_too() {
    let limit = 64 * 1024;
    let world = World::start(Options { header_bytes: limit, ..Options::default() }).await;
    for size in [20_000, 200_000] {
        for (bytes, status) in [(limit - 100, 200), (limit + 100, 431), (80_000, 431), (120_000, 431)] {
            let mut client = world.connect().await;
            client.send(&format!("POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: {size}\r\n\r\n{}", "x".repeat(size))).await;
            assert_eq!(client.response().await.0, 200);
            client.send(&format!("GET / HTTP/1.1\r\nhost: test\r\nx-long: {}\r\n\r\n", "x".repeat(bytes))).await;
            assert_eq!(client.head().await.0, status, "{bytes} bytes behind {size}");
        }
    }
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_leaves_room_for_others() {
    let world = World::start(Options { connections_per_address: 2, ..Options::default() }).await;
    let (mut first, mut second) = (world.connect().await, world.connect().await);
    assert_eq!((get(&mut first).await, get(&mut second).await), (200, 200));
    let mut third = world.connect().await;
    assert_eq!(get(&mut third).await, 503);
    assert_eq!(get(&mut world.connect_from("127.0.0.2").await).await, 200);
}

#[tokio::test]
async fn who_has_idled_longest_makes_room_and_who_is_busy_stays() {
    let world = World::start(Options { connections: 3, ..Options::default() }).await;
    let mut busy = world.connect().await;
    busy.get("/endless").await;
    busy.head().await;
    let mut oldest = world.connect().await;
    assert_eq!(get(&mut oldest).await, 200);
    sleep(Duration::from_millis(600)).await;
    let mut newer = world.connect().await;
    assert_eq!(get(&mut newer).await, 200);
    assert_eq!(get(&mut world.connect().await).await, 503, "nobody has idled long enough");
    sleep(Duration::from_millis(600)).await;
    let mut next = world.connect().await;
    assert_eq!(get(&mut next).await, 200);
    assert_eq!(oldest.rest().await, "", "its place was needed");
    assert_eq!(get(&mut newer).await, 200, "it stays");
    assert_eq!(world.alive.count(), 1, "the endless answer goes on");
}

/// The connections and the files that they are, for this process holds both ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_idle_connections_leave_the_server_answering() {
    const IDLE: usize = 2000;
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let needed = 2 * IDLE as u64 + 500;
    assert!(maximum.is_none_or(|most| most >= needed), "this user may not open {needed} files (ulimit -Hn)");
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).unwrap();

    // Where all have a place, and where there are places for half of them.
    for (connections, connections_per_address) in [(4 * IDLE, 0), (1024, 512), (1024, 0)] {
        let world = World::start(Options { connections, connections_per_address, ..Options::default() }).await;
        let mut idle = Vec::new();
        for _ in 0..IDLE {
            idle.push(timeout(SOON, TcpStream::connect(world.address)).await.expect("the queue moves").unwrap());
        }
        // So that they count as idle.
        sleep(Duration::from_millis(1100)).await;
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let start = Instant::now();
            let mut client = world.connect().await;
            assert_eq!(get(&mut client).await, 200, "with {connections} places");
            slowest = slowest.max(start.elapsed());
        }
        assert!(slowest < Duration::from_secs(2), "{slowest:?}");
        drop(idle);
    }
}
