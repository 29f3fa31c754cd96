//! A port that is taken.

use hearth_server::bind;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_taken_port_names_its_holder_and_the_cure() {
    let first = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = first.local_addr().unwrap();
    let error = bind(address).await.unwrap_err();
    assert!(error.is_taken());
    let text = error.to_string();
    let name = std::fs::read_to_string("/proc/self/comm").unwrap();
    assert!(text.contains(&format!("held by process {} ({})", std::process::id(), name.trim())), "{text}");
    assert!(text.contains(&format!("port {}", address.port())) && text.contains("--listen 127.0.0.1:"), "{text}");
    assert!(!text.contains("OpenClaw"), "{text}");
    // The same port on all addresses is in the way too.
    let error = bind(format!("0.0.0.0:{}", address.port()).parse().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
}

#[tokio::test]
async fn the_default_port_mentions_its_other_user() {
    let address = "127.0.0.1:18789".parse().unwrap();
    // Whoever has it, this test or a server that runs here: the second one cannot.
    let _held = bind(address).await;
    let text = bind(address).await.unwrap_err().to_string();
    assert!(text.contains("18789 is also the port of OpenClaw's gateway"), "{text}");
    assert!(text.contains("--listen 127.0.0.1:18790"), "{text}");
}

#[tokio::test]
async fn an_address_of_another_machine_says_so() {
    let text = bind("192.0.2.1:18789".parse().unwrap()).await.unwrap_err().to_string();
    assert!(text.contains("no address 192.0.2.1") && text.contains("--listen 127.0.0.1:18789"), "{text}");
}
