//! The keys of clients from end to end, in both shapes: made, rotated and revoked by `hearth keys` beside the server, sent by clients that users have and by the page.

use std::process::Command;

use hearth_tests::{Scratch, Server, Shape, Surroundings, binary, browser, python, root, succeed, test_data};

#[test]
fn clients_and_the_page_are_let_in_and_refused_alike() {
    let (Some(model), Some(python), Some(packages), Some(axe)) =
        (test_data("smollm2.gguf"), python(), test_data("node"), test_data("node/node_modules/axe-core/axe.min.js"))
    else {
        return;
    };
    let tests = root().join("tests");
    for shape in Shape::ALL {
        let scratch = Scratch::new("keys");
        let state = scratch.join("state");
        let surroundings = Surroundings { state: Some(state.clone()), ..Surroundings::default() };
        let flags: &[&str] = match shape {
            Shape::Native => &["--context", "1024", "--keys", "required"],
            Shape::Wasm => &["--context", "1024", "--variable", "keys=required"],
        };
        let server = Server::start_amid(&surroundings, shape, &model, flags);
        server.wait();
        // Each client makes its keys itself, with the program that its first argument names.
        let client = |mut program: Command, before: &[&std::path::Path]| {
            program.args(before).arg(binary("hearth")).arg(format!("http://{}", server.address));
            program
                .env("HEARTH_STATE_DIR", &state)
                .env("HOME", scratch.path())
                .env_remove("XDG_CONFIG_HOME")
                .env("PYTHONDONTWRITEBYTECODE", "1");
            succeed(shape, &mut program);
        };
        client(Command::new(&python), &[&tests.join("python/keys_client.py")]);
        let mut node = Command::new("node");
        node.current_dir(&packages);
        client(node, &[&tests.join("node/keys.mjs")]);
        if browser() {
            client(Command::new(&python), &[&tests.join("python/page/guarded.py"), &axe]);
        }
    }
}
