//! The chat page in a real browser, against both shapes.

use std::process::Command;

use hearth_tests::{Server, Shape, browser, python, root, succeed, test_data};

#[test]
fn the_page_works_in_chromium() {
    let (Some(model), Some(python), Some(axe)) = (test_data("smollm2.gguf"), python(), test_data("node/node_modules/axe-core/axe.min.js"))
    else {
        return;
    };
    if !browser() {
        return;
    }
    for shape in Shape::ALL {
        let server = Server::start(shape, &model, &["--context", "2048"]);
        let mut client = Command::new(&python);
        client.arg(root().join("tests/python/page")).arg(format!("http://{}", server.address)).arg(&axe);
        succeed(shape, client.env("PYTHONDONTWRITEBYTECODE", "1"));
    }
}
