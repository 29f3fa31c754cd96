//! `hearth chat` and `hearth serve` on the default model, where `cargo xtask test` has fetched it.
#![cfg(unix)]

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use common::{Home, Ran, model, ran};

fn start(home: &Home, arguments: &[&str]) -> Child {
    let mut command = home.hearth(arguments);
    command.env("HEARTH_DEVICE", "cpu").env("HEARTH_CONTEXT", "1024");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs a chat over these lines.
fn chat(arguments: &[&str], lines: &str) -> Ran {
    let home = Home::new();
    let mut child = start(&home, &[&["chat"], arguments].concat());
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    ran(child.wait_with_output().unwrap())
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn lines_of_a_pipe_are_answered_and_remembered() {
    let Some(model) = model() else { return };
    let said = chat(&[&model, "--temperature", "0", "--max-tokens", "48", "--verbose"], "What is the capital of France?\n").succeeded();
    assert!(said.out.contains("Paris"), "{}", said.out);
    assert!(said.err.contains(" tokens/s; prompt "), "{}", said.err);
    assert!(!said.out.contains('>') && !said.out.contains("tokens/s"), "answers alone go into the pipe: {}", said.out);

    // The second message's prompt has the first chat in it, unless it was forgotten.
    let arguments = [model.as_str(), "--temperature", "0", "--max-tokens", "8", "--verbose", "--system", "Be brief."];
    let prompts = |lines: &str| -> Vec<u32> {
        let said = chat(&arguments, lines).succeeded();
        said.err.split("; prompt ").skip(1).map(|rest| rest.split(' ').next().unwrap().parse().unwrap()).collect()
    };
    let remembered = prompts("Hi\nHi\n");
    let forgotten = prompts("Hi\n/reset\n/nonsense\n\nHi\n/quit\nHi\n");
    assert_eq!((remembered.len(), forgotten.len()), (2, 2));
    assert!(remembered[1] > remembered[0], "{remembered:?}");
    assert_eq!(forgotten[0], forgotten[1]);
    let several_lines = prompts("\"\"\"one\ntwo\nthree\"\"\"\n");
    assert_eq!(several_lines.len(), 1, "one message");
}

#[test]
fn a_prompt_over_the_context_is_an_error_with_both_numbers() {
    let Some(model) = model() else { return };
    let long = format!("{}\n", "word ".repeat(3000));
    chat(&[&model, "--max-tokens", "4"], &long).failed_with(&["1024", "/reset", "got no answer"]);
}

#[test]
fn an_interrupt_stops_the_answer_and_the_next_one_ends() {
    let Some(model) = model() else { return };
    let home = Home::new();
    let mut child = start(&home, &["chat", &model, "--seed", "1"]);
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"Write a very long story about a lighthouse.\n").unwrap();
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut [0; 8]).unwrap();
    signal(&child, "-INT");
    let mut messages = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(messages.any(|line| line == "(stopped)"));
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn serve_says_when_it_is_ready_and_drains_at_a_signal() {
    let Some(model) = model() else { return };
    let home = Home::new();
    let mut child = start(&home, &["serve", "--listen", "127.0.0.1:0", "--model", &format!("mine={model}")]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.next().unwrap().strip_prefix("Hearth is ready at http://").unwrap().to_owned();
    assert!(lines.next().unwrap().starts_with("  model   mine (1024 tokens of context"));
    assert!(lines.next().unwrap().starts_with("  device  CPU"));

    let body = r#"{"messages":[{"role":"user","content":"Write a long story."}],"stream":true,"max_tokens":60,"temperature":0}"#;
    let mut socket = TcpStream::connect(&address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n", body.len());
    socket.write_all((head + body).as_bytes()).unwrap();
    let mut answer = BufReader::new(socket).lines().map_while(Result::ok);
    assert_eq!(answer.next().unwrap(), "HTTP/1.1 200 OK");
    assert!(answer.any(|line| line.starts_with("data: ")));
    signal(&child, "-TERM");
    assert!(answer.any(|line| line == "data: [DONE]"), "the answer under way comes to its end");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
