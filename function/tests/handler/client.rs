//! OpenAI's own client against the handler with an obliging model: whatever it checks of our bytes holds, of features too that no small real model does reliably.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
};

use bytes::Bytes;
use hearth_function::Body;
use http::{Request, Response};

use crate::world::{Frames, World, frame, wait};

/// The workspace's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The Python that has the clients. Where it is missing, its tests are skipped loudly, and fail in CI.
fn python() -> Option<PathBuf> {
    let data = std::env::var_os("HEARTH_TEST_DATA").map_or_else(|| root().join("target/test-data"), PathBuf::from);
    let python = std::env::var_os("HEARTH_TEST_PYTHON").map_or_else(|| data.join("python/bin/python"), PathBuf::from);
    if python.exists() {
        return Some(python);
    }
    assert!(std::env::var_os("CI").is_none(), "skipped in CI: no {}", python.display());
    eprintln!("SKIPPED: {} is missing; `cargo xtask test` fetches it", python.display());
    None
}

/// Serves requests on a port of the loopback, one after another, until the process ends.
fn serve(world: World) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            // A client that goes away is no matter.
            let _ = answer(&world, socket);
        }
    });
    format!("http://{address}/v1")
}

fn answer(world: &World, mut socket: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().map_err(std::io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = Request::builder().method(&*method).uri(&*path).body(Frames::whole(Bytes::from(body))).map_err(std::io::Error::other)?;
    let response: Response<Body> = wait(hearth_function::handle(world.clone(), request));
    let (parts, mut body) = response.into_parts();
    let mut head = format!("HTTP/1.1 {}\r\nconnection: close\r\n", parts.status);
    for (name, value) in &parts.headers {
        head += &format!("{name}: {}\r\n", value.to_str().map_err(std::io::Error::other)?);
    }
    socket.write_all((head + "\r\n").as_bytes())?;
    while let Some(frame) = frame(&mut body) {
        socket.write_all(frame.as_bytes())?;
    }
    Ok(())
}

#[test]
fn openai_python_reads_responses_and_conversations() {
    let Some(python) = python() else { return };
    let output = Command::new(python)
        .arg(root().join("tests/python/responses_client.py"))
        .arg(serve(World::obliging()))
        .output()
        .expect("python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
