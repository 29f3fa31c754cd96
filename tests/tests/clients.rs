//! Clients that users have, unchanged, against both shapes.

use std::process::Command;

use hearth_tests::{Server, Shape, python, root, test_data};

#[test]
fn openai_python_streams_from_both_shapes() {
    let (Some(model), Some(python)) = (test_data("smollm2.gguf"), python()) else { return };
    for shape in Shape::ALL {
        let server = Server::start(shape, &model, &["--context", "2048"]);
        let output = Command::new(&python)
            .arg(root().join("tests/python/openai_client.py"))
            .arg(format!("http://{}/v1", server.address))
            .output()
            .expect("python starts");
        assert!(output.status.success(), "{shape:?}: {}", String::from_utf8_lossy(&output.stderr));
        eprintln!("{shape:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
