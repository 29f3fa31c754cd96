//! Whose word is taken for where a request comes from.

use hearth_server::Options;

use crate::{common::Client, world::World};

async fn who(client: &mut Client, headers: &str) -> (u16, String) {
    client.send(&format!("GET /who HTTP/1.1\r\nhost: test\r\n{headers}\r\n")).await;
    let (status, _, body) = client.response().await;
    (status, body)
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_nobody_else() {
    let world = World::start(Options { trusted_proxies: vec!["127.0.0.1".parse().unwrap()], ..Options::default() }).await;
    let mut proxy = world.connect().await;
    let forwarded = "x-forwarded-for: 192.0.2.9\r\nx-forwarded-proto: https\r\n";
    assert_eq!(who(&mut proxy, forwarded).await.1, "192.0.2.9:0 true");
    assert_eq!(
        who(&mut proxy, "x-forwarded-for: 10.6.6.6, 192.0.2.9\r\n").await.1,
        "192.0.2.9:0 false",
        "the client's own words lie to the left"
    );
    assert_eq!(who(&mut proxy, "x-forwarded-for: 10.6.6.6\r\nx-forwarded-for: 2001:db8::9\r\n").await.1, "[2001:db8::9]:0 false");
    assert_eq!(who(&mut proxy, "x-forwarded-for: 127.0.0.1\r\n").await.1, "127.0.0.1:0 false");
    let own = proxy.socket.local_addr().unwrap();
    for none in ["", "x-forwarded-for: \r\n", "x-forwarded-for: unknown\r\n", "x-forwarded-for: \u{e9}\r\n"] {
        assert_eq!(who(&mut proxy, none).await.1, format!("{own} false"), "{none:?}");
    }
    let mut stranger = world.connect_from("127.0.0.2").await;
    let own = stranger.socket.local_addr().unwrap();
    assert_eq!(who(&mut stranger, forwarded).await.1, format!("{own} false"));
}

/// Limits count the client behind the proxy; and someone who is not behind it cannot make himself many.
#[tokio::test]
async fn limits_count_who_is_behind_the_proxy() {
    let trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let options = Options { rate_per_address: 2, connections_per_address: 1, trusted_proxies, ..Options::default() };
    let world = World::start(options).await;
    let (mut proxy, mut second) = (world.connect().await, world.connect().await);
    for _ in 0..2 {
        assert_eq!(who(&mut proxy, "x-forwarded-for: 192.0.2.1\r\n").await.0, 200);
        assert_eq!(who(&mut second, "x-forwarded-for: 192.0.2.2\r\n").await.0, 200, "a proxy has more than one connection");
    }
    let mut statuses = Vec::new();
    for last in 0..6 {
        // One customer of IPv6 has a whole /64.
        statuses.push(who(&mut proxy, &format!("x-forwarded-for: 2001:db8::{last}\r\n")).await.0);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    let mut stranger = world.connect_from("127.0.0.2").await;
    let mut statuses = Vec::new();
    for last in 0..6 {
        statuses.push(who(&mut stranger, &format!("x-forwarded-for: 192.0.2.{last}\r\n")).await.0);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}
