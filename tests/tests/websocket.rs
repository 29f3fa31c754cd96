//! Chats over a WebSocket, in both shapes: through a client library, and the clients of docs/websocket.md as they stand there.

use std::process::Command;

use hearth_tests::{Server, Shape, python, request, root, skip, succeed, succeeded, test_data};

#[test]
fn chats_go_over_a_socket_in_both_shapes() {
    let (Some(model), Some(python)) = (test_data("smollm2.gguf"), python()) else { return };
    for shape in Shape::ALL {
        let server = Server::start(shape, &model, &["--context", "4096", "--sequences", "2", "--allow-origin", "https://friend.example"]);
        let plain = request(server.address, "GET", "/v1/chat/ws", None).expect("an answer");
        assert_eq!((plain.status, plain.header("upgrade")), (426, Some("websocket")));
        let mut client = Command::new(&python);
        client.arg(root().join("tests/python/websocket_client.py")).arg(server.address.to_string()).arg(server.pid().to_string());
        succeed(shape, &mut client);
    }
}

#[test]
fn the_clients_of_the_documentation_work() {
    let (Some(model), Some(python)) = (test_data("smollm2.gguf"), python()) else { return };
    let page = std::fs::read_to_string(root().join("docs/websocket.md")).expect("the documentation");
    let example = |language: &str, address: std::net::SocketAddr| {
        let (_, rest) = page.split_once(&format!("```{language}\n")).expect("an example");
        let (code, _) = rest.split_once("```").expect("its end");
        assert!(code.contains("127.0.0.1:18789"));
        code.replace("127.0.0.1:18789", &address.to_string())
    };
    for shape in Shape::ALL {
        let server = Server::start(shape, &model, &["--context", "4096"]);
        let said = succeed(shape, Command::new(&python).arg("-c").arg(example("python", server.address)));
        assert!(said.contains("Paris"));
        // Node's WebSocket is the browsers'; up to version 21 it has to be asked for.
        let mut node = Command::new("node");
        node.args(["--experimental-websocket", "--input-type=module", "--eval"]).arg(example("js", server.address));
        match node.output() {
            Ok(output) if output.status.code() != Some(9) => {
                let said = succeeded(shape, &output);
                assert!(said.contains("Paris") && said.contains("stopped after: "), "{said}");
            }
            _ => skip("node 20.10 or later is missing"),
        }
    }
}
